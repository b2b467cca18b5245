"""Two sequences aligned by a longest common subsequence, in time that grows with what differs (pure).

By E. W. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986. Where more than `LIMIT` items
in a row differ, the best beginning that was found counts, and it goes on from there: what is paired is
still equal and in order, but there may be fewer pairs than could be.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Final

LIMIT: Final = 400
"""Of differences that are looked at together: time and memory grow with its square."""

Pair = tuple[int | None, int | None]


def aligned(a: Sequence[Hashable], b: Sequence[Hashable], limit: int = LIMIT) -> Iterator[Pair]:
    """Pairs of indices of what is equal, in order; None stands for what the other side lacks.

    Between two pairs of equals come first those of ``a`` alone, then those of ``b`` alone.
    """
    only_a: list[Pair] = []
    only_b: list[Pair] = []
    for x, y in _steps(a, b, limit):
        if y is None:
            only_a.append((x, None))
        elif x is None:
            only_b.append((None, y))
        else:
            yield from only_a
            yield from only_b
            only_a.clear()
            only_b.clear()
            yield x, y
    yield from only_a
    yield from only_b


def _steps(a: Sequence[Hashable], b: Sequence[Hashable], limit: int) -> Iterator[Pair]:
    x = y = 0
    while x < len(a) or y < len(b):
        steps = _best_beginning(a, b, x, y, limit)
        yield from steps
        x += sum(step[0] is not None for step in steps)
        y += sum(step[1] is not None for step in steps)


def _best_beginning(
    a: Sequence[Hashable], b: Sequence[Hashable], start_x: int, start_y: int, limit: int
) -> list[Pair]:
    # A diagonal is where x - y is the same; `furthest` has the x that was reached on each.
    start = start_x - start_y
    trace: list[dict[int, int]] = []
    furthest = {start: _slide(a, b, start_x, start)}
    while True:
        best = max(furthest, key=lambda diagonal: 2 * furthest[diagonal] - diagonal)
        x, y = furthest[best], furthest[best] - best
        if len(trace) == limit or (x == len(a) and y == len(b)):
            return _back(trace, x, y, start_x, start_y)
        trace.append(furthest)
        furthest = {}
        for diagonal in range(start - len(trace), start + len(trace) + 1, 2):
            reached = _reached(trace[-1], diagonal, len(a), len(b))
            if reached is not None:
                furthest[diagonal] = _slide(a, b, reached[0], diagonal)


def _slide(a: Sequence[Hashable], b: Sequence[Hashable], x: int, diagonal: int) -> int:
    while x < len(a) and x - diagonal < len(b) and a[x] == b[x - diagonal]:
        x += 1
    return x


def _reached(before: dict[int, int], diagonal: int, size_a: int, size_b: int) -> tuple[int, int] | None:
    """Where one difference more leads on a diagonal, and the diagonal that it leads from."""
    found = []
    if diagonal + 1 in before and before[diagonal + 1] - diagonal <= size_b:
        found.append((before[diagonal + 1], diagonal + 1))
    if diagonal - 1 in before and before[diagonal - 1] < size_a:
        found.append((before[diagonal - 1] + 1, diagonal - 1))
    return max(found, default=None)


def _back(trace: list[dict[int, int]], x: int, y: int, start_x: int, start_y: int) -> list[Pair]:
    # The sizes are those of what was reached, beyond which no step of this way has gone.
    steps: list[Pair] = []
    size_x, size_y = x, y
    for before in reversed(trace):
        reached = _reached(before, x - y, size_x, size_y)
        assert reached is not None
        edit, origin = reached
        while x > edit:
            x, y = x - 1, y - 1
            steps.append((x, y))
        if origin > x - y:
            y -= 1
            steps.append((None, y))
        else:
            x -= 1
            steps.append((x, None))
    while x > start_x and y > start_y:
        x, y = x - 1, y - 1
        steps.append((x, y))
    steps.reverse()
    return steps
