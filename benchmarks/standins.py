"""The processes that are read from: the same stand-in for our figures and for the floors."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import msgspec

from accuser import Accuser, Event, Protocol, open_accuser
from accuser.testing import NO_NODE

NAME = "double_baking_denounced.v0"
ITEM_BYTES = 400
BLOCK_BYTES = 65536
HERE = Path(__file__).resolve().parent


class Item(msgspec.Struct, gc=False, rename={"item": "fd-sink-item.v0"}):
    """A line of an event pipe, for the floors: with the struct that the package decodes to."""

    item: Event


decode = msgspec.json.Decoder(Item).decode


def item(number: int, value: str = "") -> bytes:
    """Make an item of `ITEM_BYTES`, its line end included; ``value`` begins the value's fields."""
    head = (
        f'{{"fd-sink-item.v0":{{"hostname":"lab","time_stamp":{1755345600 + number / 8},'
        f'"section":["002-PtBoreas","delegate","denunciation"],"event":{{"{NAME}":{{{value}'
        f'"hash":"oo{number:049}","bytes":"'
    ).encode()
    tail = b'"}}}}\n'
    return head + b"0" * (ITEM_BYTES - len(head) - len(tail)) + tail


@attrs.frozen(kw_only=True)
class Writer:
    """Makes executables that `open_accuser` can run; see ``writer.c`` for the modes."""

    folder: Path
    command: tuple[str, ...]
    description: str

    @classmethod
    def make(cls, folder: Path) -> Writer:
        """Compile the writer, or take the one in Python where there is no compiler."""
        if compiler := shutil.which("cc"):
            target = folder / "writer"
            built = subprocess.run(
                [compiler, "-O2", "-o", str(target), str(HERE / "writer.c")], check=False, capture_output=True
            )
            if built.returncode == 0:
                return cls(folder=folder, command=(str(target),), description=f"C, by {compiler}")
        command = (sys.executable, "-IS", str(HERE / "writer.py"))
        return cls(folder=folder, command=command, description="Python: there is no C compiler")

    def script(self, mode: str, content: bytes = b"", count: int = 0, micros: int = 0) -> Path:
        """Write an executable that runs the writer with these arguments."""
        number = len(list(self.folder.iterdir()))
        arguments = [*self.command, mode]
        if content:
            file = self.folder / f"{number}-content"
            file.write_bytes(content)
            arguments += [str(file), str(count), str(micros)]
        path = self.folder / f"{number}-{mode}"
        path.write_text(f'#!/bin/sh\nexec {shlex.join(arguments)} "$@"\n')
        path.chmod(0o755)
        return path

    def idle(self) -> Path:
        """Do nothing but be ready; without a shell in between where the writer is compiled."""
        return Path(self.command[0]) if len(self.command) == 1 else self.script("idle")

    def blocks(self, count: int) -> Path:
        """Write ``count`` blocks of `ITEMS_IN_BLOCK` items; without end for 0."""
        return self.script("blocks", BLOCK, count)

    def paced(self, count: int, micros: int) -> Path:
        """Write ``count`` items that carry the time of their writing, one every ``micros``."""
        return self.script("paced", item(0, f'"ns":{"#" * 20},'), count, micros)


ITEMS_IN_BLOCK = BLOCK_BYTES // ITEM_BYTES
BLOCK = b"".join(map(item, range(ITEMS_IN_BLOCK)))


@asynccontextmanager
async def opened(path: Path, *, may_exit: bool = False) -> AsyncGenerator[Accuser]:
    """Run a stand-in as an accuser; it waits for `begin`."""
    async with open_accuser(
        Protocol.BOREAS, NO_NODE, path=path, may_exit=may_exit, unknown_events=True
    ) as accuser:
        yield accuser


def begin(pid: int | None) -> None:
    """Let a stand-in write."""
    assert pid is not None
    os.kill(pid, signal.SIGUSR1)


@attrs.frozen
class Bare:
    """A stand-in without the package: its process, and descriptors to read from."""

    process: subprocess.Popen[bytes]
    events: int
    output: int


@contextlib.contextmanager
def bare(path: Path) -> Generator[Bare]:
    """Run a stand-in, ready to begin, with the read ends of an event pipe and its output."""
    fifo = path.with_name(path.name + "-event-pipe")
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        environment = {**os.environ, "MAVRYK_EVENTS_CONFIG": f"file-descriptor-path://{fifo}?x"}
        with subprocess.Popen([path], env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                os.read(process.stdout.fileno(), BLOCK_BYTES)
                os.set_blocking(reader, True)
                yield Bare(process, reader, process.stdout.fileno())
            finally:
                process.kill()
    finally:
        os.close(reader)
        fifo.unlink()
