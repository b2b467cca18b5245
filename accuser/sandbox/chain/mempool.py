"""Operations that wait for a block, by what the node thinks of them.

Pure. The classes are upstream's (``src/lib_shell/prevalidator_classification.ml``); an operation is
in one of them at most. A new head makes all but the refused ones be judged again.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs

from ..._mavryk.codec.manager import Manager
from ..._mavryk.codec.operations import (
    Consensus,
    DoubleBaking,
    DoubleConsensus,
    Operation,
)
from ..._mavryk.codec.votes import Ballot, Proposals
from . import consensus, economic_rules, evidence, manager_rules, other_rules
from .chain import Chain, HeadChange
from .economic_rules import conflict_key
from .fee_filter import FeeFilter
from .trace import (
    BRANCH,
    OUTDATED,
    PERMANENT,
    NodeError,
    failure,
)


class Class(enum.Enum):
    """What becomes of an operation; the values are the names in RPCs."""

    VALIDATED = "validated"
    REFUSED = "refused"
    """Never valid: forgotten at no flush."""
    OUTDATED = "outdated"
    BRANCH_REFUSED = "branch_refused"
    """Valid on another branch at most."""
    BRANCH_DELAYED = "branch_delayed"
    """May become valid."""


_CLASS_OF_KIND: Final = {PERMANENT: Class.REFUSED, BRANCH: Class.BRANCH_REFUSED, OUTDATED: Class.OUTDATED}

MAX_REFUSED: Final = 1000
"""How many operations of each class but the validated ones are remembered (upstream's bound)."""


@attrs.frozen(eq=False)
class Classified:
    """An operation and the judgement on it. ``error`` is None for a validated one."""

    operation: Operation
    kind: Class
    error: NodeError | None = None


@attrs.define(eq=False, repr=False)
class Mempool:
    """The mempool on top of a chain's head; call `flush` whenever the head changes."""

    chain: Chain
    entries: dict[str, Classified] = attrs.field(init=False, factory=dict)
    """By operation hash, oldest first."""
    filter: FeeFilter = attrs.field(init=False, factory=FeeFilter)
    banned: set[str] = attrs.field(init=False, factory=set)
    """Hashes of operations that are not to be taken."""
    _seen: dict[tuple[object, ...], str] = attrs.field(init=False, factory=dict)

    def known(self, operation: str) -> bool:
        """Whether the operation needs no judgement any more: it is here, in a live block, or banned."""
        return (
            operation in self.entries
            or operation in self.banned
            or self.chain.is_included(operation, self.chain.live_blocks(self.chain.head))
        )

    def ban(self, operation: str) -> None:
        """Forget an operation, by its hash, and take it no more; judge anew what it stood in the way of."""
        self.banned.add(operation)
        if self.entries.pop(operation, None) is not None:
            old, self.entries, self._seen = self.entries, {}, {}
            for entry in old.values():
                self.add(self.classify(entry.operation) if entry.kind is Class.VALIDATED else entry)

    def of(self, kind: Class) -> list[Classified]:
        """The operations of a class, oldest first."""
        return [entry for entry in self.entries.values() if entry.kind is kind]

    def is_live(self, operation: Operation) -> bool:
        """Whether its branch is one that it may still be included on."""
        return operation.branch in self.chain.live_blocks(self.chain.head)

    def classify(self, operation: Operation) -> Classified:
        """Judge an operation on top of the head; nothing is kept.

        Whether its branch is live is not asked: upstream does not ask it of forced ones.
        """
        state = self.chain.head.state
        try:
            if state.calendar is None:
                raise failure("The mempool of the genesis protocol takes no operations.")
            self._check(operation)
            existing = self._seen.get(conflict_key(operation, state.protocol), operation.hash)
            if existing != operation.hash:
                if isinstance(operation.content, Consensus):
                    raise consensus.mempool_conflict_error(operation)
                if isinstance(operation.content, Manager):
                    old = self.entries[existing].operation
                    manager_rules.check_replacement(operation, old, self.filter)
                    return Classified(operation, Class.VALIDATED)
                raise economic_rules.conflict_error(operation, existing, state.protocol)
        except NodeError as error:
            return Classified(operation, _CLASS_OF_KIND.get(error.kind, Class.BRANCH_DELAYED), error)
        return Classified(operation, Class.VALIDATED)

    def _check(self, operation: Operation) -> None:
        head, network = self.chain.head, self.chain.network
        content = operation.content
        if isinstance(content, Consensus):
            consensus.check_in_mempool(operation, head.state, head.level, network.chain_id)
        elif isinstance(content, Proposals | Ballot):
            economic_rules.check_vote(operation, content, head.state)
        elif isinstance(content, Manager):
            manager_rules.check_in_mempool(operation, head.state, self.filter)
        elif isinstance(content, DoubleBaking | DoubleConsensus):
            evidence.check(content, head.state, head.level + 1, network.chain_id)
        else:
            other_rules.check(operation, content, head.state, head.level + 1)

    def add(self, entry: Classified) -> Classified | None:
        """Keep a judged operation; return the one whose place it takes, in its new class."""
        operation = entry.operation
        self.entries[operation.hash] = entry
        if entry.kind is Class.VALIDATED:
            key = conflict_key(operation, self.chain.head.state.protocol)
            replaced = self._seen.get(key, operation.hash)
            self._seen[key] = operation.hash
            if replaced == operation.hash:
                return None
            error = manager_rules.replacement_error(replaced, operation)
            late = Classified(self.entries.pop(replaced).operation, Class.BRANCH_DELAYED, error)
            self.add(late)
            return late
        others = self.of(entry.kind)
        for old in others[: len(others) - MAX_REFUSED]:
            del self.entries[old.operation.hash]
        return None

    def not_live(self, operation: Operation) -> str:
        """Why an operation's branch is refused, in upstream's words."""
        count = len(self.chain.live_blocks(self.chain.head))
        return (
            f"Operation {operation.hash} is branched on either:\n"
            f" - a block {operation.branch} which is too old ({count} blocks in the past)\n"
            " - a predecessor block from an alternative branch which is now unknown"
        )

    def flush(self, change: HeadChange, left: list[Operation]) -> list[Classified]:
        """Judge everything again on a new head.

        Args:
            change: what happened to the head.
            left: operations of the blocks that the head's branch lost.

        Returns:
            What was kept, in its new classes.
        """
        old, self.entries, self._seen = self.entries, {}, {}
        live = self.chain.live_blocks(self.chain.head)
        again = list(left)
        for entry in old.values():
            if entry.kind is Class.REFUSED:
                self.entries[entry.operation.hash] = entry
            # An operation that the branch refuses has another chance on another branch only.
            elif entry.kind is not Class.BRANCH_REFUSED or change is HeadChange.SWITCH:
                again.append(entry.operation)
            else:
                self.entries[entry.operation.hash] = entry
        kept = []
        for operation in again:
            if operation.hash in self.entries or operation.hash in self.banned:
                continue
            if operation.branch not in live:
                continue
            if self.chain.is_included(operation.hash, live):
                continue
            entry = self.classify(operation)
            self.add(entry)
            kept.append(entry)
        for entry in list(self.entries.values()):
            if entry.kind is not Class.VALIDATED and entry.operation.branch not in live:
                del self.entries[entry.operation.hash]
        return kept

    def restart(self) -> None:
        """Begin anew under another protocol, with what was valid under the one before.

        Upstream makes another mempool then, which fetches the operations that the old one had
        validated; it forgets the others (``src/lib_shell/chain_validator.ml``).
        """
        old, self.entries, self._seen = self.of(Class.VALIDATED), {}, {}
        live = self.chain.live_blocks(self.chain.head)
        for entry in old:
            operation = entry.operation
            if operation.branch in live and not self.chain.is_included(operation.hash, live):
                self.add(self.classify(operation))

    def payload(self) -> tuple[tuple[Operation, ...], ...]:
        """The validated operations by validation pass."""
        passes: list[list[Operation]] = [[], [], [], []]
        for entry in self.of(Class.VALIDATED):
            passes[entry.operation.validation_pass].append(entry.operation)
        return tuple(tuple(passed) for passed in passes)
