"""An accuser of an exploration, its door to the node, and the judge of its present life."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Final

import attrs

from .._mavryk.codec.operations import Consensus, Operation
from .._mavryk.protocol import Protocol
from ..sandbox.chain.block import Block
from ..sandbox.chain.mempool import Class
from ..sandbox.node import render
from .doors import Call, Door
from .drawing import DEFAULT_PRESERVED
from .drivers import Driver
from .judge import Arrival, Judge, SeenBlock
from .memory import Memory
from .schedule import Watcher
from .stations import Station
from .words import Said

BLOCKS: Final = "/monitor/applied_blocks"
MEMPOOL: Final = "/chains/main/mempool/monitor_operations"
_LIFE: Final = frozenset({"daemon_setup", "daemon_start", "daemon_connection_lost", "rpc_http_attempt"})
_SHOWN: Final = (Class.VALIDATED, Class.BRANCH_DELAYED)
_START: Final = ("daemon_setup", "daemon_start")


@attrs.frozen
class Before:
    """What an accuser had open when something was about to arrive at its node."""

    head: Block
    blocks: bool
    mempool: bool


@attrs.define(eq=False, repr=False)
class Watching:
    """One accuser, from its first life to its last."""

    name: str
    watcher: Watcher
    station: Station
    door: Door
    driver: Driver
    complaints: list[str] = attrs.field(factory=list, init=False)
    decisions: Counter[str] = attrs.field(factory=Counter, init=False)
    heard: list[Said] = attrs.field(factory=list, init=False)
    """Since the last judgement."""
    evidence: dict[str, str] = attrs.field(factory=dict, init=False)
    """All that it has said to have injected: bytes, as hexadecimal digits, by their hash."""
    said: list[Said] = attrs.field(factory=list, init=False)
    """All that it ever said."""
    judge: Judge | None = attrs.field(default=None, init=False)
    runs: bool = attrs.field(default=False, init=False)
    """It was started, and nothing has happened since that may end it."""
    _knows_protocol: bool = attrs.field(default=False, init=False)
    """It goes on without waiting for its protocol, because it has lived before."""
    _settled: int = attrs.field(default=0, init=False)

    @property
    def protocol(self) -> Protocol:
        """The one that it is for."""
        return Protocol.parse(self.watcher.protocol)

    def hear(self, said: Said, item: bytes) -> None:
        """It said something."""
        self.heard.append(said)
        self.said.append(said)
        if said.name.endswith("_denounced") and isinstance(said.value, dict):
            self.evidence[str(said.value.get("hash"))] = str(said.value.get("bytes"))

    def before(self) -> Before:
        """What is so before something arrives."""
        return Before(
            self.station.head,
            self.judge is not None and self.door.has_open(BLOCKS) is not None,
            self.judge is not None and self.door.has_open(MEMPOOL) is not None,
        )

    def arrivals(self, before: Before, payload: object, *, taken: bool) -> list[Arrival]:
        """What its node has told it, for a block or an operation that the node took."""
        found: list[Arrival] = []
        if not taken or self.judge is None:
            return found
        if isinstance(payload, Block):
            if before.blocks and payload.state.protocol == self.protocol.hash:
                found.append(SeenBlock(payload.header, self.station.network.chain_id))
            if before.mempool and self.station.head is not before.head:
                found.append(self.present())
        elif isinstance(payload, Operation) and before.mempool and payload.inlined is not None:
            entry = self.station.node.mempool.entries.get(payload.hash)
            if entry is not None and entry.kind in _SHOWN:
                found.append((payload.inlined,))
        return found

    def present(self) -> Arrival:
        """The votes of the mempool, as a stream of it begins."""
        entries = self.station.node.mempool.entries.values()
        votes = [entry.operation.inlined for entry in entries if entry.kind in _SHOWN]
        return tuple(each for each in votes if each is not None and isinstance(each.content, Consensus))

    async def judged(self, arrivals: Sequence[Arrival]) -> None:
        """Wait until it is done with what has arrived, and judge what it asked and said."""
        if self.judge is None:
            await self.driver.settle(
                lambda: not self._must_be_ready() or self._has_begun(), begins=self._must_be_ready()
            )
            if not self._begins():
                return
            # What its streams began with.
            arrivals = [self.present()]
        await self.driver.settle(partial(self._is_done, arrivals))
        said, life = self._take_words()
        for name in life:
            self._complain(f"unwarranted: {name}")
        self._judge(arrivals, _asked(self.door), said)
        self.look()

    def look(self) -> None:
        """Complain of an end that nobody has brought about, whatever it had to say until then."""
        if self.runs and not self.driver.is_alive:
            self._complain(f"it ended by itself, with status {self.driver.status}")
            self.runs = False
            self._end()

    async def tell_again(self, back: int) -> None:
        """Let its node tell of a block again that is so far below its head."""
        before, chain = self.before(), self.station.chain
        block = chain.ancestor(chain.head, min(back, chain.head.level))
        if before.blocks and block.state.protocol == self.protocol.hash:
            self.door.push(BLOCKS, render.applied_item(chain, block))
            await self.judged([SeenBlock(block.header, self.station.network.chain_id)])

    def _is_done(self, arrivals: Sequence[Arrival]) -> bool:
        """Whether all has happened that had to happen."""
        assert self.judge is not None
        said = [each for each in self.heard if each.name not in _LIFE]
        return self.judge.is_content(arrivals, _of_interest(self.door.calls), said)

    def _take_words(self) -> tuple[list[Said], list[str]]:
        said = [each for each in self.heard if each.name not in _LIFE]
        life = [each.name for each in self.heard if each.name in _LIFE]
        self.heard.clear()
        return said, life

    def _has_begun(self) -> bool:
        return any(each.name == _START[-1] for each in self.heard)

    def _begins(self) -> bool:
        """Whether it begins a life just now; otherwise it is down, or waits, or should be ready."""
        if self._has_begun():
            self.heard = [each for each in self.heard if each.name not in _LIFE]
            self.judge = Judge(self.protocol.hash, self.protocol.long_name, self._preserved)
            self.judge.memory = Memory(self._preserved, chain_id=self.station.network.chain_id)
            self._knows_protocol = True
            self.decisions["life begun"] += 1
            return True
        said, life = self._take_words()
        _asked(self.door)
        self.look()
        if self._must_be_ready():
            self._complain(f"it runs, its node is there, and it is not ready; it said {life}")
        elif said:
            self._complain(f"unwarranted: {[each.name for each in said]}")
        return False

    def _judge(self, arrivals: Sequence[Arrival], calls: Sequence[Call], said: Sequence[Said]) -> None:
        assert self.judge is not None
        verdict = self.judge.judge(arrivals, calls, said)
        self.decisions.update(verdict.decisions)
        for complaint in verdict.complaints:
            self._complain(complaint)

    @property
    def _preserved(self) -> int:
        kept = self.watcher.preserved_levels
        return DEFAULT_PRESERVED if kept is None else kept

    def _must_be_ready(self) -> bool:
        if not (self.driver.is_alive and self.station.is_up):
            return False
        return self._knows_protocol or self.station.head.state.protocol == self.protocol.hash

    # Lives

    async def start(self) -> None:
        """Start the accuser, whose judge begins anew."""
        self.look()
        self.judge, self._knows_protocol = None, False
        self.door.faults.clear()
        await self.driver.start()
        self.runs = True
        await self.judged([])

    async def stop(self, how: str) -> None:
        """Stop the accuser; an event that the judge did not expect by then is a complaint."""
        if self.driver.is_alive:
            self.runs = False
            await self.driver.stop(how)
            await self.driver.settle(lambda: True)
            for each in self.heard:
                self._complain(f"unwarranted, at its end: {each.name}")
            self._end()

    async def lose_node(self) -> None:
        """Its node has died: it ends too, or looks for the node until that is there again."""
        await self.driver.settle(lambda: not self.driver.is_alive or self._goes_on())
        said = [each.name for each in self.heard]
        # Where the end of the mempool's stream comes first, it ends without that word, whatever it was told.
        if said not in ([], ["daemon_connection_lost"]):
            self._complain(f"its node was killed, and it said {said}")
        lives, goes_on = self.judge is not None, self.driver.is_alive
        if goes_on and lives and not (self.watcher.keep_alive and said):
            self._complain("its node was killed, and it goes on")
        if self.watcher.keep_alive and said and not goes_on:
            self._complain(f"its node was killed, and it ended in spite of --keep-alive; it said {said}")
        self.decisions["node lost, " + ("goes on" if goes_on else "ends")] += 1
        knows = self._knows_protocol and goes_on
        self._end()
        self._knows_protocol, self.runs = knows, goes_on

    def _goes_on(self) -> bool:
        """Whether it has said that its node is lost, and looks for it."""
        return self.watcher.keep_alive and bool(self.heard)

    def _end(self) -> None:
        self.judge, self._knows_protocol = None, False
        self.heard.clear()
        _asked(self.door)

    def _complain(self, text: str) -> None:
        self.complaints.append(f"{self.name}: {text}")


def _of_interest(calls: Sequence[Call]) -> list[Call]:
    """All but that for its chain's name, which it asks once."""
    return [each for each in calls if each.path != "/chains/main/chain_id"]


def _asked(door: Door) -> list[Call]:
    calls = _of_interest(door.calls)
    door.calls.clear()
    return calls
