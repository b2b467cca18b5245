"""A baker from its start to the loss of the node: streams, steps of the automaton, votes.

Invariants:
1. One task steps the automaton; what comes reaches it by one queue.
2. Nothing is signed before its watermark is written.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar
from typing import Protocol as Typed

import attrs
import trio

from ..._http.client import Connect
from ..._mavryk.codec.operations import Operation
from ..._mavryk.protocol import Protocol
from ..accuser.client_daemon import NodeLost, subscribe
from ..client.delegates import Constants, Slots
from ..client.wallet import SHORT_CHAIN, Wallet
from ..rpc.client import Rpc
from ..rpc.request import Request, RpcFailed, Undecodable
from ..sink.sink import Sink
from . import show
from .baking import BlockMaker, sleep_until
from .blocks import Blocks, Seen, anything, head_item, validated_item
from .disk import Incompatible, StateFile
from .events import Events
from .forging import Forger
from .nonces import Nonces
from .quorum import Pool
from .schedule import Alarm, next_alarm
from .selection import parse
from .settings import Settings
from .state import Automaton
from .values import (
    Action,
    Forge,
    Inject,
    Input,
    NewProposal,
    Note,
    Proposal,
    QuorumReached,
    Rights,
    SignVotes,
    Synchronize,
    Watch,
)
from .voting import Voter

MEMPOOL: Final = (
    "/chains/main/mempool/monitor_operations?version=1&validated=yes&refused=no&outdated=no"
    "&branch_refused=no&branch_delayed=yes"
)
T = TypeVar("T")


@attrs.frozen
class _Arrived:
    seen: Seen
    applied: bool


@attrs.frozen
class _Batch:
    operations: tuple[Operation, ...]
    """None of them: the stream of the mempool has ended."""
    ended: bool = False


@attrs.frozen
class _Lost:
    pass


class Surroundings(Typed):
    """What a baker has around it; `loop.Baker` is one."""

    protocol: Protocol
    rpc: Rpc
    sink: Sink
    wall: Callable[[], float]
    wallet: Wallet
    settings: Settings
    connect_to: Callable[[str], Connect | None]


class Run:
    """A baker from its start to the loss of the node."""

    def __init__(
        self, baker: Surroundings, nursery: trio.Nursery, chain: str, constants: Constants, pre_emptive: float
    ) -> None:
        protocol = baker.protocol
        self._baker = baker
        self._nursery = nursery
        self._chain = chain
        self._constants = constants
        self._pre_emptive = pre_emptive
        self._wall = baker.wall
        self._rpc = baker.rpc
        self._events = Events(baker.sink, protocol.long_name, protocol is Protocol.BOREAS)
        self._nonces = Nonces(baker.rpc, baker.wallet.folder, chain)
        self._forger = Forger(
            baker.rpc,
            baker.wallet,
            chain,
            protocol.hash,
            protocol.long_name,
            constants,
            self._nonces,
            baker.settings.fees,
            branch_on_predecessor=protocol is not Protocol.BOREAS,
        )
        self._blocks = Blocks(baker.rpc)
        self._pool = Pool(constants.consensus_threshold)
        asks_dal = baker.settings.dal_node is None and protocol is not Protocol.ATLAS
        self._voter = Voter(self._forger, self._events, asks_dal)
        self._maker = BlockMaker(
            self._forger, self._events, self._pool, baker.settings, baker.wall, baker.connect_to
        )
        name = f"{chain[:SHORT_CHAIN]}_baker_state"
        self._file = StateFile(baker.wallet.folder / name) if baker.settings.record_state else None
        self._signers = {key.pkh: key for key in baker.settings.keys}
        self._slots: dict[int, Slots] = {}
        send, self._queue = trio.open_memory_channel[_Arrived | _Batch | _Lost](math.inf)
        self._send = send
        self._pending: deque[Input] = deque()
        self._alarm: Alarm | None = None
        self._predecessor = ""
        self._automaton: Automaton

    async def go(self) -> None:
        """Bake. Raises ``RpcFailed``."""
        if self._baker.protocol is not Protocol.ATLAS:
            await self._ask("/config/network/dal")
        await self._ask("/chains/main/chain_id")
        await self._events.note("success_migrate_nonces")
        path = f"/monitor/heads/main?next_protocol={self._baker.protocol.hash}"
        heads = await subscribe(self._rpc, self._nursery, path, head_item)
        first = await _next(heads)
        if first is None:
            raise _lost()
        self._nursery.start_soon(self._pump, heads, True)
        await self._monitor_mempool()
        await self._ask("/chains/main/blocks/head/header/shell")
        await self._events.note("revelation_worker_started")
        self._nursery.start_soon(self._validated)
        head = await self._blocks.proposal(first)
        self._automaton = Automaton(
            head, self._clock_round(head), strict=self._baker.protocol is Protocol.BOREAS
        )
        await self._learn_rights()
        await self._recall()
        await self._reveal(head)
        await self._act(self._automaton.start(self._clock_round(head)))
        await self._schedule()
        while True:
            while self._pending:
                await self._step(self._pending.popleft())
            await self._wait()

    # What comes

    @trio.lowlevel.enable_ki_protection
    async def _validated(self) -> None:
        path = f"/monitor/validated_blocks?next_protocol={self._baker.protocol.hash}&chain=main"
        try:
            async with self._rpc.stream(path, validated_item) as items:
                async for seen in items:
                    self._send.send_nowait(_Arrived(seen, False))
        except RpcFailed:
            pass
        self._send.send_nowait(_Lost())

    @trio.lowlevel.enable_ki_protection
    async def _pump(self, items: trio.MemoryReceiveChannel[Seen], applied: bool) -> None:
        async for seen in items:
            self._send.send_nowait(_Arrived(seen, applied))
        self._send.send_nowait(_Lost())

    async def _monitor_mempool(self) -> None:
        batches = await subscribe(self._rpc, self._nursery, MEMPOOL, batch)
        await self._events.note("starting_new_monitoring")

        @trio.lowlevel.enable_ki_protection
        async def pump() -> None:
            async for operations in batches:
                self._send.send_nowait(_Batch(operations))
            self._send.send_nowait(_Batch((), ended=True))

        self._nursery.start_soon(pump)

    async def _wait(self) -> None:
        """Take what comes next: something of the node, or the alarm."""
        alarm = self._alarm
        item: _Arrived | _Batch | _Lost | None = None
        timeout = math.inf if alarm is None else max(0.0, alarm.at - self._wall())
        with trio.move_on_after(timeout):
            item = await self._queue.receive()
        match item:
            case None:
                assert alarm is not None
                await sleep_until(alarm.at, self._wall)
                self._pending.append(alarm.happening)
            case _Lost():
                raise _lost()
            case _Batch(ended=True):
                await self._events.note("end_of_stream")
                self._pool.flush()
                if self._baker.protocol is not Protocol.ALPHA:
                    await self._events.note("resetting_monitoring")
                await self._reopen()
            case _Batch(operations):
                await self._told(self._pool.add(operations))
            case _Arrived(seen, applied):
                await self._arrived(seen, applied)

    async def _reopen(self) -> None:
        try:
            await self._monitor_mempool()
        except RpcFailed as error:
            # As upstream's: no quorum is ever seen again.
            await self._events.note("loop_failed", error.trace)

    async def _arrived(self, seen: Seen, applied: bool) -> None:
        try:
            proposal = await self._blocks.proposal(seen)
        except RpcFailed as error:
            what = "heads" if applied else "valid_proposals"
            await self._events.note(f"error_while_monitoring_{what}", error.trace)
            return
        when = proposal.block.shell.timestamp
        if when > self._wall():
            await self._events.note("proposal_in_the_future", seen.hash)
            self._nursery.start_soon(self._hold_back, seen, applied, when)
            return
        self._pending.append(NewProposal(proposal, applied))

    @trio.lowlevel.enable_ki_protection
    async def _hold_back(self, seen: Seen, applied: bool, when: float) -> None:
        await sleep_until(when, self._wall)
        await self._events.note("process_proposal_in_the_future", seen.hash)
        self._send.send_nowait(_Arrived(seen, applied))

    # Steps

    async def _step(self, happening: Input) -> None:
        automaton = self._automaton
        if (value := show.step(automaton.phase, happening)) is not None:
            await self._events.note("step_current_phase", value, event=value["event"][0])
        actions = automaton.step(happening, self._clock_round)
        try:
            await self._learn_rights()
            await self._act(actions)
        except RpcFailed as error:
            await self._events.note("error_while_baking", error.trace)
        await self._schedule()
        if self._file is not None:
            self._file.save(automaton)
        latest = automaton.latest
        if isinstance(happening, NewProposal) and latest.block.hash == happening.proposal.block.hash:
            await self._reveal(latest)

    async def _recall(self) -> None:
        """Take over the lock that another run wrote down."""
        if self._file is not None:
            try:
                self._file.load(self._automaton)
            except Incompatible:
                await self._events.note("incompatible_stored_state")

    async def _reveal(self, latest: Proposal) -> None:
        """At each new predecessor, reveal what is to be revealed."""
        if latest.predecessor.hash == self._predecessor or latest.predecessor.payload_hash is None:
            return
        self._predecessor = latest.predecessor.hash
        for note in await self._nonces.reveal(self._predecessor):
            words = {"nonce": ""} if note.name == "revealing_nonce" else {}
            await self._events.emit(note, **words)

    async def _schedule(self) -> None:
        self._alarm, notes = next_alarm(self._automaton, self._constants, self._pre_emptive, self._wall())
        for note in notes:
            await self._events.emit(note)

    def _clock_round(self, proposal: Proposal) -> int:
        return self._constants.round_at(proposal.predecessor, self._wall())

    async def _learn_rights(self) -> None:
        automaton, size = self._automaton, self._constants.committee_size
        for level in (automaton.level, automaton.level + 1):
            if level not in self._slots:
                path = f"/chains/{self._chain}/blocks/head/helpers/validators?level={level}"
                values = await self._rpc.call(Request("GET", path, self._read_slots(level)))
                self._slots[level] = values
                self._events.keys.update(values.keys)
        self._slots = {level: own for level, own in self._slots.items() if level >= automaton.level - 1}
        automaton.rights = _rights(self._slots[automaton.level], size)
        automaton.next_rights = _rights(self._slots[automaton.level + 1], size)

    def _read_slots(self, level: int) -> Callable[[object], Slots]:
        def read(value: object) -> Slots:
            try:
                assert isinstance(value, list)
                own = [entry for entry in value if entry["consensus_key"] in self._signers]
                return Slots(
                    level,
                    {entry["delegate"]: self._signers[entry["consensus_key"]] for entry in own},
                    {entry["delegate"]: sorted(entry["slots"]) for entry in own},
                    {min(entry["slots"]): len(entry["slots"]) for entry in value if entry["slots"]},
                )
            except (AssertionError, LookupError, TypeError) as error:
                raise Undecodable(str(error)) from error

        return read

    async def _act(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Note():
                    await self._events.emit(action)
                case Watch(kind, candidate):
                    slots = self._slots.get(candidate.level)
                    powers = {} if slots is None else slots.powers
                    await self._told(self._pool.watch(kind, candidate, powers))
                case SignVotes(proposal):
                    await self._maker.settle()
                    self._pending.extend(await self._voter.sign(proposal, self._slots[proposal.level]))
                case Inject(vote):
                    await self._voter.inject(vote)
                case Forge():
                    self._nursery.start_soon(self._maker.bake, action)
                case Synchronize(proposal):
                    await self._act(self._automaton.synchronized(self._clock_round(proposal)))

    async def _told(self, outcomes: Sequence[Note | QuorumReached]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Note):
                await self._events.emit(outcome)
            else:
                self._pending.append(outcome)

    async def _ask(self, path: str) -> Any:
        return await self._rpc.call(Request("GET", path, anything))


def batch(value: object) -> tuple[Operation, ...]:
    """An item of ``monitor_operations``. Raises ``Undecodable``."""
    if not isinstance(value, list):
        raise Undecodable("not a list")
    return tuple(parse(value))


def _rights(slots: Slots, size: int) -> Rights:
    return Rights({delegate: tuple(own) for delegate, own in slots.slots.items()}, size)


def _lost() -> NodeLost:
    identifier = "baker.node_connection_lost"
    return NodeLost([{"kind": "temporary", "id": identifier}], "Lost connection with the node")


async def _next(channel: trio.MemoryReceiveChannel[T]) -> T | None:
    try:
        return await channel.receive()
    except trio.EndOfChannel:
        return None
