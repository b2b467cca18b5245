"""``--record-state``: the lock of a baker on the disk, so that another run still keeps to it.

The file has upstream's name; its contents are of our own form, since upstream's is a dump of the memory.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import attrs

from ..._mavryk.codec.base58 import Kind, decode, encode
from .state import Automaton

_FORM: Final = struct.Struct(">8sii32s")
_MAGIC: Final = b"sandbox1"


class Incompatible(ValueError):
    """The file is of another form."""


@attrs.define(eq=False, repr=False)
class StateFile:
    """The file of one base directory and chain."""

    path: Path
    _written: tuple[int, tuple[int, str] | None] | None = attrs.field(default=None, init=False)

    def load(self, state: Automaton) -> None:
        """Lock a fresh automaton as the one of before was, if that was at this level.

        Raises ``Incompatible``, ``OSError``.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return
        if len(data) != _FORM.size or not data.startswith(_MAGIC):
            raise Incompatible(str(self.path))
        _, level, at_round, payload = _FORM.unpack(data)
        if level == state.level and at_round >= 0:
            state.locked = at_round, encode(Kind.PAYLOAD, payload)

    def save(self, state: Automaton) -> None:
        """Write down level and lock, if they have changed. Raises ``OSError``."""
        now = state.level, state.locked
        if now == self._written:
            return
        at_round, payload = (-1, bytes(32)) if state.locked is None else state.locked
        packed = payload if isinstance(payload, bytes) else decode(Kind.PAYLOAD, payload)
        temporary = self.path.with_name(f"{self.path.name}.tmp")
        temporary.write_bytes(_FORM.pack(_MAGIC, state.level, at_round, packed))
        temporary.replace(self.path)
        self._written = now
