"""Fixtures whose daemons are tasks of the test."""

from __future__ import annotations

import json

import pytest

from accuser import MEMORY, Accuser, Client, Node, StatsUnavailable

from ..support.projects import Project
from ..support.projects import project as project

TESTS = """
import trio
from accuser import Accuser, Client, Node

async def test_it_passes(node: Node, client: Client, accuser: Accuser) -> None:
    processed = accuser.expect("accuser_processed_block.v0")
    await client.bake_for("bootstrap1")
    assert await processed == await node.rpc("get", "/chains/main/blocks/head/hash")

async def test_it_waits_in_vain(autojump_clock, client: Client, accuser: Accuser) -> None:
    await client.bake_for("bootstrap1")
    await accuser.wait_for("double_baking_denounced.v0")
"""


def test_a_failure_has_its_bundle_as_in_other_forms(project: Project) -> None:
    project.write(test_it=TESTS)
    ended = project.pytest("--mavkit", "memory", "--mavryk-bundles", "kept")
    ended.count(failed=1, passed=1)
    assert "mavryk: sandbox in this process (chosen), boreas" in ended.output
    (bundle,) = (project.folder / "kept").iterdir()
    types = {json.loads(line)["type"] for line in (bundle / "run.jsonl").read_text().splitlines()}
    assert {"start", "ready", "event", "wait", "exit"} <= types
    assert "double_baking_denounced.v0" in (bundle / "report.txt").read_text()
    assert (bundle / "timeline.html").exists()


@pytest.mark.mavryk(toolchains=["memory"])
async def test_a_marker_chooses_it(node: Node, client: Client, accuser: Accuser) -> None:
    assert node.toolchain is accuser.toolchain is client.toolchain is MEMORY
    await client.bake_for("bootstrap1")
    await node.wait_for_level(2)
    with pytest.raises(StatsUnavailable):
        await node.stats()
