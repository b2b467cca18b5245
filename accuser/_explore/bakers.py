"""The bakers of an exploration: the sandbox's automaton, in virtual time, beside a node of this process.

Invariants:
1. A baker acts on what its node has told it, one thing after the other, and signs nothing that the
   watermarks of its directory forbid.
2. Its clock is that of the links: it follows from the schedule alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from .._mavryk.codec.crypto import BOOTSTRAP, Key
from .._mavryk.codec.operations import Consensus, Operation
from .._mavryk.protocol import Protocol
from ..sandbox.baker.quorum import Pool
from ..sandbox.baker.schedule import Alarm, next_alarm
from ..sandbox.baker.selection import Fees, select
from ..sandbox.baker.state import Automaton
from ..sandbox.baker.values import (
    Action,
    Forge,
    Inject,
    Input,
    NewProposal,
    Note,
    Prequorum,
    Proposal,
    QuorumReached,
    Rights,
    SignedVote,
    SignVotes,
    Synchronize,
    VoteKind,
    Watch,
)
from ..sandbox.chain.block import Block
from ..sandbox.chain.chain import Chain
from ..sandbox.chain.mempool import Class
from ..sandbox.client.delegates import Constants, Head
from . import making
from .schedule import Maker
from .stations import NEVER, Payload, Station

_TOLD: Final = (Class.VALIDATED, Class.BRANCH_DELAYED)
_VOTES: Final[tuple[VoteKind, ...]] = ("preattestation", "attestation")
_FEES: Final = Fees()


@attrs.define(eq=False, repr=False)
class Directory:
    """The watermarks of one base directory: the last level and round of each kind, by delegate."""

    name: str
    """Tells it from every other one of the network."""
    marks: dict[tuple[str, str], tuple[int, int]] = attrs.field(factory=dict, init=False)

    def may_sign(self, kind: str, delegate: str, level: int, at_round: int) -> bool:
        """Whether a delegate may sign; it counts as having done so then."""
        mark = self.marks.get((kind, delegate))
        if mark is not None and mark >= (level, at_round):
            return False
        self.marks[kind, delegate] = level, at_round
        return True


@attrs.frozen
class Signed:
    """What a baker hands to its node."""

    payload: Payload
    below: Block | None
    """The block below it, if it is a block."""
    round: int


@attrs.define(eq=False, repr=False)
class Living:
    """A baker of the network: its automaton, its keys, and what waits to be done."""

    index: int
    maker: Maker
    station: Station
    directory: Directory = attrs.field(init=False)
    runs: bool = attrs.field(default=True, init=False)
    """Whether its process is there; it does nothing while its node is down."""
    _keys: dict[str, Key] = attrs.field(init=False)
    _automaton: Automaton | None = attrs.field(default=None, init=False)
    _pool: Pool = attrs.field(init=False)
    _alarm: Alarm | None = attrs.field(default=None, init=False)
    _inputs: deque[Input] = attrs.field(factory=deque, init=False)
    _held: list[tuple[int, NewProposal]] = attrs.field(factory=list, init=False)
    """Blocks that are ahead of its clock, and their times."""
    _orders: deque[Signed] = attrs.field(factory=deque, init=False)
    _directories: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        chosen = [BOOTSTRAP[one % len(BOOTSTRAP)] for one in self.maker.delegates]
        self._keys = {key.pkh: key for key in chosen}
        self._pool = Pool(0)
        self._new_directory()

    def _new_directory(self) -> None:
        self._directories += 1
        self.directory = Directory(f"directory {self._directories} of baker{self.index + 1}")

    # Its life

    def halt(self) -> None:
        """Stop its process; what it has written into its directory stays."""
        self.runs = False
        self.lose_node()

    def lose_node(self) -> None:
        """Its node is gone: it waits for it."""
        self._automaton, self._alarm = None, None
        self._inputs.clear()
        self._held.clear()
        self._orders.clear()

    def resume(self, now: float, *, forgets: bool = False) -> None:
        """Start it, if it does not run."""
        if self.runs:
            return
        self.runs = True
        if forgets:
            self._new_directory()
        self.begin(now)

    def begin(self, now: float) -> None:
        """Begin at its node's head, if it runs and its node is there."""
        self.lose_node()
        head = self.station.head
        if not self.runs or not self.station.is_up or head.state.calendar is None:
            return
        self._pool = Pool(_constants(head).consensus_threshold)
        latest = _proposal(self.station.chain, head)
        automaton = Automaton(
            latest, _clock_round(head, latest, now), strict=head.state.protocol == Protocol.BOREAS.hash
        )
        self._automaton = automaton
        self._refresh()
        self._learn_rights(automaton)
        self._act(automaton.start(automaton.round), now)
        self._schedule(now)

    # What its node tells

    def heard(self, what: Block | Operation, *, is_head: bool, now: float) -> None:
        """Its node has taken a block, or an operation."""
        automaton = self._automaton
        if automaton is None:
            return
        if isinstance(what, Operation):
            entry = self.station.node.mempool.entries.get(what.hash)
            if entry is not None and entry.kind in _TOLD:
                self._told(self._pool.add([what]))
            return
        proposal = _proposal(self.station.chain, what)
        for applied in (False, True) if is_head else (False,):
            self._proposed(NewProposal(proposal, applied), now)
        if is_head:
            self._refresh()

    def _proposed(self, new: NewProposal, now: float) -> None:
        when = new.proposal.block.shell.timestamp
        if when > making.ACTIVATED + now:
            self._held.append((when, new))
        else:
            self._inputs.append(new)

    def _refresh(self) -> None:
        """The mempool is looked at anew, as after each new head."""
        self._pool.flush()
        entries = self.station.node.mempool.entries.values()
        self._told(self._pool.add([entry.operation for entry in entries if entry.kind in _TOLD]))

    def _told(self, outcomes: Sequence[Note | QuorumReached]) -> None:
        self._inputs.extend(each for each in outcomes if isinstance(each, QuorumReached))

    # Time

    def next_at(self) -> float:
        """When it acts next, in seconds of the links."""
        if self._automaton is None:
            return NEVER
        if self._inputs or self._orders:
            return 0.0
        times = [float(when) for when, _ in self._held]
        if self._alarm is not None:
            times.append(self._alarm.at)
        return min(times, default=NEVER) - making.ACTIVATED

    def act(self, now: float) -> Iterator[Signed]:
        """Do what is to be done by now; gives what it hands to its node, which is taken before it goes on."""
        wall = making.ACTIVATED + now
        while self._automaton is not None:
            if self._orders:
                yield self._orders.popleft()
            elif self._inputs:
                self._step(self._inputs.popleft(), now)
            elif due := [each for each in self._held if each[0] <= wall]:
                self._held.remove(due[0])
                self._inputs.append(due[0][1])
            elif self._alarm is not None and self._alarm.at <= wall:
                self._inputs.append(self._alarm.happening)
                self._alarm = None
            else:
                return

    def _step(self, happening: Input, now: float) -> None:
        automaton = self._automaton
        assert automaton is not None
        if isinstance(happening, NewProposal) and _ends(happening, self.station):
            # From here on it is the baker of the next protocol that acts.
            self.begin(now)
            return
        head = self.station.head
        actions = automaton.step(happening, lambda proposal: _clock_round(head, proposal, now))
        self._learn_rights(automaton)
        self._act(actions, now)
        self._schedule(now)

    def _schedule(self, now: float) -> None:
        assert self._automaton is not None
        constants = _constants(self.station.head)
        self._alarm, _ = next_alarm(self._automaton, constants, 0.0, making.ACTIVATED + now)

    def _learn_rights(self, automaton: Automaton) -> None:
        automaton.rights = self._rights(automaton.level)
        automaton.next_rights = self._rights(automaton.level + 1)

    def _rights(self, level: int) -> Rights:
        calendar = self.station.head.state.calendar
        assert calendar is not None
        own = {pkh: tuple(slots) for pkh, slots in calendar.slots(level).items() if pkh in self._keys}
        return Rights(own, calendar.parameters.rights.committee_size)

    # Deeds

    def _act(self, actions: Sequence[Action], now: float) -> None:
        for action in actions:
            match action:
                case Note():
                    pass
                case Watch(kind, candidate):
                    self._told(self._pool.watch(kind, candidate, self._powers(candidate.level)))
                case SignVotes(proposal):
                    self._inputs.extend(self._votes(proposal))
                case Inject(vote):
                    self._orders.append(Signed(vote.operation, None, vote.round))
                case Forge():
                    self._orders.extend(self._forged(action))
                case Synchronize(proposal):
                    assert self._automaton is not None
                    clock_round = _clock_round(self.station.head, proposal, now)
                    self._act(self._automaton.synchronized(clock_round), now)

    def _powers(self, level: int) -> dict[int, int]:
        calendar = self.station.head.state.calendar
        assert calendar is not None
        return {slots[0]: len(slots) for slots in calendar.slots(level).values()}

    def _votes(self, proposal: Proposal) -> Iterator[SignedVote]:
        """Both votes of every delegate that has slots, and may sign."""
        level, at_round, payload = proposal.level, proposal.block.round, proposal.payload
        rights, before = self._rights(level), proposal.predecessor
        is_boreas = self.station.head.state.protocol == Protocol.BOREAS.hash
        branch = before.shell.predecessor if is_boreas else before.hash
        for kind in _VOTES:
            for pkh, slots in rights.slots.items():
                if self.directory.may_sign(kind, pkh, level, at_round):
                    content = Consensus(kind, slots[0], level, at_round, payload)
                    made = making.signed(self.station.chain, self._keys[pkh], branch, content)
                    yield SignedVote(kind, pkh, level, at_round, payload, made)

    def _forged(self, order: Forge) -> Iterator[Signed]:
        """The block, if there can be one, and the watermark lets it."""
        chain = self.station.chain
        below = chain.blocks.get(order.predecessor.hash)
        if below is None or below.state.calendar is None:
            return
        again, kept = order.again, None
        if again is not None and order.prequorum is not None:
            kept = making.Kept(order.prequorum.payload_hash, again.payload_round)
            operations = [*_of_payload(again), *order.prequorum.votes]
        else:
            known = [*self._pool.for_block(order.quorum), *_of_payload(again)]
            passes = select([], known, order.predecessor, chain.live_blocks(below), _FEES)
            operations = [one for passed in passes for one in passed]
        # Of two bakers with one key, each makes blocks of its own.
        made = making.block(chain, below, order.round, self.index, operations, kept)
        if made is not None and self.directory.may_sign("block", order.delegate, order.level, order.round):
            yield Signed(made, below, order.round)


