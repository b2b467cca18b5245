"""The contracts that a protocol makes at its activation.

The sandbox runs no scripts: these four hold money, and nobody can call them. Sources:
``lib_protocol/{liquidity_baking,protocol_treasury}_migration.ml``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..._mavryk.codec.base58 import Kind, encode
from ..._mavryk.codec.crypto import blake2b


def _made(seed: bytes, index: int) -> str:
    """The address of a contract that no operation made, after which it could be named."""
    return encode(Kind.CONTRACT, blake2b(blake2b(seed) + index.to_bytes(4, "big"), 20))


CPMM: Final = _made(b"Drip, drip, drip.", 0)
LQT: Final = _made(b"Drip, drip, drip.", 1)
TOKEN: Final = _made(b"Drip, drip, drip.", 2)
BUFFER: Final = _made(b"buff, buff, buff.", 0)
"""Where the treasury's share goes, since the treasury does not exist."""

MADE: Final[Mapping[str, int]] = {CPMM: 100, LQT: 0, TOKEN: 1_000_000, BUFFER: 0}
"""What they own at first, in mumav."""

BURN: Final = "mv2burnburnburnburnburnburnbur7hzNeg"
"""An ordinary account that nobody has the key of; half of the fees end there."""
