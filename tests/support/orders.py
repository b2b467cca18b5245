"""Makes manager operations for tests of the sandbox's chain, with no client and no node."""

from __future__ import annotations

from typing import Any

from accuser._mavryk.codec.anonymous import SeedNonceRevelation
from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import (
    Key,
    Watermark,
    key_of_secret,
    watermark,
)
from accuser._mavryk.codec.manager import Body, Call, Manager, Transaction
from accuser._mavryk.codec.operations import Operation
from accuser.sandbox.chain.block import Block, Operations
from accuser.sandbox.chain.chain import Chain
from tests.support.forger import NULL_SIGNATURE, SIGNERS, bake

_SECRETS = (Kind.ED25519_SEED, Kind.SECP256K1_SECRET, Kind.P256_SECRET)


def key(number: int, curve: int = 0) -> Key:
    """A key pair of one of the three curves that can sign."""
    secret = _SECRETS[curve]
    made = key_of_secret(encode(secret, number.to_bytes(secret.size, "big")))
    SIGNERS[made.public_key] = made
    return made


def order(
    chain: Chain,
    owner: Key,
    *bodies: Body,
    fee: int = 10_000,
    counter: int | None = None,
    gas_limit: int = 10_000,
    storage_limit: int = 257,
    branch: str | None = None,
    signature: bytes | None = None,
) -> Operation:
    """An operation of an account, on top of the head."""
    if counter is None:
        account = chain.head.state.ledger.accounts.get(owner.pkh)
        counter = 1 + (0 if account is None else account.counter)
    contents = tuple(
        Manager(owner.pkh, fee, counter + position, gas_limit, storage_limit, body)
        for position, body in enumerate(bodies)
    )
    branch = branch or chain.head.hash
    data = Operation(branch, contents).unsigned_bytes()
    return Operation(branch, contents, signature or owner.sign(data, watermark=watermark(Watermark.GENERIC)))


def gift(amount: int, to: str) -> Transaction:
    return Transaction(amount, to)


def stake(owner: Key, amount: int, call: str = "stake") -> Transaction:
    """A transaction of an account to itself."""
    return Transaction(amount, owner.pkh, Call(call))


def revelation(chain: Chain, level: int, nonce: bytes) -> Operation:
    return Operation(chain.head.hash, (SeedNonceRevelation(level, nonce),), NULL_SIGNATURE)


def managed(*operations: Operation) -> Operations:
    """The operations of a block that has only these."""
    return ((), (), (), operations)


def include(chain: Chain, *operations: Operation) -> Block:
    """Bake a block with manager operations."""
    return bake(chain, operations=managed(*operations))


def results(block: Block, operation: Operation) -> list[dict[str, Any]]:
    """What became of each content."""
    return [dict(one["operation_result"]) for one in block.results[operation.hash]]


def statuses(block: Block, operation: Operation) -> list[str]:
    return [str(one["status"]) for one in results(block, operation)]


def errors(block: Block, operation: Operation) -> list[str]:
    """The identifiers of the errors of the content that failed, without the protocol's name."""
    failed = next(one for one in results(block, operation) if one["status"] == "failed")
    return [str(error["id"]).split(".", 2)[2] for error in failed["errors"]]
