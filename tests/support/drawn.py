"""Operations drawn at random, of every kind that can be forged, as JSON."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from typing import Any, Final

from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.manager import ENTRYPOINTS
from accuser._mavryk.codec.micheline import PRIMITIVES

Json = dict[str, Any]

_HASHES = (Kind.MV1, Kind.MV2, Kind.MV3, Kind.MV4)
_KEYS = (Kind.ED25519_PUBLIC, Kind.SECP256K1_PUBLIC, Kind.P256_PUBLIC, Kind.BLS_PUBLIC)


class Drawn:
    """What a seed draws.

    ``curves`` is how many of the four kinds of keys there may be, ``arguments`` how many a primitive
    of Micheline has at most, ``without`` names kinds and primitives that do not occur.
    """

    def __init__(
        self, seed: int, *, curves: int = 4, arguments: int = 4, without: Collection[str] = ()
    ) -> None:
        self.random = random.Random(seed)
        self.curves = curves
        self.arguments = arguments
        self.kinds = sorted(set(MANAGER) - set(without))
        self.primitives = [name for name in PRIMITIVES if name not in without]

    def text(self, kind: Kind) -> str:
        return encode(kind, self.random.randbytes(kind.size))

    def pkh(self) -> str:
        return self.text(_HASHES[self.random.randrange(self.curves)])

    def key(self) -> str:
        kind = _KEYS[self.random.randrange(self.curves)]
        data = bytearray(self.random.randbytes(kind.size))
        if kind in (Kind.SECP256K1_PUBLIC, Kind.P256_PUBLIC):
            # A point of the curve in short: 2 or 3 and its first coordinate.
            data[0] = self.random.choice((2, 3))
        return encode(kind, bytes(data))

    def number(self, bits: int = 62) -> str:
        return str(self.random.getrandbits(self.random.randint(0, bits)))

    def maybe(self, **fields: Any) -> Json:
        return fields if self.random.random() < 0.5 else {}

    def expression(self, depth: int = 3) -> Any:
        kind = self.random.randrange(5 if depth else 3)
        if kind == 0:
            return {"int": str(self.random.choice((-1, 1)) * int(self.number(200)))}
        if kind == 1:
            return {"string": "".join(self.random.choices("abc XYZ 0-9_.", k=self.random.randrange(9)))}
        if kind == 2:
            return {"bytes": self.random.randbytes(self.random.randrange(40)).hex()}
        items = [self.expression(depth - 1) for _ in range(self.random.randrange(5))]
        if kind == 3:
            return items
        value: Json = {"prim": self.random.choice(self.primitives)}
        if items[: self.arguments]:
            value["args"] = items[: self.arguments]
        if self.random.random() < 0.3:
            value["annots"] = self.random.choice((["%a"], [":x", "%yes"], ["@v"]))
        return value

    def content(self, kind: str) -> Json:
        if kind in MANAGER:
            numbers = {name: self.number() for name in ("fee", "counter", "gas_limit", "storage_limit")}
            return {"kind": kind, "source": self.pkh(), **numbers, **MANAGER[kind](self)}
        return {"kind": kind, **OTHERS[kind](self)}

    def operation(self, kind: str) -> Json:
        """An unsigned one; managers' may have several contents."""
        kinds = [kind]
        if kind in MANAGER:
            kinds += self.random.choices(self.kinds, k=self.random.choice((0, 0, 1, 3)))
        return {"branch": self.text(Kind.BLOCK), "contents": [self.content(one) for one in kinds]}

    def transaction(self) -> Json:
        kinds: list[Callable[[], str]] = [self.pkh, lambda: self.text(Kind.CONTRACT)]
        named = self.random.choice((*ENTRYPOINTS[1:], "mine", "a" * 31))
        parameters = {"entrypoint": named, "value": self.expression()}
        destination = self.random.choice(kinds)()
        return {"amount": self.number(), "destination": destination, **self.maybe(parameters=parameters)}

    def consensus(self) -> Json:
        numbers = {"slot": self.random.getrandbits(16), "level": self.random.getrandbits(31)}
        return {
            **numbers,
            "round": self.random.getrandbits(31),
            "block_payload_hash": self.text(Kind.PAYLOAD),
        }


MANAGER: Final[dict[str, Callable[[Drawn], Json]]] = {
    "reveal": lambda drawn: {"public_key": drawn.key()},
    "transaction": Drawn.transaction,
    "origination": lambda drawn: {
        "balance": drawn.number(),
        **drawn.maybe(delegate=drawn.pkh()),
        "script": {"code": drawn.expression(), "storage": drawn.expression()},
    },
    "delegation": lambda drawn: drawn.maybe(delegate=drawn.pkh()),
    "register_global_constant": lambda drawn: {"value": drawn.expression()},
    "set_deposits_limit": lambda drawn: drawn.maybe(limit=drawn.number()),
    "increase_paid_storage": lambda drawn: {
        "amount": drawn.number(100),
        "destination": drawn.text(Kind.CONTRACT),
    },
    "update_consensus_key": lambda drawn: {"pk": drawn.key()},
}

OTHERS: Final[dict[str, Callable[[Drawn], Json]]] = {
    "seed_nonce_revelation": lambda drawn: {
        "level": drawn.random.getrandbits(31),
        "nonce": drawn.random.randbytes(32).hex(),
    },
    "vdf_revelation": lambda drawn: {
        "solution": [drawn.random.randbytes(100).hex(), drawn.random.randbytes(100).hex()]
    },
    "activate_account": lambda drawn: {
        "pkh": drawn.text(Kind.MV1),
        "secret": drawn.random.randbytes(20).hex(),
    },
    "drain_delegate": lambda drawn: {
        name: drawn.pkh() for name in ("consensus_key", "delegate", "destination")
    },
    "failing_noop": lambda drawn: {"arbitrary": drawn.random.randbytes(drawn.random.randrange(60)).hex()},
    "preattestation": Drawn.consensus,
    "attestation": Drawn.consensus,
    "attestation_with_dal": lambda drawn: {**drawn.consensus(), "dal_attestation": drawn.number(300)},
    "proposals": lambda drawn: {
        "source": drawn.pkh(),
        "period": drawn.random.getrandbits(31),
        "proposals": [drawn.text(Kind.PROTOCOL) for _ in range(drawn.random.randrange(21))],
    },
    "ballot": lambda drawn: {
        "source": drawn.pkh(),
        "period": drawn.random.getrandbits(31),
        "proposal": drawn.text(Kind.PROTOCOL),
        "ballot": drawn.random.choice(("yay", "nay", "pass")),
    },
}

KINDS: Final = (*MANAGER, *OTHERS)
