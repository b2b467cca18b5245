"""The judge: what an accuser must have asked and said, by upstream's rules, after what its node told it.

It knows nothing of any accuser's code. It sees what went through the door of the node: the items of
streams and the answers to requests. Given these, upstream's rules leave no freedom, but for one: a
block and a list of operations that come together may be taken in either order. So the judge tries
both; where no order explains what the accuser asked and said, that is a violation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import attrs

from .._mavryk.codec.base58 import Kind, decode
from .._mavryk.codec.consensus import CONSENSUS_TAGS, Consensus, InlinedConsensus, kind_of
from .._mavryk.codec.fields import Fields
from .._mavryk.codec.forge import BlockHeader, fitness_round, full_header_from_json
from .._mavryk.codec.operations import DoubleBaking, DoubleConsensus, Operation
from .doors import Call
from .memory import Memory, Recorded
from .words import Said, differences

_ANCHOR: Final = 5
_AHEAD: Final = 2


@attrs.frozen(eq=False)
class SeenBlock:
    """A block that a node told an accuser of."""

    header: BlockHeader
    chain_id: str


Arrival = SeenBlock | tuple[InlinedConsensus, ...]
"""A block, or the consensus operations of one item of the mempool's stream, in their order."""


class _Failed(Exception):
    """The node did not answer."""


class _Astray(Exception):
    """The accuser has not asked what it had to ask."""


@attrs.frozen
class Verdict:
    """What the judge finds after one step."""

    wanted: tuple[Said, ...]
    """What had to be said."""
    complaints: tuple[str, ...]
    """Empty if all is well."""
    decisions: tuple[str, ...]
    """The decisions that the rules had to take."""


@attrs.define(eq=False, repr=False)
class Judge:
    """Judges one life of an accuser.

    Args:
        protocol: hash of its protocol.
        name: long name of it.
        preserved_levels: how many levels it keeps.
    """

    protocol: str
    name: str
    preserved_levels: int
    memory: Memory = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.memory = Memory(self.preserved_levels)

    def judge(self, arrivals: Sequence[Arrival], calls: Sequence[Call], said: Sequence[Said]) -> Verdict:
        """Judge a step: what arrived, what was asked then, and what was said."""
        verdict, self.memory = self._best(arrivals, calls, said)
        return verdict

    def is_content(self, arrivals: Sequence[Arrival], calls: Sequence[Call], said: Sequence[Said]) -> bool:
        """Whether it would complain of nothing, if that were all."""
        return not self._best(arrivals, calls, said)[0].complaints

    def _best(
        self, arrivals: Sequence[Arrival], calls: Sequence[Call], said: Sequence[Said]
    ) -> tuple[Verdict, Memory]:
        verdicts = []
        for order in self._orders(arrivals):
            asked = tuple(each for each in calls if not _is_ahead(each))
            trial = _Trial(self, self.memory.copy(), asked, [each for each in calls if _is_ahead(each)])
            for arrival in order:
                trial.take(arrival)
            verdict = trial.verdict(said)
            verdicts.append((verdict, trial.memory))
            if not verdict.complaints:
                break
        return min(verdicts, key=lambda each: len(each[0].complaints))

    @staticmethod
    def _orders(arrivals: Sequence[Arrival]) -> Iterator[Sequence[Arrival]]:
        full = [each for each in arrivals if each != ()]
        return iter(itertools.permutations(full)) if len(full) > 1 else iter([full])


