"""The constants of a protocol, and what follows from them alone: cycles, rounds, rights.

A constant that the activation does not give has its value on upstream's sandbox network
(``src/proto_002_PtBoreas/lib_parameters/default_parameters.ml``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import attrs

from .bootstrap import BootstrapError, read_bootstrap
from .rights import Delegate, Rights

MAX_SLASHING_PERIOD: Final = 2
"""A misbehaviour may be denounced in its own cycle and the next one."""

PASS_QUOTAS: Final = (
    {"max_size": 4 * 1024 * 1024, "max_op": 2048},
    {"max_size": 32 * 1024},
    {"max_size": 132 * 1024, "max_op": 132},
    {"max_size": 512 * 1024},
)
"""Limits of the four validation passes (``lib_protocol/main.ml``)."""

MAX_OPERATION_SIZE: Final = 32 * 1024
MAX_HEADER_SIZE: Final = 289
GENESIS_HEADER_SIZE: Final = 115
"""What the protocol of the genesis block allows the next header."""

FIXED_CONSTANTS: Final[Mapping[str, object]] = {
    "proof_of_work_nonce_size": 8,
    "nonce_length": 32,
    "max_anon_ops_per_block": 132,
    "max_operation_data_length": MAX_OPERATION_SIZE,
    "max_proposals_per_delegate": 20,
    "max_micheline_node_count": 50_000,
    "max_micheline_bytes_limit": 50_000,
    "max_allowed_global_constants_depth": 10_000,
    "cache_layout_size": 3,
    "michelson_maximum_type_size": 2001,
    "max_slashing_period": MAX_SLASHING_PERIOD,
    "smart_rollup_max_wrapped_proof_binary_size": 30_000,
    "smart_rollup_message_size_limit": 4096,
    "smart_rollup_max_number_of_messages_per_level": "1000000",
}
"""``lib_protocol/constants_repr.ml``."""

_DEFAULTS: Final[Mapping[str, object]] = {
    "consensus_rights_delay": 2,
    "blocks_preservation_cycles": 1,
    "blocks_per_cycle": 8,
    "blocks_per_commitment": 4,
    "nonce_revelation_threshold": 4,
    "cycles_per_voting_period": 8,
    "minimal_stake": "6000000000",
    "max_operations_time_to_live": 8,
    "minimal_block_delay": "1",
    "delay_increment_per_round": "1",
    "consensus_committee_size": 256,
    "quorum_min": 2000,
    "quorum_max": 7000,
    "min_proposal_quorum": 500,
    "consensus_threshold": 0,
    "proof_of_work_threshold": str(2**62 - 1),
}

_SINCE_BOREAS: Final = frozenset({"consensus_rights_delay", "blocks_preservation_cycles"})
"""Constants that Atlas does not have; an activation of the others gives them."""

_NOT_CONSTANTS: Final = frozenset(
    {
        "bootstrap_accounts",
        "bootstrap_contracts",
        "bootstrap_smart_rollups",
        "commitments",
        "security_deposit_ramp_up_cycles",
        "no_reward_cycles",
        "chain_id",
    }
)


class ParametersError(ValueError):
    """Parameters of a protocol that cannot be used; says which one and why."""


@attrs.frozen(eq=False)
class Parameters:
    """Times are in seconds, sizes in blocks; ``raw`` is the JSON object of the activation."""

    raw: Mapping[str, Any]
    rights: Rights
    blocks_per_cycle: int
    blocks_per_commitment: int
    cycles_per_voting_period: int
    max_operations_time_to_live: int
    minimal_block_delay: int
    delay_increment_per_round: int
    consensus_threshold: int
    proof_of_work_threshold: int
    quorum_min: int
    """In hundredths of a per cent, as the two that follow."""
    quorum_max: int
    min_proposal_quorum: int

    @classmethod
    def from_json(cls, raw: object) -> Parameters:
        """Read the parameters of an activation. Raises ``ParametersError``."""
        if not isinstance(raw, Mapping):
            raise ParametersError("the parameters of a protocol are a JSON object")
        size = number(raw, "consensus_committee_size", 1, 65535)
        return cls(
            raw=raw,
            rights=Rights(_delegates(raw), size),
            blocks_per_cycle=number(raw, "blocks_per_cycle", 1),
            blocks_per_commitment=number(raw, "blocks_per_commitment", 1),
            cycles_per_voting_period=number(raw, "cycles_per_voting_period", 1),
            max_operations_time_to_live=number(raw, "max_operations_time_to_live", 1),
            minimal_block_delay=number(raw, "minimal_block_delay", 1),
            delay_increment_per_round=number(raw, "delay_increment_per_round", 1),
            consensus_threshold=number(raw, "consensus_threshold", 0),
            proof_of_work_threshold=number(raw, "proof_of_work_threshold", -1, 2**63 - 1) % 2**64,
            quorum_min=number(raw, "quorum_min", 0, 10_000),
            quorum_max=number(raw, "quorum_max", 0, 10_000),
            min_proposal_quorum=number(raw, "min_proposal_quorum", 0, 10_000),
        )

    def round_duration(self, round: int) -> int:
        """Seconds that a round lasts."""
        return self.minimal_block_delay + round * self.delay_increment_per_round

    def round_at(self, predecessor_time: int, predecessor_round: int, time: int) -> int | None:
        """The round of the next level that a time is in; None before the level begins."""
        rest = time - predecessor_time - self.round_duration(predecessor_round)
        if rest < 0:
            return None
        # The sum of the durations, solved for the round as upstream does.
        increment, twice_first = self.delay_increment_per_round, 2 * self.minimal_block_delay
        discriminant = (twice_first - increment) ** 2 + 8 * increment * rest
        return (increment - twice_first + math.isqrt(discriminant)) // (2 * increment)

    def timestamp(self, predecessor_time: int, predecessor_round: int, round: int) -> int:
        """When a round of the next level begins, in seconds since the epoch."""
        before = round * self.minimal_block_delay + round * (round - 1) // 2 * self.delay_increment_per_round
        return predecessor_time + self.round_duration(predecessor_round) + before

    def constants(self) -> dict[str, object]:
        """All constants as the ``context/constants`` RPC gives them."""
        given = {name: value for name, value in self.raw.items() if name not in _NOT_CONSTANTS}
        common = {name: value for name, value in _DEFAULTS.items() if name not in _SINCE_BOREAS}
        return {**FIXED_CONSTANTS, **common, **given}


@attrs.frozen
class Calendar:
    """Cycles and voting periods, counted from the first block of the first protocol."""

    first_level: int
    parameters: Parameters
    drawn: tuple[tuple[int, Rights], ...] = ()
    """Rights that are others than those of the parameters, each from a cycle on, in that order."""
    protocol_level: int = attrs.field(default=attrs.Factory(lambda self: self.first_level, takes_self=True))
    """The level of the block that began the protocol of now, which the one before it made."""
    listed: tuple[tuple[str, int], ...] | None = None
    """What each delegate's vote counts since a voting period began; None: what it had at the activation."""

    def rights(self, cycle: int) -> Rights:
        """The draw that holds in a cycle; for one that is far ahead, the last that is known."""
        return next(
            (rights for first, rights in reversed(self.drawn) if cycle >= first), self.parameters.rights
        )

    def with_stakes(self, cycle: int, delegates: tuple[Delegate, ...]) -> Calendar:
        """The calendar where these delegates share the rights from a cycle on."""
        # A protocol whose last delegate is gone makes no more blocks; that is left out.
        if not delegates or delegates == self.rights(cycle).delegates:
            return self
        rights = Rights(delegates, self.parameters.rights.committee_size)
        return attrs.evolve(self, drawn=(*self.drawn, (cycle, rights)))

    def cycle(self, level: int) -> int:
        """The cycle of a level; negative before the first protocol."""
        return (level - self.first_level) // self.parameters.blocks_per_cycle

    def levels(self, cycle: int) -> range:
        """The levels of a cycle."""
        first = self.first_level + cycle * self.parameters.blocks_per_cycle
        return range(first, first + self.parameters.blocks_per_cycle)

    def ends_cycle(self, level: int) -> bool:
        """Whether a level is the last of its cycle."""
        return self.cycle(level + 1) > self.cycle(level)

    def ends_voting_period(self, level: int) -> bool:
        """Whether a level is the last of its voting period."""
        return (level - self.first_level + 1) % self.blocks_per_voting_period == 0

    def level_info(self, level: int) -> dict[str, object]:
        """The five fields of ``level_info``."""
        position = level - self.first_level
        cycle_position = position % self.parameters.blocks_per_cycle
        commitment = self.parameters.blocks_per_commitment
        return {
            "level": level,
            "level_position": position,
            "cycle": position // self.parameters.blocks_per_cycle,
            "cycle_position": cycle_position,
            "expected_commitment": cycle_position % commitment == commitment - 1,
        }

    @property
    def blocks_per_voting_period(self) -> int:
        """The length of each period of votes about protocols."""
        return self.parameters.blocks_per_cycle * self.parameters.cycles_per_voting_period

    @property
    def voting_powers(self) -> dict[str, int]:
        """What each delegate's vote counts, in mumav."""
        if self.listed is not None:
            return dict(self.listed)
        return {one.pkh: one.stake for one in self.parameters.rights.delegates}

    @property
    def total_voting_power(self) -> int:
        """The sum of it."""
        return sum(self.voting_powers.values())

    def owner(self, level: int, slot: int) -> Delegate | None:
        """Who owns a slot of a level."""
        if level < self.first_level:
            return None
        return self.rights(self.cycle(level)).owner(level, self.cycle(level), slot)

    def baker(self, level: int, round: int) -> Delegate | None:
        """Who may bake a round of a level."""
        if level < self.first_level:
            return None
        return self.rights(self.cycle(level)).baker(level, self.cycle(level), round)

    def slots(self, level: int) -> dict[str, list[int]]:
        """The slots of a level by delegate."""
        if level < self.first_level:
            return {}
        return self.rights(self.cycle(level)).slots(level, self.cycle(level))


