"""Hostile streams of up to 8 MiB, and the processor time of each step that decodes them.

``python -m tests.tools.step_times [--streams 300] [--seed N]`` fails if a step takes more than 20 ms. It is
the time of this thread that counts, and the least of several runs of the same stream: a machine that is busy
with other things makes nothing fail.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator
from typing import Final

from accuser._stream.decoding import decode_steps
from accuser._stream.framing import Framer
from accuser._stream.netstring import NetstringFramer

LIMIT: Final = 0.020
SIZE: Final = 8 * 1024 * 1024
RUNS: Final = 5
"""How often a stream is run at most, once a step of it took too long."""
GOOD: Final = b'{"fd-sink-item.v0":{"hostname":"h","time_stamp":1.5,"section":["a","b"],"event":{"x.v0":1}}}'
MARK: Final = b'{"fd-sink-item.v0":'
NETSTRING: Final = b"%d:%s," % (len(GOOD), GOOD)
PIECES: Final = (
    *(GOOD, MARK, b"x", b"\n", b"{", b"[", b"]", b'"', b"}", b",", b" ", b"\0", b"\r", b"\\", b"9:", b"x\n"),
    *(NETSTRING, NETSTRING[:-1], GOOD[:40], GOOD[40:], GOOD + b"\n", b"1:" + MARK, b"\xff", b"9" * 20 + b":"),
    *(b'{"a":', b"[[],", b'"\\"', b"1e400,", b"\0stray\0", b"5:hello,", GOOD.replace(b"1}", b'"\\u2028"}')),
)
KINDS: Final[tuple[type[Framer] | type[NetstringFramer], ...]] = (Framer, NetstringFramer)


def drawn(dice: random.Random) -> bytes:
    """A stream: a few pieces, each many times, with or without an item around or a line after them."""
    size, parts = int(dice.triangular(1, SIZE, SIZE)), []
    while size > 0:
        piece = b"".join(dice.choices(PIECES, k=dice.choice((1, 1, 1, 2, 3))))
        part = piece * (1 + dice.randrange(max(1, size // len(piece))))
        if dice.random() < 0.2:
            part = GOOD.replace(b":1}", b":[%s]}" % part)
        parts.append(part + dice.choice((b"", b"", b"\n")))
        size -= len(part)
    return b"".join(parts)[:SIZE]


def steps(stream: bytes, kind: type[Framer] | type[NetstringFramer]) -> Iterator[float]:
    """The processor times of all steps that a stream takes."""
    framer = kind()
    for at in range(0, len(stream) + framer.step, framer.step):
        begun = time.thread_time()
        block = framer.feed(stream[at : at + framer.step]) if at < len(stream) else framer.finish()
        yield time.thread_time() - begun
        begun = time.thread_time()
        for _ in decode_steps(block) if block else ():
            yield time.thread_time() - begun
            begun = time.thread_time()


def longest(stream: bytes, kind: type[Framer] | type[NetstringFramer]) -> float:
    """The longest step: of each step the least of several runs, if it seems too long."""
    least = list(steps(stream, kind))
    for _ in range(RUNS - 1):
        if max(least) <= LIMIT:
            break
        least = list(map(min, least, steps(stream, kind)))
    return max(least)


def check(streams: int, seed: int) -> float:
    """Run so many; return the longest step of all. Raises `AssertionError`."""
    dice, most = random.Random(seed), 0.0
    for number in range(streams):
        stream, kind = drawn(dice), dice.choice(KINDS)
        took = longest(stream, kind)
        most = max(most, took)
        shown = f"stream {number} of seed {seed}, {len(stream)} bytes, {kind.__name__}: {stream[:80]!r}..."
        assert took <= LIMIT, f"{took * 1000:.1f} ms in one step: {shown}"
    return most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--streams", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    most = check(options.streams, options.seed)
    print(f"{options.streams} streams with seed {options.seed}: the longest step took {most * 1000:.1f} ms")


if __name__ == "__main__":
    main()
