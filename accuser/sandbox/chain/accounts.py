"""A ledger while a block changes it: every movement of money goes through `Book.transfer`.

That keeps three sums right: what delegates count as delegated to them, the supply, and the receipts.
Sources: ``lib_protocol/{token,contract_storage,stake_storage}.ml``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from . import places
from .economy import Economy
from .ledger import Account, Ledger
from .parameters import Calendar
from .places import Burned, Commitment, Contract, Deposits, Fees, LostRewards, Minted, Place, Unstaked
from .receipts import BLOCK, Origin, Update
from .trace import (
    BRANCH,
    TEMPORARY,
    NodeError,
    protocol_error,
)


@attrs.define(eq=False, repr=False)
class Book:
    """What is being changed; `closed` gives the ledger."""

    ledger: Ledger
    rules: Economy
    calendar: Calendar
    level: int
    """Of the block."""
    accounts: dict[str, Account] = attrs.field(init=False)
    contracts: dict[str, int] = attrs.field(init=False)
    commitments: dict[str, int] = attrs.field(init=False)
    unstaked: dict[tuple[str, int], tuple[int, int]] = attrs.field(init=False)
    supply: int = attrs.field(init=False)
    counter: int = attrs.field(init=False)
    fees: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        self.accounts = dict(self.ledger.accounts)
        self.contracts = dict(self.ledger.contracts)
        self.commitments = dict(self.ledger.commitments)
        self.unstaked = dict(self.ledger.unstaked)
        self.supply, self.counter = self.ledger.supply, self.ledger.counter

    @property
    def cycle(self) -> int:
        """That of the block."""
        return self.calendar.cycle(self.level)

    @property
    def adaptive(self) -> bool:
        """Whether adaptive issuance is active."""
        return self.ledger.issuance_is_adaptive(self.cycle)

    @property
    def staking_is_manual(self) -> bool:
        """Whether delegates decide by themselves what they freeze."""
        return self.adaptive or not self.rules.autostaking

    def closed(self) -> Ledger:
        """The ledger with all changes."""
        assert self.fees == 0
        return attrs.evolve(
            self.ledger,
            accounts=self.accounts,
            contracts=self.contracts,
            commitments=self.commitments,
            unstaked=self.unstaked,
            supply=self.supply,
            counter=self.counter,
        )

    def copy(self) -> Book:
        """A book of its own with the same changes."""
        other = Book(self.ledger, self.rules, self.calendar, self.level)
        other.adopt(self)
        return other

    def adopt(self, other: Book) -> None:
        """Take the changes of a copy, or those of before."""
        self.ledger = other.ledger
        self.accounts, self.contracts = dict(other.accounts), dict(other.contracts)
        self.commitments, self.unstaked = dict(other.commitments), dict(other.unstaked)
        self.supply, self.counter, self.fees = other.supply, other.counter, other.fees

    def put(self, account: Account) -> None:
        """Keep an account in the place of its former self."""
        self.accounts[account.pkh] = account

    def change(self, pkh: str, **changes: Any) -> None:
        """Change an account that is there, but for its money."""
        self.put(attrs.evolve(self.accounts[pkh], **changes))

    def spendable(self, address: str) -> int:
        """What an account or contract has; 0 for one that does not exist."""
        if address in self.contracts:
            return self.contracts[address]
        account = self.accounts.get(address)
        return 0 if account is None else account.spendable

    def transfer(
        self, giver: Place, receiver: Place, amount: int, origin: Origin = BLOCK
    ) -> tuple[Update, ...]:
        """Move money from one place; see `gather`."""
        return self.gather([(giver, amount)], receiver, origin)

    def gather(
        self, givers: Sequence[tuple[Place, int]], receiver: Place, origin: Origin = BLOCK
    ) -> tuple[Update, ...]:
        """Move money from several places to one; nothing, and no receipt, comes of nothing.

        Raises:
            NodeError: a giver has too little, or may not be emptied. The book is of no use then.
        """
        givers = [(giver, amount) for giver, amount in givers if amount]
        if not givers:
            return ()
        total = 0
        for giver, amount in givers:
            self._move(giver, -amount)
            total += amount
        self._move(receiver, total)
        for giver, _ in givers:
            if isinstance(giver, Contract):
                self._forget_if_empty(giver.address)
        changes = [(giver, -amount) for giver, amount in givers] + [(receiver, total)]
        protocol = self.rules.protocol
        return tuple({**place.shown(protocol), "change": str(change), **origin} for place, change in changes)

    def error(self, kind: str, identifier: str, fields: Mapping[str, object] | None = None) -> NodeError:
        """An error of the protocol."""
        return protocol_error(self.rules.protocol, kind, identifier, fields)

    def _move(self, place: Place, change: int) -> None:
        match place:
            case Contract():
                self._move_contract(place.address, change)
            case Fees():
                self.fees += change
            case Commitment():
                # Nothing is ever set aside anew: who activates takes all of it.
                del self.commitments[place.committer]
            case Minted() | Burned() | LostRewards():
                # Who mints gives, and who burns receives.
                self.supply -= change
            case Deposits():
                account = self.accounts[place.delegate]
                if place.staker in (places.OWN, places.EDGE):
                    self.put(attrs.evolve(account, frozen=account.frozen + change))
                else:
                    self.put(attrs.evolve(account, staked=account.staked + change))
            case Unstaked():
                key = (place.delegate, place.cycle)
                initial, current = self.unstaked.get(key, (0, 0))
                # Only what is unstaked counts for the initial amount: slashing is in proportion to it.
                self.unstaked[key] = (initial + max(change, 0), current + change)
                self._delegate(place.delegate, change)

    def _move_contract(self, address: str, change: int) -> None:
        if address.startswith("KT1"):
            self.contracts[address] += change
            return
        account = self.accounts.get(address)
        if account is None:
            account = Account(address, None, 0, counter=self.counter)
        left = account.spendable + change
        if left < 0:
            fields = {"contract": address, "balance": str(account.spendable), "amount": str(-change)}
            raise self.error(TEMPORARY, "contract.balance_too_low", fields)
        if change < 0 and not left and account.delegate not in (None, address):
            raise self.error(BRANCH, "implicit.empty_implicit_delegated_contract", {"implicit": address})
        if account.is_delegate:
            self.put(account.paid(change, self.level, self.calendar))
            return
        self.put(attrs.evolve(account, spendable=left))
        if account.delegate is not None:
            self._delegate(account.delegate, change)

    def _delegate(self, pkh: str, change: int) -> None:
        self.put(self.accounts[pkh].paid(0, self.level, self.calendar, delegated=change))

    def delegate_to(self, pkh: str, delegate: str | None) -> None:
        """Let an account that is no delegate choose one, or none."""
        account = self.accounts[pkh]
        if account.delegate is not None:
            self._delegate(account.delegate, -account.spendable)
        self.put(attrs.evolve(self.accounts[pkh], delegate=delegate))
        if delegate is not None:
            self._delegate(delegate, account.spendable)

    def _forget_if_empty(self, address: str) -> None:
        account = self.accounts.get(address)
        if account is not None and is_empty(account):
            del self.accounts[address]


def is_empty(account: Account) -> bool:
    """Whether nothing is left of an account that is worth remembering."""
    return not (account.spendable or account.frozen or account.delegate or account.requests or account.shares)