def _of_payload(proposal: Proposal | None) -> list[Operation]:
    """What a block of a level has that another one of that level may have too."""
    if proposal is None:
        return []
    return [one for passed in proposal.operations for one in passed if not _preattests(one)]


def _preattests(operation: Operation) -> bool:
    return isinstance(operation.content, Consensus) and operation.content.kind == "preattestation"


def _ends(happening: NewProposal, station: Station) -> bool:
    """Whether a protocol begins with a block, on which its baker builds."""
    proposal = happening.proposal
    return happening.applied and proposal.is_first_of_protocol and station.head.hash == proposal.block.hash


def _constants(head: Block) -> Constants:
    assert head.state.calendar is not None
    parameters = head.state.calendar.parameters
    return Constants(
        minimal_block_delay=parameters.minimal_block_delay,
        delay_increment_per_round=parameters.delay_increment_per_round,
        committee_size=parameters.rights.committee_size,
        consensus_threshold=parameters.consensus_threshold,
        proof_of_work_threshold=parameters.proof_of_work_threshold,
    )


def _clock_round(head: Block, proposal: Proposal, now: float) -> int:
    return _constants(head).round_at(proposal.predecessor, making.ACTIVATED + now)


def _proposal(chain: Chain, block: Block) -> Proposal:
    data = block.protocol_data
    votes = [one for one in (block.operations[0] if block.operations else ()) if _preattests(one)]
    prequorum = None
    if votes:
        content = votes[0].content
        assert isinstance(content, Consensus)
        prequorum = Prequorum(content.level, content.round, content.payload_hash, tuple(votes))
    return Proposal(
        _head(block),
        _head(chain.predecessor(block)),
        block.operations,
        0 if data is None else data.payload_round,
        prequorum,
    )


def _head(block: Block) -> Head:
    shell = block.header.shell
    return Head(block.hash, shell, 0 if block.protocol_data is None else block.round, block.payload_hash)