@attrs.define(eq=False, repr=False)
class _Trial:
    """One way in which it may have gone."""

    judge: Judge
    memory: Memory
    calls: tuple[Call, ...]
    ahead: list[Call]
    """About the protocols of blocks, which is asked when a block comes, whatever else is going on."""
    _said: list[Said] = attrs.field(factory=list)
    _complaints: list[str] = attrs.field(factory=list)
    _decisions: list[str] = attrs.field(factory=list)
    _next: int = 0

    def take(self, arrival: Arrival) -> None:
        """Let something arrive."""
        try:
            if isinstance(arrival, SeenBlock):
                self._block(arrival)
            else:
                self._batch(arrival)
        except _Astray as error:
            self._complaints.append(str(error))

    def verdict(self, said: Sequence[Said]) -> Verdict:
        """Compare with what was said and asked."""
        left = (*self.ahead, *self.calls[self._next :])
        if not self._complaints and left:
            more = left[0]
            self._complaints.append(f"it asked for {more.method} {more.path}, and had no reason to")
        self._complaints += list(differences(self._said, said))
        return Verdict(tuple(self._said), tuple(self._complaints), tuple(self._decisions))

    # Blocks

    def _block(self, seen: SeenBlock) -> None:
        value = {
            "hash": seen.header.hash,
            "occurrence": {"occurrence-kind": "valid-blocks", "chain-id": seen.chain_id},
            "header": seen.header.shell_json(),
        }
        self._said.append(Said((), f"block-seen-{self.judge.name}", value))
        try:
            chain, block = seen.chain_id, seen.header.hash
            protocols = self._answer(
                "GET", f"/chains/{chain}/blocks/{block}/protocols", self.ahead.pop(0) if self.ahead else None
            )
        except _Failed:
            return  # the node is lost
        try:
            self._process(seen, protocols)
        except _Failed:
            self._decide("block given up")
            self._say("accuser_block_error", {"hash": seen.header.hash})
        else:
            self._say("accuser_processed_block", seen.header.hash)

    def _process(self, seen: SeenBlock, protocols: Any) -> None:
        block = seen.header.hash
        if protocols["protocol"] != protocols["next_protocol"]:
            self._decide("protocol change")
            self._say("protocol_change_detected", {})
            return
        self._say("accuser_saw_block", {"level": seen.header.shell.level, "hash": block})
        self.memory.reached(seen.header.shell.level)
        try:
            whole = self._ask("GET", f"/chains/{seen.chain_id}/blocks/{block}")
        except _Failed:
            self._decide("block not answered")
            self._say("accuser_block_error", {"hash": block})
        else:
            self._baked(whole)
            if whole["operations"]:
                for operation in consensus_operations(whole["operations"][0]):
                    self._decide("vote in a block")
                    self._vote(operation, seen.chain_id)
            else:
                self._decide("no list of operations")
                self._say("fetch_operations_error", block)
        if self.memory.clean():
            self._decide("memory cleaned")

    def _baked(self, whole: Any) -> None:
        block, chain, metadata = whole["hash"], whole["chain_id"], whole.get("metadata")
        if metadata is None:
            self._decide("pruned block")
            self._say("unexpected_pruned_block", block)
            return
        level: int = metadata["level_info"]["level"]
        at_round = fitness_round(full_header_from_json(whole["header"]).shell.fitness)
        key = (chain, level, at_round, metadata["baker"])
        known = self.memory.blocks.get(key)
        if known == block:
            self._decide("same block again")
            self._say("double_baking_but_not", {})
        elif known is not None:
            self._decide("double baking")
            headers = [
                full_header_from_json(
                    self._ask("GET", f"/chains/{chain}/blocks/{each}/header"),
                    ignore=("protocol", "chain_id", "hash"),
                )
                for each in (known, block)
            ]
            headers.sort(key=lambda header: decode(Kind.BLOCK, header.hash))
            evidence = self._forge(chain, level, DoubleBaking(*headers))
            self._say("double_baking_detected", {})
            self._inject("/injection/operation", evidence, "double_baking_denounced")
        else:
            self._decide("new block")
        self.memory.blocks[key] = block

    # Votes

    def _batch(self, operations: Sequence[InlinedConsensus]) -> None:
        try:
            for operation in operations:
                self._vote(operation, None)
        except _Failed:
            self._decide("operations given up")
            section = (self.judge.name, "delegate", "baking-scheduling")
            self._said.append(Said(section, "daemon_error", {"worker": self.judge.name}))

    def _vote(self, new: InlinedConsensus, chain: str | None) -> None:
        chain = chain or self.memory.chain_id
        level, behind = new.content.level, self.memory.highest - new.content.level
        if behind > self.memory.preserved:
            self._decide("vote too old")
            self._say("consensus_operation_too_old", new.hash)
            return
        if behind < -_AHEAD:
            self._decide("vote too far in the future")
            self._say("consensus_operation_too_far_in_future", new.hash)
            return
        rights = self.memory.rights.get(level)
        if rights is None:
            told = self._ask("GET", f"/chains/main/blocks/head/helpers/validators?level={level}")
            rights = {slot: each["consensus_key"] for each in told for slot in each["slots"]}
            self.memory.learn(level, rights)
        owner = rights.get(new.content.slot)
        if owner is None:
            self._decide("vote of nobody")
            return
        is_first_kind = new.content.kind == "preattestation"
        key = (chain, level, new.content.round, owner, is_first_kind)
        known = self.memory.votes.get(key)
        if known is None:
            self._decide("new vote")
            self.memory.votes[key] = Recorded(new, None)
        elif _differ(known.operation, new):
            self._denounce(key, known, new)
        else:
            self._decide("same vote again")

    def _denounce(self, key: Any, known: Recorded, new: InlinedConsensus) -> None:
        chain, level, _, _, is_first_kind = key
        word = "preattestation" if is_first_kind else "attestation"
        self._decide(f"double {word}")
        old = known.operation
        pair = sorted((old, new), key=lambda each: decode(Kind.OPERATION, each.hash))
        kind: Any = f"double_{word}_evidence"
        evidence = self._forge(chain, level, DoubleConsensus(kind, *pair))
        # Upstream writes the two under each other's names.
        self._say(f"double_{word}_detected", {f"existing_{word}": new.hash, f"new_{word}": old.hash})

        def before() -> None:
            if known.denounced is not None:
                self._decide("denounced already")
                self._say("double_consensus_already_denounced", known.denounced)

        path = "/private/injection/operation"
        told = self._inject(path, evidence, f"double_{word}_denounced", before)
        self.memory.votes[key] = Recorded(new, told)

    # Common to both

    def _forge(self, chain: str, level: int, content: DoubleBaking | DoubleConsensus) -> bytes:
        # From level 5 on, five blocks below the head; below that level, as many as there are.
        back = _ANCHOR if level >= _ANCHOR else max(0, level - 1)
        blocks = f"/chains/{chain}/blocks/head" + (f"~{back}" if back else "")
        branch = self._ask("GET", f"{blocks}/hash")
        operation = Operation(branch, (content,), None)
        forged = self._ask("POST", f"{blocks}/helpers/forge/operations", operation.to_json())
        return bytes.fromhex(forged) + bytes(64)

    def _inject(
        self, path: str, evidence: bytes, event: str, before: Callable[[], object] = lambda: None
    ) -> str:
        told: str = self._ask("POST", path, evidence.hex())
        before()
        self._decide("evidence accepted")
        self._say(event, {"hash": told, "bytes": evidence.hex()})
        return told

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """The node's answer to what must be asked now. Raises ``_Failed`` where it did not answer."""
        call = self.calls[self._next] if self._next < len(self.calls) else None
        self._next += 1
        return self._answer(method, path, call, body)

    def _answer(self, method: str, path: str, call: Call | None, body: Any = None) -> Any:
        if call is None:
            raise _Astray(f"it has not asked for {method} {path}")
        given = call.path + "".join(f"?level={level}" for level in call.query.get("level", ()))
        if (call.method, given) != (method, path):
            raise _Astray(f"it asked for {call.method} {given}, and not for {method} {path}")
        if call.body != body:
            raise _Astray(f"it asked for {method} {path} with {call.body}, and not with {body}")
        if call.status != 200:
            self._decide("request failed")
            raise _Failed
        return call.answer

    def _say(self, name: str, value: Any) -> None:
        self._said.append(Said((self.judge.name, "delegate", "denunciation"), name, value))

    def _decide(self, what: str) -> None:
        self._decisions.append(what)


def _is_ahead(call: Call) -> bool:
    return call.path.endswith("/protocols")


def consensus_operations(operations: Sequence[Any]) -> Iterator[InlinedConsensus]:
    """The votes of a list, in their order."""
    for operation in operations:
        contents = operation["contents"]
        if len(contents) != 1:
            continue
        content = {name: value for name, value in contents[0].items() if name != "metadata"}
        fields = Fields(content)
        word = kind_of(fields)
        kind = next((one for one in CONSENSUS_TAGS if one == word), None)
        if kind is not None:
            signature = Fields(operation).signature()
            yield InlinedConsensus(operation["branch"], Consensus.from_fields(kind, fields), signature)


def _differ(one: InlinedConsensus, other: InlinedConsensus) -> bool:
    about, of = one.content, other.content
    return about.payload_hash != of.payload_hash or about.slot != of.slot or one.branch != other.branch
