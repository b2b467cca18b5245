"""The shell of a baker: it asks, waits, signs and injects what its automaton wants, over RPC alone.

Invariants:
1. One task steps the automaton; streams and forged blocks reach it by one queue.
2. Nothing is signed before its watermark is written.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import trio

from ..._http.client import Connect
from ..._mavryk.codec.crypto import Key
from ..._mavryk.codec.operations import Operation
from ..._mavryk.protocol import Protocol
from ..accuser import answers
from ..accuser.loop import COMMIT, VERSION, Console, Life, NodeLost, Unexpected
from ..accuser.waiting import subscribe, wait_bootstrapped, wait_protocol
from ..client.delegates import Constants, Slots
from ..client.wallet import Wallet, WalletError
from ..rpc.client import Rpc
from ..rpc.request import Request, RpcFailed
from ..sink.sink import Sink
from . import show, votefile
from .blocks import Blocks, Seen, anything, head_item, validated_item
from .events import Events
from .forging import Forger, Twice, external_operations, injection
from .nonces import Nonces
from .quorum import Pool
from .schedule import Alarm, next_alarm
from .selection import Fees, parse
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
    SignedVote,
    SignVotes,
    Synchronize,
    VoteKind,
    Watch,
)
from .votefile import VoteFileError, Votes

MEMPOOL: Final = (
    "/chains/main/mempool/monitor_operations?version=1&validated=yes&refused=no&outdated=no"
    "&branch_refused=no&branch_delayed=yes"
)
_DAL_EVERY: Final = 10
"""An attestation without a DAL node is complained of this seldom."""

T = TypeVar("T")


@attrs.frozen
class Settings:
    """What the command line says."""

    keys: tuple[Key, ...]
    votes: Votes
    vote_file: Path | None = None
    operations_pool: str | None = None
    dal_node: str | None = None
    fees: Fees = attrs.Factory(Fees)
    pre_emptive: float | None = None
    """Seconds; None for 15 % of the time of a block."""
    keep_alive: bool = False


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


@attrs.define(eq=False)
class Baker:
    """The daemon without its process. ``wall`` gives seconds since the epoch; delays follow trio's clock."""

    protocol: Protocol
    rpc: Rpc
    sink: Sink
    console: Console
    wall: Callable[[], float]
    wallet: Wallet
    settings: Settings
    life: Life = attrs.Factory(Life)
    connect_to: Callable[[str], Connect | None] = attrs.field(default=lambda url: None)

    async def run(self) -> None:
        """Bake until the node is lost. Raises ``RpcFailed``; ``Unexpected`` with ``keep_alive``."""
        failure: RpcFailed | Unexpected | None = None
        async with trio.open_nursery() as streams:
            try:
                await self._run(streams)
            except (RpcFailed, Unexpected) as error:
                failure = error
            streams.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _run(self, streams: trio.Nursery) -> None:
        await wait_bootstrapped(self.rpc, self.console, self.wall, tries=5)
        await self.console.message(f"Waiting for protocol {self.protocol.long_name} to start...")
        await wait_protocol(self.rpc, streams, self.protocol)
        while True:
            try:
                await self._live()
            except NodeLost:
                if not self.settings.keep_alive:
                    raise
            except RpcFailed as error:
                if not self.settings.keep_alive:
                    raise
                raise Unexpected(error) from error
            await self.console.warning("Lost connection with the node. Retrying to establish connection...")
            await wait_bootstrapped(self.rpc, self.console, self.wall, tries=None, max_delay=10.0)

    async def _live(self) -> None:
        """One connection with the node. Raises ``RpcFailed``."""
        await self._ask("/config/network/user_activated_upgrades")
        chain: str = await self.rpc.call(Request("GET", "/chains/main/chain_id", answers.chain_id))
        path = f"/chains/{chain}/blocks/head/context/constants"
        constants: Constants = await self.rpc.call(Request("GET", path, constants_answer))
        pre_emptive = await self._pre_emptive(constants)
        short = self.protocol.hash[:12]
        await self.console.message(f"Baker {VERSION} ({COMMIT}) for {short} started.")
        self.life.starts += 1
        failure: RpcFailed | None = None
        async with trio.open_nursery() as nursery:
            run = Run(self, nursery, chain, constants, pre_emptive)
            try:
                await run.go()
            except RpcFailed as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _pre_emptive(self, constants: Constants) -> float:
        given, delay = self.settings.pre_emptive, constants.minimal_block_delay
        seconds = 0.15 * delay if given is None else given
        if seconds >= delay:
            text = f"pre-emptive-forge-time must be less than current block time (<= {delay:f} seconds)"
            raise RpcFailed([{"kind": "temporary", "id": "failure", "msg": text}], text)
        if seconds > 0:
            await self.console.message(
                f"pre-emptive-forge-time optimization set to {seconds:f}s. Operation inclusion window is "
                f"~{delay - seconds:f}s. Caution: Setting this too high may result in reduced block "
                "proposal rewards."
            )
        return seconds

    async def _ask(self, path: str) -> Any:
        return await self.rpc.call(Request("GET", path, anything))


