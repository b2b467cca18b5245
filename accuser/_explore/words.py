"""What accusers say, and in what that differs from what they had to say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs


@attrs.frozen
class Said:
    """An event: its section, its name without a version, and its value."""

    section: tuple[str, ...]
    name: str
    value: Any


_FREE: Final = frozenset({"accuser_block_error", "daemon_error"})
"""Events that tell an error, which the accuser words itself."""


def _plain(said: Said) -> Said:
    if said.name in _FREE and isinstance(said.value, dict):
        value = {name: each for name, each in said.value.items() if name != "errors"}
        return attrs.evolve(said, value=value)
    return said


def differences(wanted: Sequence[Said], said: Sequence[Said]) -> Iterator[str]:
    """In what an accuser's words differ from those that were wanted."""
    # A block is told of as soon as it is there, whatever the accuser is about.
    seen = [[each for each in one if each.name.startswith("block-seen-")] for one in (wanted, said)]
    others = [
        [_plain(each) for each in one if not each.name.startswith("block-seen-")] for one in (wanted, said)
    ]
    for must, has in (seen, others):
        missing, extra = list(must), []
        for each in has:
            if each in missing:
                missing.remove(each)
            else:
                extra.append(each)
        for each in missing:
            yield f"missed: {_shown(each)}"
        for each in extra:
            yield f"unwarranted: {_shown(each)}"
        if must != has and not missing and not extra:
            yield f"in the wrong order: {[each.name for each in has]}, not {[each.name for each in must]}"


def _shown(said: Said) -> str:
    match said.name:
        case name if name.startswith("double_") and name.endswith("_denounced"):
            return f"{name} {said.value.get('hash') if isinstance(said.value, dict) else said.value}"
        case name if name.startswith("block-seen-"):
            return f"{name} {said.value.get('hash') if isinstance(said.value, dict) else said.value}"
    return f"{said.name} {said.value}"
