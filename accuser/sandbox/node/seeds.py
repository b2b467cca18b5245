"""Seeds and the nonces that go into them, as the RPCs tell them.

The sandbox deals its rights by a constant seed of its own; these are the seeds that a chain with the
same nonces has on Mavkit. Sources: ``lib_protocol/{seed_repr,seed_storage,nonce_storage}.ml``.
"""

from __future__ import annotations

from typing import Final

from ..._mavryk.codec.anonymous import SeedNonceRevelation
from ..._mavryk.codec.base58 import Kind, decode
from ..._mavryk.codec.crypto import blake2b
from ..chain import nonces
from ..chain.block import Block
from ..chain.chain import Chain
from ..chain.economy import Economy
from ..chain.parameters import MAX_SLASHING_PERIOD, Calendar
from ..chain.trace import PERMANENT, protocol_error

_ANONYMOUS: Final = 2
"""The validation pass of revelations."""


def check_known(block: Block, calendar: Calendar, rules: Economy, cycle: int) -> None:
    """Raise ``NodeError`` for a cycle whose seed is forgotten or not yet there, as are its rights."""
    now = calendar.cycle(block.level)
    latest = now + rules.rights_delay + (now == 0)
    oldest = max(0, now - MAX_SLASHING_PERIOD + 1)
    if not oldest <= cycle <= latest:
        fields = {"oldest": oldest, "requested": cycle, "latest": latest}
        raise protocol_error(block.state.protocol, PERMANENT, "seed.unknown_seed", fields)


def seed(chain: Chain, block: Block, calendar: Calendar, rules: Economy, cycle: int) -> bytes:
    """The seed of a cycle, as it is known after a block."""
    value = blake2b(b"")
    given = calendar.parameters.raw.get("initial_seed")
    if given is not None:
        value = blake2b(decode(Kind.STATE, str(given)) + bytes(32))
    revealed = _revealed(chain, block)
    for each in range(1, cycle + 1):
        value = blake2b(value + bytes(32))
        # A cycle's nonces are revealed in the next one, and then go into a later seed.
        committed = each - rules.rights_delay - 2
        for level in sorted(revealed, reverse=True):
            if calendar.cycle(level) == committed:
                value = blake2b(value + revealed[level])
    return value


def _revealed(chain: Chain, block: Block) -> dict[int, bytes]:
    """The nonces that the branch of a block has revealed, by level."""
    found: dict[int, bytes] = {}
    for each in chain.branch(block):
        for operation in each.operations[_ANONYMOUS] if len(each.operations) > _ANONYMOUS else ():
            content = operation.content
            if isinstance(content, SeedNonceRevelation):
                found[content.level] = content.nonce
    return found


def computation(chain: Chain, block: Block, calendar: Calendar, rules: Economy) -> dict[str, object]:
    """How far the seed is for which the present cycle is the one of revelations."""
    if nonces.can_reveal(calendar, block.level):
        return {"nonce_revelation_stage": {}}
    cycle = calendar.cycle(block.level) + rules.rights_delay
    before, after = (seed(chain, block, calendar, rules, each) for each in (cycle, cycle + 1))
    return {"seed_discriminant": before.hex(), "seed_challenge": after.hex()}
