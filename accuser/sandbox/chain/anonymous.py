"""What anonymous operations do besides denouncing: nonces, accounts that were set aside, drained delegates.

Sources: ``lib_protocol/{apply,delegate_storage,blinded_public_key_hash}.ml``.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeAlias

from ..._mavryk.codec.anonymous import ActivateAccount, DrainDelegate, SeedNonceRevelation
from ..._mavryk.codec.base58 import Kind, decode, encode
from . import nonces, rewards
from .accounts import Book
from .issuance import Rewards
from .limits import limits
from .places import Burned, Commitment, Contract, Minted

Effective: TypeAlias = SeedNonceRevelation | ActivateAccount | DrainDelegate
"""Those that change the ledger as soon as they are in a block."""

EFFECTIVE = (SeedNonceRevelation, ActivateAccount, DrainDelegate)


def apply(book: Book, content: Effective, proposer: str, amounts: Rewards) -> tuple[dict[str, Any], ...]:
    """Let one that is valid take effect; the metadata of the content.

    Raises:
        NodeError: what came before it in the block has made it impossible.
    """
    if isinstance(content, SeedNonceRevelation):
        book.ledger = nonces.revealed(book.ledger, content)
        paid = rewards.pay(book, Minted("nonce revelation rewards"), proposer, amounts.tip)
        return ({"balance_updates": list(paid)} if paid else {},)
    if isinstance(content, ActivateAccount):
        blinded = blinded_hash(content)
        amount = book.commitments[blinded]
        return ({"balance_updates": list(book.transfer(Commitment(blinded), Contract(content.pkh), amount))},)
    return (_drain(book, content, proposer),)


def blinded_hash(content: ActivateAccount) -> str:
    """What stands for an account among the commitments until its secret is told."""
    digest = hashlib.blake2b(decode(Kind.MV1, content.pkh), key=content.secret, digest_size=20).digest()
    return encode(Kind.BLINDED, digest)


def drain_fees(balance: int) -> int:
    """What the proposer of a block gets of a delegate that it drains."""
    return max(1, balance // 100)


def _drain(book: Book, content: DrainDelegate, proposer: str) -> dict[str, Any]:
    giver, receiver = Contract(content.delegate), Contract(content.destination)
    new = content.destination not in book.accounts
    burned = limits(book.calendar.parameters).origination_cost if new else 0
    updates = book.transfer(giver, Burned("storage fees"), burned)
    balance = book.spendable(content.delegate)
    fees = drain_fees(balance)
    updates += book.transfer(giver, receiver, balance - fees)
    updates += book.transfer(giver, Contract(proposer), fees)
    return {"balance_updates": list(updates), **({"allocated_destination_contract": True} if new else {})}
