"""Nonces that bakers commit to, and have to reveal in the next cycle (``lib_protocol/nonce_storage.ml``)."""

from __future__ import annotations

import attrs

from ..._mavryk.codec.anonymous import SeedNonceRevelation
from ..._mavryk.codec.base58 import Kind, encode
from ..._mavryk.codec.crypto import blake2b
from .ledger import Ledger, Nonce
from .parameters import Calendar, number
from .state import State
from .trace import (
    BRANCH,
    TEMPORARY,
    NodeError,
    protocol_error,
)


def commitment(nonce: bytes) -> str:
    """The hash that a block has in the place of a nonce."""
    return encode(Kind.NONCE, blake2b(nonce))


def check(revelation: SeedNonceRevelation, state: State, level: int) -> None:
    """Validate a revelation in a block of ``level`` on top of a state. Raises ``NodeError``."""
    calendar = state.calendar
    assert calendar is not None
    cycle, of = calendar.cycle(level), calendar.cycle(revelation.level)
    if of >= cycle:
        raise _error(state, TEMPORARY, "too_early_revelation")
    if of < cycle - 1 or not can_reveal(calendar, level):
        raise _error(state, BRANCH, "too_late_revelation")
    known = state.ledger.nonces.get(revelation.level)
    if known is None:
        raise _error(state, BRANCH, "too_late_revelation")
    if known.revealed is not None:
        raise _error(state, BRANCH, "already_revealed")
    if commitment(revelation.nonce) != known.hash:
        raise _error(state, BRANCH, "inconsistent")


def can_reveal(calendar: Calendar, level: int) -> bool:
    """Whether a level is among the first of its cycle, whose blocks may reveal nonces."""
    position = (level - calendar.first_level) % calendar.parameters.blocks_per_cycle
    return position < number(calendar.parameters.raw, "nonce_revelation_threshold", 1)


def _error(state: State, kind: str, name: str) -> NodeError:
    return protocol_error(state.protocol, kind, f"nonce.{name}")


def committed(ledger: Ledger, level: int, hash: str, baker: str) -> Ledger:
    """The ledger after a block with a commitment."""
    return attrs.evolve(ledger, nonces={**ledger.nonces, level: Nonce(hash, baker)})


def revealed(ledger: Ledger, revelation: SeedNonceRevelation) -> Ledger:
    """The ledger after a revelation that is valid."""
    known = attrs.evolve(ledger.nonces[revelation.level], revealed=revelation.nonce)
    return attrs.evolve(ledger, nonces={**ledger.nonces, revelation.level: known})


def forgetful(ledger: Ledger, calendar: Calendar, cycle: int) -> frozenset[str]:
    """Who has not revealed, by the end of a cycle, all nonces of the cycle before."""
    return frozenset(
        nonce.delegate
        for level, nonce in ledger.nonces.items()
        if calendar.cycle(level) == cycle - 1 and nonce.revealed is None
    )


def without_old(ledger: Ledger, calendar: Calendar, cycle: int) -> Ledger:
    """The ledger at the end of a cycle, when the nonces of the cycles before are of no use any more."""
    kept = {level: one for level, one in ledger.nonces.items() if calendar.cycle(level) >= cycle}
    return attrs.evolve(ledger, nonces=kept)