def number(
    raw: Mapping[str, Any], name: str, least: int, most: int = 2**31 - 1, *, default: int | None = None
) -> int:
    """Read a constant; ``default`` is for those that this module does not have.

    Raises:
        ParametersError: it is no number, or out of its range.
    """
    value = raw.get(name, _DEFAULTS[name] if default is None else default)
    try:
        # Numbers of 64 bits are texts in the protocol's JSON.
        read = int(value) if isinstance(value, str) else value
    except ValueError:
        read = None
    if isinstance(read, float) and read.is_integer():
        read = int(read)
    if isinstance(read, bool) or not isinstance(read, int) or not least <= read <= most:
        raise ParametersError(f"{name} is {value!r}: a number from {least} to {most} is needed")
    return read


def _delegates(raw: Mapping[str, Any]) -> tuple[Delegate, ...]:
    accounts = raw.get("bootstrap_accounts")
    if not isinstance(accounts, (list, tuple)):
        raise ParametersError("bootstrap_accounts is missing: a list of [public key, balance] is needed")
    minimal = int(raw.get("minimal_stake", _DEFAULTS["minimal_stake"]))
    delegates, entries = [], []
    try:
        entries = [read_bootstrap(account) for account in accounts]
    except BootstrapError as error:
        raise ParametersError(str(error)) from error
    for entry in entries:
        if entry.bakes and entry.balance >= minimal:
            assert entry.public_key is not None
            key = entry.consensus_key or entry.public_key
            delegates.append(Delegate(entry.pkh, key, entry.balance))
    if not delegates:
        raise ParametersError("bootstrap_accounts names nobody who could bake")
    return tuple(delegates)
