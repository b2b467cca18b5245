"""What delegates own, what gives them rights, and what they are accused of.

Immutable, as `State` is: each branch has its own. Money moves by `slashing` and `cycles` alone;
nobody is paid for baking and attesting, and no operation transfers anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from ..._mavryk.codec.base58 import Base58Error, is_key_hash
from ..._mavryk.codec.crypto import public_key_hash
from .economy import Economy
from .misbehaviour import Misbehaviour
from .parameters import Calendar, Parameters, ParametersError
from .rights import Delegate

EMA_MAX: Final = 2_000_000_000
"""The most that the moving average of votes can be (``lib_protocol/per_block_votes_repr.ml``)."""


@attrs.frozen
class Account:
    """An implicit account. Amounts are in mumav."""

    pkh: str
    public_key: str | None
    spendable: int
    frozen: int = 0
    """Deposits; only a delegate has some."""
    is_delegate: bool = False
    active_until: int = 0
    """The last cycle in which the delegate counts as active."""
    listed: int = 0
    """Its weight in the votes of the period."""
    least: int = 0
    least_at: int | None = None
    """The least that was not frozen since the cycle of this level began; None if it never changed."""

    @property
    def total(self) -> int:
        """All that the delegate owns. Nobody else delegates to it."""
        return self.spendable + self.frozen

    def least_spendable(self, level: int, calendar: Calendar) -> int:
        """The least that was not frozen in the cycle of ``level``."""
        if self.least_at is None or calendar.cycle(self.least_at) < calendar.cycle(level):
            return self.spendable
        return self.least

    def paid(self, change: int, level: int, calendar: Calendar) -> Account:
        """The account after a change of what it can spend."""
        before, spendable = self.least_spendable(level, calendar), self.spendable + change
        least = min(before, spendable)
        known = self.least_at is not None and calendar.cycle(self.least_at) == calendar.cycle(level)
        at = self.least_at if known and least == before else level
        return attrs.evolve(self, spendable=spendable, least=least, least_at=at)


@attrs.frozen
class Denunciation:
    """An evidence in the chain that was not acted upon yet."""

    operation: str
    """Hash of the evidence."""
    rewarded: str
    """The delegate whose payload has it."""
    misbehaviour: Misbehaviour


@attrs.frozen(eq=False)
class Ledger:
    """The ledger after a block."""

    accounts: Mapping[str, Account] = attrs.field(factory=dict)
    """By public key hash."""
    selections: Mapping[int, Mapping[str, int]] = attrs.field(factory=dict)
    """The deposits that gave rights in a cycle, by delegate."""
    forbidden: frozenset[str] = frozenset()
    """Who may not bake, preattest or attest."""
    pending: tuple[Denunciation, ...] = ()
    """In the order of their inclusion."""
    slashed: Mapping[tuple[str, int], int] = attrs.field(factory=dict)
    """What a delegate was slashed for misbehaviours of a cycle, in parts of `economy.WHOLE`."""
    ema: int = 0
    """Moving average of the votes for adaptive issuance."""
    launch_cycle: int | None = None
    """When adaptive issuance begins or began."""

    def delegates(self) -> list[Account]:
        """All of them, in the order of their public key hashes."""
        found = (account for account in self.accounts.values() if account.is_delegate)
        return sorted(found, key=lambda account: account.pkh)

    def is_accused(self, pkh: str) -> bool:
        """Whether a denunciation of that delegate is pending."""
        return any(denunciation.misbehaviour.delegate == pkh for denunciation in self.pending)

    def initial_deposits(self, pkh: str, cycle: int) -> int:
        """The deposits that gave a delegate its rights in a cycle; 0 where it has none."""
        return self.selections.get(cycle, {}).get(pkh, 0)

    def issuance_is_adaptive(self, cycle: int) -> bool:
        """Whether adaptive issuance is active in a cycle."""
        return self.launch_cycle is not None and cycle >= self.launch_cycle

    def evolve_accounts(self, *changed: Account) -> Ledger:
        """The ledger with these accounts in the place of their former selves."""
        return attrs.evolve(self, accounts={**self.accounts, **{one.pkh: one for one in changed}})


def opened(parameters: Parameters, economy: Economy) -> Ledger:
    """The ledger at an activation, where delegates freeze as little as their balance allows
    (``lib_protocol/bootstrap_storage.ml``).

    Raises:
        ParametersError: the bootstrap accounts cannot be read.
    """
    accounts: dict[str, Account] = {}
    for entry in parameters.raw["bootstrap_accounts"]:
        account = _account(entry, economy)
        if account is not None:
            accounts[account.pkh] = account
    chosen = {one.pkh: accounts[one.pkh].frozen for one in parameters.rights.delegates}
    selections = dict.fromkeys(range(economy.rights_delay + 1), chosen)
    launch = 0 if economy.issuance_at_once else None
    return Ledger(accounts, selections, launch_cycle=launch)


def _account(entry: Any, economy: Economy) -> Account | None:
    try:
        key, balance = str(entry[0]), int(entry[1])
        if key.startswith("edpk"):
            pkh = public_key_hash(key)
        else:
            # Keys of other curves are nobody here.
            return Account(key, None, balance) if is_key_hash(key) else None
    except (LookupError, TypeError, ValueError, Base58Error) as error:
        raise ParametersError(f"bootstrap_accounts has {entry!r}: {error}") from error
    if len(entry) > 2:
        return Account(pkh, key, balance)
    least = max(economy.minimal_stake, economy.minimal_frozen_stake)
    frozen = min(balance, max(least, balance // (economy.delegation_over_baking + 1)))
    return Account(
        pkh,
        key,
        balance - frozen,
        frozen,
        is_delegate=True,
        active_until=economy.tolerated_inactivity + economy.rights_delay,
        listed=balance if balance >= economy.minimal_stake else 0,
    )


def stakes(
    candidates: Iterable[tuple[Account, int]], economy: Economy, *, adaptive: bool
) -> dict[Delegate, int]:
    """Who has enough for rights (``lib_protocol/stake_context.ml``).

    Args:
        candidates: delegates, each with what counts of its money that is not frozen.
        economy: the constants.
        adaptive: whether adaptive issuance is active.

    Returns:
        Delegates with their weight, and the deposits that went into it.
    """
    found = {}
    for account, free in candidates:
        enough = account.frozen >= economy.minimal_frozen_stake and account.total >= economy.minimal_stake
        if not enough or account.public_key is None:
            continue
        delegated = min(account.frozen * economy.delegation_over_baking, free)
        weight = account.frozen + delegated // (economy.edge_of_staking_over_delegation if adaptive else 1)
        found[Delegate(account.pkh, account.public_key, weight)] = account.frozen
    return found


def voted(ledger: Ledger, vote: str, cycle: int, economy: Economy) -> Ledger:
    """The ledger after a block's vote for or against adaptive issuance, ``on``, ``off`` or ``pass``."""
    ema = ledger.ema
    if vote != "pass":
        # Rounded towards the middle of the range, whichever side it is on.
        contribution = economy.vote_contribution
        centred, numerator = ema - EMA_MAX // 2, EMA_MAX - 2 * contribution
        shrunk = abs(centred) * numerator // EMA_MAX
        shrunk = -shrunk if centred < 0 else shrunk
        ema = EMA_MAX // 2 + shrunk + (contribution if vote == "on" else -contribution)
    launch = ledger.launch_cycle
    if launch is None and economy.issuance_votes and ema >= economy.issuance_threshold:
        launch = cycle + economy.issuance_delay
    return attrs.evolve(ledger, ema=ema, launch_cycle=launch)
