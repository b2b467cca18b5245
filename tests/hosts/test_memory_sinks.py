"""Sinks of nodes that are tasks, beside that of their events."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from trio.testing import MockClock

from accuser import MEMORY, EventTimeout, open_node

from ..support.kept import remove_kept

ALONE = ("--synchronisation-threshold 0",)


async def add_sink(data_dir: Path, uri: str) -> None:
    """Have a node, which runs once here, write to another sink."""
    async with open_node(toolchain=MEMORY, arguments=ALONE, data_dir=data_dir):
        config = data_dir / "config.json"
    value = json.loads(config.read_text())
    config.write_text(json.dumps({**value, "internal-events": {"active_sinks": [uri]}}))


async def test_files_have_the_id_of_their_node(autojump_clock: MockClock, tmp_path: Path) -> None:
    uri = f"file-descriptor-path://{tmp_path}/log.events?with-pid=true"
    pids = set()
    for name in ("one", "two"):
        await add_sink(tmp_path / name, uri)
        async with open_node(toolchain=MEMORY, arguments=ALONE, data_dir=tmp_path / name) as node:
            pids.add(node.pid)
    assert {path.name for path in tmp_path.glob("log*")} == {f"log-{pid}.events" for pid in pids}
    assert len(pids) == 2


async def test_a_fifo_without_a_reader_holds_up_its_node_alone(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo")
    await add_sink(tmp_path / "node", f"file-descriptor-path://{tmp_path}/fifo")
    with pytest.raises(EventTimeout, match="no node_is_ready") as caught:
        async with open_node(toolchain=MEMORY, arguments=ALONE, data_dir=tmp_path / "node"):
            pytest.fail("it cannot be ready")
    remove_kept(caught.value)
