"""Random streams, waits and ends against a model in a few lines: what it delivers, in its order.

`HYPOTHESIS_PROFILE=nightly` runs ten thousand examples of each.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accuser import Event, TerminatedBeforeEvent
from accuser._engine.readiness import ReadyEvent
from accuser._engine.transcript import Handlers, Transcript
from accuser._engine.waits import Expectation, Mark, events_from
from accuser._recording.writer import Recorder
from accuser._stream.framing import Framer
from accuser._stream.watch import Watch, value_of

NAMES = ("a.v0", "b.v0", "c.v0")
GARBAGE = ("garbage", '{"x":1}', '{"fd-sink-item.v0":{"section":[]}}', "", "\0")

pieces = st.one_of(
    st.tuples(st.sampled_from(NAMES), st.integers(0, 5)),
    st.sampled_from(GARBAGE),
)


def line(piece: tuple[str, int] | str) -> bytes:
    if isinstance(piece, str):
        return piece.encode() + b"\n"
    name, value = piece
    item = {"hostname": "h", "time_stamp": 1.5, "section": [], "event": {name: value}}
    return json.dumps({"fd-sink-item.v0": item}).encode() + b"\n"


class Wait:
    """A wait: when it begins, from where it looks, for what, and when it gives up."""

    def __init__(
        self, begin: int, back: bool, names: set[str], least: int, count: int, patience: int | None
    ) -> None:
        self.begin, self.back, self.names = begin, back, frozenset(names)
        self.least, self.count, self.patience = least, count, patience
        self.outcome: object = None

    def __repr__(self) -> str:
        return repr(vars(self))

    def choose(self, value: int) -> int | None:
        return value if value >= self.least else None

    def expected(self, read: list[list[tuple[str, int]]]) -> object:
        """What the model says, given the events of each read."""
        last = len(read) if self.patience is None else min(len(read), self.begin + self.patience)
        events = [event for block in read[0 if self.back else self.begin : last] for event in block]
        taken = [value for name, value in events if name in self.names and value >= self.least]
        if len(taken) >= self.count:
            return taken[: self.count]
        return "cancelled" if self.patience is not None and last < len(read) else "ended"


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[bytes], list[list[tuple[str, int]]], list[Wait]]:
    """The chunks of a stream, the events that each completes, and waits."""
    sequence = draw(st.lists(pieces, max_size=25))
    stream = b"".join(map(line, sequence))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    edges = [0, *cuts, len(stream)]
    chunks = [stream[a:b] for a, b in itertools.pairwise(edges)]
    read: list[list[tuple[str, int]]] = []
    position, done = 0, 0
    ends = []
    for piece in sequence:
        position += len(line(piece))
        ends.append(position)
    for edge in edges[1:]:
        now = [piece for piece, end in zip(sequence, ends, strict=True) if done < end <= edge]
        read.append([piece for piece in now if not isinstance(piece, str)])
        done = max(done, edge)
    waits = draw(
        st.lists(
            st.builds(
                Wait,
                st.integers(0, len(chunks)),
                st.booleans(),
                st.sets(st.sampled_from(NAMES), min_size=1),
                st.integers(0, 5),
                st.integers(1, 4),
                st.none() | st.integers(1, 5),
            ),
            max_size=6,
        )
    )
    return chunks, read, waits


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(plans())
def test_waits_handlers_and_subscribers_get_what_the_model_delivers(
    plan: tuple[list[bytes], list[list[tuple[str, int]]], list[Wait]],
) -> None:
    chunks, read, waits = plan
    heard: list[tuple[str, Any]] = []
    handlers = Handlers(events=[lambda event: heard.append((event.name, event.value))])
    transcript = Transcript("d", "", ReadyEvent(""), handlers, recorder=Recorder("d", 1, None))
    subscribed: list[tuple[str, Any]] = []

    async def subscribe() -> None:
        async for event in events_from(Mark(transcript)):
            assert isinstance(event, Event)
            subscribed.append((event.name, event.value))

    async def run_wait(wait: Wait, scope: trio.CancelScope) -> None:
        watch: Watch[int] = Watch(wait.names, value_of, wait.choose, wait.count, "")
        begin = 0 if wait.back else transcript.events.next_index
        expectation: Expectation[list[int]] = Expectation(
            Mark(transcript, begin), "events", watch, "", "", None, None, list
        )
        wait.outcome = "cancelled"
        with scope:
            try:
                wait.outcome = await expectation
            except TerminatedBeforeEvent:
                wait.outcome = "ended"

    async def main() -> None:
        framer = Framer()
        scopes = [(wait, trio.CancelScope()) for wait in waits]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(subscribe)
            for step, chunk in enumerate([*chunks, b""]):
                for wait, scope in scopes:
                    if (
                        wait.patience is not None
                        and wait.begin + wait.patience == step
                        and step < len(chunks)
                    ):
                        scope.cancel()
                    if wait.begin == step:
                        nursery.start_soon(run_wait, wait, scope)
                await trio.testing.wait_all_tasks_blocked()
                if block := framer.feed(chunk):
                    transcript.take_events(block)
                await trio.testing.wait_all_tasks_blocked()
            transcript.end()

    trio.run(main)
    everything = [event for block in read for event in block]
    assert heard == subscribed == everything
    assert [wait.outcome for wait in waits] == [wait.expected(read) for wait in waits]
    assert not transcript.events.watched
