"""``accuser events --follow`` of files that are not there yet, rotated or emptied."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.cli import typing

ITEM = '{{"fd-sink-item.v0":{{"hostname":"h","time_stamp":1.0,"section":[],"event":{{"{}.v0":1}}}}}}\n'


async def test_a_file_may_come_later_and_be_rotated_and_emptied(tmp_path: Path) -> None:
    path = tmp_path / "sink.log"
    # What is not there yet is waited for from the start; a pipe shows that the command runs.
    async with typing("events", str(path), "--follow") as typed:
        path.write_text(ITEM.format("first"))
        await typed.until("first.v0")
        path.rename(tmp_path / "sink.log.1")
        with (tmp_path / "sink.log.1").open("a") as old:
            old.write(ITEM.format("late"))
        await typed.until("late.v0")
        path.write_text(ITEM.format("second"))
        await typed.until("second.v0")
        os.truncate(path, 0)
        with path.open("a") as emptied:
            emptied.write(ITEM.format("x"))
        await typed.until("x.v0")


async def test_a_named_pipe_can_be_followed(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    async with typing("events", str(path), "--follow") as typed:
        keeper = os.open(path, os.O_RDWR)
        try:
            os.write(keeper, ITEM.format("first").encode())
            await typed.until("first.v0")
        finally:
            os.close(keeper)