def constants_answer(value: object) -> Constants:
    """The answer to ``context/constants``. Raises ``Undecodable``."""
    try:
        assert isinstance(value, dict)
        return Constants(
            minimal_block_delay=int(value["minimal_block_delay"]),
            delay_increment_per_round=int(value["delay_increment_per_round"]),
            committee_size=int(value["consensus_committee_size"]),
            consensus_threshold=int(value["consensus_threshold"]),
            proof_of_work_threshold=int(value["proof_of_work_threshold"]),
        )
    except (AssertionError, LookupError, TypeError, ValueError) as error:
        raise answers.Undecodable(str(error)) from error


class Run:
    """A baker from its start to the loss of the node."""

    def __init__(
        self, baker: Baker, nursery: trio.Nursery, chain: str, constants: Constants, pre_emptive: float
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
        self._signers = {key.pkh: key for key in baker.settings.keys}
        self._slots: dict[int, Slots] = {}
        self._votes = baker.settings.votes
        self._attested: dict[str, int] = {}
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
        await self._reveal(head)
        await self._act(self._automaton.start(self._clock_round(head)))
        await self._schedule()
        while True:
            while self._pending:
                await self._step(self._pending.popleft())
            await self._wait()

    # What comes

    async def _validated(self) -> None:
        path = f"/monitor/validated_blocks?next_protocol={self._baker.protocol.hash}&chain=main"
        try:
            async with self._rpc.stream(path, validated_item) as items:
                async for seen in items:
                    self._send.send_nowait(_Arrived(seen, False))
        except RpcFailed:
            pass
        self._send.send_nowait(_Lost())

    async def _pump(self, items: trio.MemoryReceiveChannel[Seen], applied: bool) -> None:
        async for seen in items:
            self._send.send_nowait(_Arrived(seen, applied))
        self._send.send_nowait(_Lost())

    async def _monitor_mempool(self) -> None:
        batches = await subscribe(self._rpc, self._nursery, MEMPOOL, batch)
        await self._events.note("starting_new_monitoring")

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
                await self._sleep_until(alarm.at)
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

    async def _hold_back(self, seen: Seen, applied: bool, when: float) -> None:
        await self._sleep_until(when)
        await self._events.note("process_proposal_in_the_future", seen.hash)
        self._send.send_nowait(_Arrived(seen, applied))

    async def _sleep_until(self, when: float) -> None:
        # A sleep may end just before the time that this clock shows.
        while (rest := when - self._wall()) > 0:  # noqa: ASYNC110
            # No shorter than the clock can tell.
            await trio.sleep(max(rest, 1e-6))

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
        latest = automaton.latest
        if isinstance(happening, NewProposal) and latest.block.hash == happening.proposal.block.hash:
            await self._reveal(latest)

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
                raise answers.Undecodable(str(error)) from error

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
                    await self._sign(proposal)
                case Inject(vote):
                    await self._inject(vote)
                case Forge():
                    self._nursery.start_soon(self._bake, action)
                case Synchronize(proposal):
                    await self._act(self._automaton.synchronized(self._clock_round(proposal)))

    async def _told(self, outcomes: Sequence[Note | QuorumReached]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Note):
                await self._events.emit(outcome)
            else:
                self._pending.append(outcome)

    # Votes

    async def _sign(self, proposal: Proposal) -> None:
        slots = self._slots[proposal.level]
        for kind in ("preattestation", "attestation"):
            await self._sign_kind(kind, proposal, slots)

    async def _sign_kind(self, kind: VoteKind, proposal: Proposal, slots: Slots) -> None:
        level, at_round = proposal.level, proposal.block.round
        if not slots.keys:
            return
        try:
            allowed, refused = self._forger.authorized(kind, slots, level, at_round)
        except WalletError as error:
            trace = [{"kind": "temporary", "id": "failure", "msg": str(error)}]
            await self._events.note("error_while_authorizing_consensus_votes", trace)
            return
        for delegate, twice in refused.items():
            value = {
                "vote_kind": {},
                "delegate": delegate,
                "level": level,
                "round": at_round,
                "trace": twice.trace,
            }
            await self._events.note("skipping_consensus_vote", value, kind=kind)
        for delegate in allowed:
            if kind == "attestation":
                await self._miss_dal(delegate)
            operation = self._forger.vote(kind, proposal, slots.slots[delegate][0], slots.keys[delegate])
            vote = SignedVote(kind, delegate, level, at_round, proposal.payload, operation)
            value = show.signed_vote(vote, self._events.signer(delegate))
            named = self._events.named(delegate)
            text = f"{kind} ready for delegate {named} at level {level} (round {at_round})"
            await self._events.note("new_forge_event", value, event=text)
            self._pending.append(vote)

    async def _miss_dal(self, delegate: str) -> None:
        if self._baker.settings.dal_node is not None or self._baker.protocol is Protocol.ATLAS:
            return
        count = self._attested[delegate] = self._attested.get(delegate, 0) + 1
        if count % _DAL_EVERY == 1:
            await self._events.note("no_dal_node")

    async def _inject(self, vote: SignedVote) -> None:
        path = f"/injection/operation?async&chain={self._chain}"
        data = vote.operation.to_bytes().hex()
        try:
            injected = await self._rpc.call(Request("POST", path, answers.operation_hash, data))
        except RpcFailed as error:
            lost = {"vote_kind": {}, "delegate": vote.delegate, "trace": error.trace}
            await self._events.note("failed_to_inject_consensus_vote", lost, kind=vote.kind)
            return
        value: dict[str, Any] = {
            "vote_kind": {},
            "ophash": injected,
            "delegate": vote.delegate,
            "level": vote.level,
            "round": vote.round,
        }
        await self._events.note("consensus_vote_injected", value, kind=vote.kind)

    # Blocks

    async def _bake(self, order: Forge) -> None:
        place = {"level": order.level, "round": order.round, "delegate": order.delegate}
        await self._events.note("prepare_forging_block", place)
        await self._events.note("forging_block", place)
        trace: list[Any]
        try:
            await self._forge(order, place)
            return
        except Twice as error:
            await self._events.note("potential_double_baking", {"level": order.level, "round": order.round})
            trace = error.trace
        except RpcFailed as error:
            trace = error.trace
        except (WalletError, OSError, ValueError) as error:
            trace = [{"kind": "temporary", "id": "failure", "msg": str(error)}]
        await self._events.note("failed_to_forge_block", {"delegate": order.delegate, "trace": trace})

    async def _forge(self, order: Forge, place: dict[str, Any]) -> None:
        votes = await self._read_votes()
        await self._events.note("vote_for_liquidity_baking_toggle", votes.liquidity_baking)
        await self._events.note("vote_for_adaptive_issuance", votes.adaptive_issuance)
        external: list[Operation] = []
        if (source := self._baker.settings.operations_pool) is not None:
            external, notes = await external_operations(source, self._baker.connect_to)
            for note in notes:
                await self._events.emit(note)
        key = self._events.keys[order.delegate]
        made = await self._forger.block(order, key, self._pool.for_block(order.quorum), external, votes)
        if made.nonce is not None:
            note = self._nonces.register(made.nonce, made.hash, made.cycle, order.level, order.round)
            await self._events.emit(note)
        value = show.signed_block(made, order.round, votes, self._events.signer(order.delegate))
        named = self._events.named(order.delegate)
        text = f"block ready for delegate: {named} at level {order.level} (round: {order.round})"
        await self._events.note("new_forge_event", value, event=text)
        when = made.header.shell.timestamp
        if (delay := when - self._wall()) > 0:
            await self._events.note("delayed_block_injection", {"delay": delay, **place})
            await self._sleep_until(when)
        await self._events.note("injecting_block", place)
        try:
            injected = await self._rpc.call(injection(made, self._chain))
        except RpcFailed as error:
            failed = {"block_hash": made.hash, "trace": error.trace}
            await self._events.note("block_injection_failed", failed)
            return
        self._votes = votes
        await self._events.note("block_injected", {"block": injected, **place})

    async def _read_votes(self) -> Votes:
        path = self._baker.settings.vote_file
        if path is None:
            return self._votes
        await self._events.note("reading_per_block_votes", str(path))
        try:
            return votefile.read(path, self._baker.protocol.long_name, self._votes)
        except VoteFileError as error:
            await self._events.note("per_block_vote_file_error", [error.error])
            return self._votes

    async def _ask(self, path: str) -> Any:
        return await self._rpc.call(Request("GET", path, anything))


def batch(value: object) -> tuple[Operation, ...]:
    """An item of ``monitor_operations``. Raises ``Undecodable``."""
    if not isinstance(value, list):
        raise answers.Undecodable("not a list")
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
