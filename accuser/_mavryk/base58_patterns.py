"""How the hashes of the chain look in base58: one pattern of each kind, for `re`.

They match texts of the right form; whether the checksum fits is for `_mavryk.codec.base58` to say.
Beginnings and lengths: ``src/lib_crypto/base58.ml`` and the prefixes that each module registers.
"""

from __future__ import annotations

from typing import Final

_DIGIT: Final = "[1-9A-HJ-NP-Za-km-z]"

BLOCK: Final = rf"B{_DIGIT}{{50}}"
OPERATION: Final = rf"o{_DIGIT}{{50}}"
OPERATION_LISTS: Final = rf"LLo{_DIGIT}{{50}}|Lo{_DIGIT}{{50}}"
"""Of one validation pass, and of all passes of a block."""
PROTOCOL: Final = rf"P{_DIGIT}{{50}}"
CONTEXT: Final = rf"Co{_DIGIT}{{50}}"
PAYLOAD: Final = rf"vh{_DIGIT}{{50}}"
"""Of what a block's consensus is about."""
PEER: Final = rf"id{_DIGIT}{{28}}"
CHAIN: Final = rf"Net{_DIGIT}{{12}}"
NONCE: Final = rf"nce{_DIGIT}{{50}}"
"""The commitment to a seed nonce."""
SIGNATURE: Final = rf"(?:sig|edsig|spsig1|p2sig|BLsig){_DIGIT}{{88,140}}"
"""Of whichever curve."""
