"""What type checkers must know of the results of waits. Nothing here is run: mypy and pyright read it.

An ignored error that does not occur is one itself, for either.
"""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import re
from typing import Any, assert_type

from accuser import Event, Expectation, Node
from accuser.events import DoubleBakingDenounced, TypedEvent


class Other(TypedEvent):
    """A class of events of a user's own."""


def level(event: DoubleBakingDenounced) -> str | None:
    """A filter of a class."""
    return str(event)


def named(value: dict[str, int]) -> int | None:
    """A filter of values."""
    return value.get("level")


def first(event: Event) -> bytes | None:
    """A filter of events."""
    return event.name.encode()


def item(whole: dict[str, Any]) -> float | None:
    """A filter of whole items."""
    return float(len(whole))


def word(match: re.Match[str]) -> int | None:
    """A filter of lines."""
    return int(match[0])


async def of_classes(node: Node) -> None:
    """Classes give their objects."""
    assert_type(await node.wait_for(DoubleBakingDenounced), DoubleBakingDenounced)
    assert_type(await node.wait_for(DoubleBakingDenounced, nth=2, timeout=1), DoubleBakingDenounced)
    assert_type(await node.wait_for(DoubleBakingDenounced, count=2), list[DoubleBakingDenounced])
    assert_type(await node.wait_for(DoubleBakingDenounced, level), str)
    assert_type(node.expect(DoubleBakingDenounced), Expectation[DoubleBakingDenounced])
    assert_type(node.expect(DoubleBakingDenounced, count=2), Expectation[list[DoubleBakingDenounced]])
    assert_type(node.expect(DoubleBakingDenounced, level), Expectation[str])
    async with node.expect(DoubleBakingDenounced) as expected:
        pass
    assert_type(expected.value, DoubleBakingDenounced)


async def of_names(node: Node) -> None:
    """Of a name, nothing is known but what the filter answers; of several, they are events."""
    assert_type(await node.wait_for("a.v0"), Any)
    assert_type(await node.wait_for("a.v0", named), int)
    assert_type(await node.wait_for("a.v0", count=2), list[Any])
    assert_type(await node.wait_for(["a.v0", Other]), Event)
    assert_type(await node.wait_for(("a.v0", "b.v0"), first), bytes)
    assert_type(node.expect(["a.v0"]), Expectation[Event])


async def of_whole_items(node: Node) -> None:
    """Whole items are decoded JSON."""
    assert_type(await node.wait_for("a.v0", full=True), dict[str, Any])
    assert_type(await node.wait_for(Other, full=True), dict[str, Any])
    assert_type(await node.wait_for(["a.v0", Other], full=True), dict[str, Any])
    assert_type(await node.wait_for("a.v0", item, full=True), float)
    assert_type(await node.wait_for(Other, item, full=True), float)
    assert_type(await node.wait_for(Other, full=True, count=2), list[Any])


async def of_lines(node: Node) -> None:
    """Lines are matches."""
    assert_type(await node.wait_for_line("a"), re.Match[str])
    assert_type(await node.wait_for_line("a", stream="stderr", nth=2), re.Match[str])
    assert_type(node.expect_line(re.compile("a")), Expectation[re.Match[str]])
    assert_type(await node.wait_for_line("a", word), Any)


async def of_sequences(node: Node) -> None:
    """Two steps in a tuple are known each."""
    both = await node.wait_for_sequence((DoubleBakingDenounced, Other))
    assert_type(both, tuple[DoubleBakingDenounced, Other])
    assert_type(await node.wait_for_sequence((Other, ("a.v0", named))), tuple[Other, int])
    assert_type(await node.wait_for_sequence(["a.v0", Other, ("b.v0", named)]), tuple[Any, ...])


async def of_mistakes(node: Node) -> None:
    """What cannot be meant is refused."""
    await node.wait_for(DoubleBakingDenounced, lambda event: event.no_such_field)  # type: ignore[attr-defined]  # not known by its type
    await node.wait_for(DoubleBakingDenounced, item)  # type: ignore[arg-type]  # wrong on purpose
    await node.wait_for("a.v0", tiemout=1)  # type: ignore[call-overload]  # wrong on purpose
    node.expect_no("a.v0", within=1, timeout=2)  # type: ignore[call-arg]  # wrong on purpose
    node.expect_no("a.v0", within=1, nth=2)  # type: ignore[call-arg]  # wrong on purpose
    node.expect_line("a", full=True)  # type: ignore[call-overload]  # wrong on purpose
    node.expect_line("a", unknown=True)  # type: ignore[call-overload]  # wrong on purpose
