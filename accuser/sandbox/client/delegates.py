"""What the client knows about delegates and rounds when it bakes and votes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from ..._mavryk.codec.crypto import Key
from ..._mavryk.codec.fields import ForgeError
from ..._mavryk.codec.forge import ShellHeader, fitness_round
from .context import Context, unreadable

_SHELL = frozenset(attrs.fields_dict(ShellHeader))


@attrs.frozen
class Head:
    """A block that one bakes upon, or votes for."""

    hash: str
    shell: ShellHeader
    round: int
    payload_hash: str | None
    """None for a block of the genesis protocol."""


@attrs.frozen
class Constants:
    """Those of the protocol that bakers use. Times are in seconds."""

    minimal_block_delay: int
    delay_increment_per_round: int
    committee_size: int
    consensus_threshold: int
    proof_of_work_threshold: int

    def timestamp(self, predecessor: Head, round: int) -> int:
        """When a round of the level after ``predecessor`` begins, in seconds since the epoch."""
        before = self._before(predecessor.round + 1) - self._before(predecessor.round)
        return predecessor.shell.timestamp + before + self._before(round)

    def round_at(self, predecessor: Head, time: float) -> int:
        """The round of the level after ``predecessor`` at that time; the first one before it."""
        passed = time - self.timestamp(predecessor, 0)
        low, high = 0, 1
        while self._before(high) <= passed:
            low, high = high, 2 * high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._before(middle) <= passed else (low, middle)
        return low

    def _before(self, round: int) -> int:
        return round * self.minimal_block_delay + round * (round - 1) // 2 * self.delay_increment_per_round


@attrs.frozen
class Slots:
    """Which slots of one level belong to which of our keys."""

    level: int
    keys: dict[str, Key]
    """By public key hash of the delegate, those that have slots."""
    slots: dict[str, list[int]]
    """Ascending, by the same."""
    powers: dict[int, int]
    """How many slots each delegate of the level has, ours or not, by its first slot."""

    def owner(self, round: int, committee_size: int) -> tuple[str, Key] | None:
        """Which of us bakes a round: the delegate, and the key that signs for it."""
        slot = round % committee_size
        return next(((pkh, self.keys[pkh]) for pkh, own in self.slots.items() if slot in own), None)

    def first_round(self, committee_size: int, earliest: int = 0) -> int | None:
        """The first round, from ``earliest`` on, that one of us bakes; rights repeat themselves."""
        own = {slot for slots in self.slots.values() for slot in slots}
        rounds = range(earliest, earliest + committee_size)
        return next((one for one in rounds if one % committee_size in own), None)


def read_head(value: Any) -> Head:
    """A head out of an answer to ``/header``. Raises ``Failure``."""
    try:
        shell = ShellHeader.from_json({name: value[name] for name in _SHELL})
        return Head(value["hash"], shell, fitness_round(shell.fitness), value.get("payload_hash"))
    except (AttributeError, ForgeError, KeyError, TypeError) as error:
        raise unreadable("header", error) from error


async def head_of(context: Context, block: str) -> Head:
    """Ask for a block's header. Raises ``RpcFailed`` and ``Failure``."""
    return read_head(await context.get(f"/chains/{context.chain}/blocks/{block}/header"))


async def constants(context: Context) -> Constants:
    """Ask for the constants at the head. Raises ``RpcFailed`` and ``Failure``."""
    value = await context.get(f"/chains/{context.chain}/blocks/head/context/constants")
    try:
        return Constants(
            minimal_block_delay=int(value["minimal_block_delay"]),
            delay_increment_per_round=int(value["delay_increment_per_round"]),
            committee_size=int(value["consensus_committee_size"]),
            consensus_threshold=int(value["consensus_threshold"]),
            proof_of_work_threshold=int(value["proof_of_work_threshold"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise unreadable("constants", error) from error


async def slots_of(context: Context, keys: Sequence[Key], level: int) -> Slots:
    """Ask for the slots of ``keys`` at a level near the head's. Raises ``RpcFailed`` and ``Failure``."""
    path = f"/chains/{context.chain}/blocks/head/helpers/validators?level={level}"
    validators = await context.get(path)
    signers = {key.pkh: key for key in keys}
    try:
        own = [entry for entry in validators if entry["consensus_key"] in signers]
        return Slots(
            level,
            {entry["delegate"]: signers[entry["consensus_key"]] for entry in own},
            {entry["delegate"]: sorted(entry["slots"]) for entry in own},
            {min(entry["slots"]): len(entry["slots"]) for entry in validators if entry["slots"]},
        )
    except (KeyError, TypeError) as error:
        raise unreadable("validators", error) from error


def named(key: Key, delegate: str) -> str:
    """How upstream names one who signs: ``bootstrap1 (mv1...)``."""
    own = f"{key.alias} ({key.pkh})" if key.alias else key.pkh
    return own if key.pkh == delegate else f"{own}\non behalf of {delegate}"


def signer_json(key: Key, delegate: str) -> dict[str, Any]:
    """The same in the value of an event."""
    return {
        "alias": key.alias or None,
        "public_key": key.public_key,
        "public_key_hash": key.pkh,
        "secret_key_uri": f"unencrypted:{key.secret_key}",
        "delegate": delegate,
    }
