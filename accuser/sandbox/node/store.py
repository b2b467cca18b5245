"""The node's data directory, and the file in it that keeps the blocks.

The file is only ever appended to: a record is its size in four bytes and a block. What a crash cut
off at the end is dropped at the next start. No ``fsync``: a power failure may cost the last blocks.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Final

import attrs

from ..chain.block import Block
from ..chain.chain import Chain
from ..chain.trace import NodeError
from .identity import IDENTITY_FILE
from .peer_messages import BlockIs, PeerMessageError, block_message, read, write

VERSION_FILE: Final = "version.json"
VERSION: Final = "3.2"
STORE_FILE: Final = "store/blocks"
LOCK_FILE: Final = "lock"
_INNOCENT: Final = frozenset({VERSION_FILE, IDENTITY_FILE, "config.json", "peers.json", LOCK_FILE})


class DataDirError(Exception):
    """A data directory that cannot be used; says why."""


def ensure_data_dir(path: Path) -> None:
    """Make a data directory, or check that it is one. Raises ``DataDirError``."""
    version = path / VERSION_FILE
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if version.exists():
            found = json.loads(version.read_bytes()).get("version")
            if found != VERSION:
                raise DataDirError(f"Invalid data directory version '{found}' (expected '{VERSION}').")
        elif any(entry.name not in _INNOCENT for entry in path.iterdir()):
            raise DataDirError(
                f"Tried to read version file at '{version}', but the file could not be found or parsed."
            )
        else:
            version.write_text(json.dumps({"version": VERSION}) + "\n")
    except (OSError, ValueError, AttributeError) as error:
        raise DataDirError(f"Invalid data directory '{path}': {error}") from error


def lock_data_dir(path: Path) -> int:
    """Take a data directory for this process; return the descriptor that holds it.

    Raises:
        DataDirError: another process has it.
    """
    descriptor = os.open(path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise DataDirError("Data directory is locked by another process") from error
    return descriptor


@attrs.define(eq=False, repr=False)
class FileStore:
    """The blocks of a data directory."""

    path: Path
    _descriptor: int = attrs.field(init=False, default=-1)

    def load(self, chain: Chain) -> int:
        """Put the kept blocks into a chain, and open the file for more; return their number.

        Blocks after the first one that is cut off or not valid are dropped.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o600)
        data = self.path.read_bytes()
        position = count = 0
        while (record := _record(data, position)) is not None:
            try:
                message = read(record)
                if not isinstance(message, BlockIs):
                    break
                chain.advance(chain.add(message.header, message.operations))
            except (PeerMessageError, NodeError):
                break
            position += 4 + len(record)
            count += 1
        os.ftruncate(self._descriptor, position)
        return count

    def append(self, block: Block) -> None:
        record = write(block_message(block)).rstrip(b"\n")
        view = memoryview(len(record).to_bytes(4, "big") + record)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _record(data: bytes, position: int) -> bytes | None:
    start = position + 4
    end = start + int.from_bytes(data[position:start], "big")
    return data[start:end] if start <= len(data) and end <= len(data) and end > start else None
