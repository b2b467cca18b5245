"""Where money can be, as receipts name it (``lib_protocol/receipt_repr.ml``)."""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from ..._mavryk.protocol import Protocol
from .receipts import Update

OWN: Final = "own"
"""Of a delegate's deposits, its own."""
EDGE: Final = "edge"
"""Its own too, from the part of its stakers' rewards that it keeps."""
SHARED: Final = "shared"
"""Its stakers', all together."""


@attrs.frozen
class Contract:
    """What an account can spend, or an originated contract."""

    address: str

    def shown(self, protocol: str) -> Update:
        """The place in a receipt."""
        return {"kind": "contract", "contract": self.address}


@attrs.frozen
class Fees:
    """The fees of a block, until they are divided."""

    def shown(self, protocol: str) -> Update:
        """The place in a receipt."""
        return {"kind": "accumulator", "category": "block fees"}


@attrs.frozen
class Minted:
    """Money that is new."""

    category: str

    def shown(self, protocol: str) -> Update:
        """The place in a receipt."""
        return {"kind": "minted", "category": self.category}


@attrs.frozen
class Burned:
    """Money that is no more."""

    category: str

    def shown(self, protocol: str) -> Update:
        """The place in a receipt."""
        return {"kind": "burned", "category": self.category}


@attrs.frozen
class Commitment:
    """What was set aside for an account, under the hash that does not tell whose it is."""

    committer: str

    def shown(self, protocol: str) -> Update:
        """The place in a receipt."""
        return {"kind": "commitment", "category": "commitment", "committer": self.committer}


@attrs.frozen
class LostRewards:
    """Rewards that a delegate does not get; each flag is a reason."""

    delegate: str
    participation: bool
    revelation: bool

    def shown(self, protocol: str) -> Update:
        """The place in a receipt."""
        return {
            "kind": "burned",
            "category": "lost attesting rewards",
            "delegate": self.delegate,
            "participation": self.participation,
            "revelation": self.revelation,
        }


@attrs.frozen
class Deposits:
    """What is frozen with a delegate; ``staker`` is `OWN`, `EDGE`, `SHARED`, or a staker's address."""

    delegate: str
    staker: str = OWN

    def shown(self, protocol: str) -> Update:
        """The place in a receipt."""
        # Boreas named the baker's own stake anew, when it told its edge over its stakers apart.
        own = "baker" if protocol == Protocol.ATLAS.hash else "baker_own_stake"
        names = {OWN: {own: self.delegate}, EDGE: {"baker_edge": self.delegate}}
        staker = {"delegate": self.delegate}
        if self.staker not in (OWN, EDGE, SHARED):
            staker = {"contract": self.staker, **staker}
        return {"kind": "freezer", "category": "deposits", "staker": names.get(self.staker, staker)}


@attrs.frozen
class Unstaked:
    """What was unstaked in a cycle; ``staker`` is `SHARED`, or who did it."""

    delegate: str
    staker: str
    cycle: int

    def shown(self, protocol: str) -> Update:
        """The place in a receipt."""
        staker = {"delegate": self.delegate}
        if self.staker != SHARED:
            staker = {"contract": self.staker, **staker}
        return {
            "kind": "freezer",
            "category": "unstaked_deposits",
            "staker": staker,
            "cycle": self.cycle,
        }


Place: TypeAlias = Contract | Fees | Minted | Burned | Commitment | LostRewards | Deposits | Unstaked
