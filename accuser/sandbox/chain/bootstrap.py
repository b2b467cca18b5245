"""The accounts that a protocol's parameters begin a chain with (``lib_protocol/parameters_repr.ml``)."""

from __future__ import annotations

from typing import Any

import attrs

from ..._mavryk.codec.base58 import Base58Error, Kind, decode
from ..._mavryk.codec.keys import Curve, curve_of_hash, curve_of_key, hash_of_key


class BootstrapError(ValueError):
    """An entry that is no account; says which one and why."""


@attrs.frozen
class Bootstrap:
    """One of them."""

    pkh: str
    public_key: str | None
    """None if only its hash is given."""
    balance: int
    """In mumav."""
    delegate: str | None = None
    """Whom it delegates to."""
    consensus_key: str | None = None
    """What it bakes and attests with, if not its own key."""

    @property
    def bakes(self) -> bool:
        """Whether it is a delegate: its key is known, and it delegates to nobody else."""
        return self.public_key is not None and self.delegate in (None, self.pkh)


def read_bootstrap(entry: Any) -> Bootstrap:
    """Read ``[key, balance]``, which may have a delegate or a consensus key as its third element.

    Raises:
        BootstrapError: it is none, or bakes with a key of BLS12-381, which no delegate may have.
    """
    try:
        key, balance, *more = entry
        account = _read(str(key), int(balance), [str(one) for one in more])
    except (LookupError, TypeError, ValueError, Base58Error) as error:
        raise BootstrapError(f"bootstrap_accounts has {entry!r}: {error}") from error
    for used in (account.public_key if account.bakes else None, account.consensus_key):
        if used is not None and curve_of_key(used) is Curve.BLS:
            raise BootstrapError(f"bootstrap_accounts has {used}: keys of BLS12-381 cannot bake")
    return account


def read_commitments(entries: Any) -> dict[str, int]:
    """Read ``[[hash, amount], ...]``: what is set aside for accounts whose secret is not told yet.

    Raises:
        BootstrapError: they are none.
    """
    found: dict[str, int] = {}
    try:
        for blinded, amount in entries:
            decode(Kind.BLINDED, str(blinded))
            if not 0 <= int(amount) < 2**63:
                raise ValueError(f"{amount} mumav cannot be")
            found[str(blinded)] = int(amount)
    except (TypeError, ValueError, Base58Error) as error:
        raise BootstrapError(f"commitments: {error}") from error
    return found


def _read(key: str, balance: int, more: list[str]) -> Bootstrap:
    if not 0 <= balance < 2**63:
        raise ValueError(f"{balance} mumav cannot be")
    if len(more) > 1:
        raise ValueError("more than three elements")
    third = more[0] if more else None
    if key.startswith("mv"):
        curve_of_hash(key)
        if third is not None:
            raise ValueError("a delegate for an account whose key is not known")
        return Bootstrap(key, None, balance)
    pkh = hash_of_key(key)
    if third is None:
        return Bootstrap(pkh, key, balance)
    if third.startswith("mv"):
        curve_of_hash(third)
        return Bootstrap(pkh, key, balance, delegate=third)
    curve_of_key(third)
    return Bootstrap(pkh, key, balance, consensus_key=third)
