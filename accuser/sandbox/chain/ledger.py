"""What delegates own, what gives them rights, and what they are accused of.

Immutable, as `State` is: each branch has its own. Within a block, money moves in an
`accuser.sandbox.chain.accounts.Book`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final

import attrs

from .bootstrap import Bootstrap, BootstrapError, read_bootstrap, read_commitments
from .economy import Economy
from .made import MADE
from .misbehaviour import Misbehaviour
from .parameters import Calendar, Parameters, ParametersError
from .rights import Delegate

NO_STAKERS: Final = (0, 1_000_000_000)
"""The terms of a delegate that says nothing: nobody else stakes with it."""

EMA_MAX: Final = 2_000_000_000
"""The most that the moving average of votes can be (``lib_protocol/per_block_votes_repr.ml``)."""


@attrs.frozen
class Account:
    """An implicit account. Amounts are in mumav."""

    pkh: str
    public_key: str | None
    """None until it is revealed."""
    spendable: int
    frozen: int = 0
    """Deposits of its own; only a delegate has some."""
    is_delegate: bool = False
    active_until: int = 0
    """The last cycle in which the delegate counts as active."""
    listed: int = 0
    """Its weight in the votes of the period."""
    least: int = 0
    least_at: int | None = None
    """The least that was `free` since the cycle of this level began; None if it never changed."""
    counter: int = 0
    """Of its last manager operation."""
    delegate: str | None = None
    """Whom it delegates to; a delegate delegates to itself."""
    inactive: bool = False
    delegated: int = 0
    """What others can spend that delegate to it, and all that was unstaked from it."""
    staked: int = 0
    """What stakers have frozen with it."""
    shares: int = 0
    """A staker's part of its delegate's `all_shares`."""
    all_shares: int = 0
    requests: tuple[tuple[int, int], ...] = ()
    """What it has unstaked: the cycle, and the amount before any slashing."""
    requested_of: str | None = None
    """The delegate that it was staked with."""
    limit: int | None = None
    """The most that it wants to freeze by itself."""
    consensus_key: str | None = None
    """What it bakes and attests with, if not its own key."""
    pending_keys: tuple[tuple[int, str], ...] = ()
    """Those that follow, each with the cycle from which on it is used."""
    terms: tuple[int, int] = NO_STAKERS
    """What it lets others stake with it: how many millionths of its own stake, and which billionths of
    their rewards it keeps."""
    pending_terms: tuple[tuple[int, tuple[int, int]], ...] = ()

    @property
    def total(self) -> int:
        """What it owns by itself, frozen or not; what was slashed while it was being unstaked included."""
        return self.spendable + self.frozen + self.requested

    @property
    def requested(self) -> int:
        """What it has unstaked and not got back yet."""
        return sum(amount for _, amount in self.requests)

    @property
    def free(self) -> int:
        """What counts as delegated to a delegate, its own included."""
        return self.spendable + self.delegated

    @property
    def staking_balance(self) -> int:
        """All that gives a delegate weight."""
        return self.frozen + self.staked + self.free

    def least_spendable(self, level: int, calendar: Calendar) -> int:
        """The least that was free in the cycle of ``level``."""
        if self.least_at is None or calendar.cycle(self.least_at) < calendar.cycle(level):
            return self.free
        return self.least

    def paid(self, change: int, level: int, calendar: Calendar, *, delegated: int = 0) -> Account:
        """The account after a change of what it can spend, or of what others delegate to it."""
        before = self.least_spendable(level, calendar)
        least = min(before, self.free + change + delegated)
        known = self.least_at is not None and calendar.cycle(self.least_at) == calendar.cycle(level)
        at = self.least_at if known and least == before else level
        return attrs.evolve(
            self,
            spendable=self.spendable + change,
            delegated=self.delegated + delegated,
            least=least,
            least_at=at,
        )

    def key_at(self, cycle: int) -> str | None:
        """The public key that it bakes and attests with in a cycle."""
        key = self.consensus_key or self.public_key
        return next((later for since, later in reversed(self.pending_keys) if since <= cycle), key)

    def allowed(self, staking_over_baking: int) -> int:
        """How much of what others have staked with it counts as such."""
        most = min(self.terms[0], staking_over_baking * 1_000_000)
        return min(self.staked, self.frozen * most // 1_000_000)


@attrs.frozen
class Nonce:
    """What is known of the nonce that a block committed to."""

    hash: str
    delegate: str
    """The block's baker."""
    revealed: bytes | None = None


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
    contracts: Mapping[str, int] = attrs.field(factory=dict)
    """What the originated contracts own; only the protocol's exist."""
    commitments: Mapping[str, int] = attrs.field(factory=dict)
    """What is set aside for accounts that nobody has activated yet, by the hash that hides whose it is."""
    unstaked: Mapping[tuple[str, int], tuple[int, int]] = attrs.field(factory=dict)
    """By delegate and cycle, what was unstaked in it: at first, and after slashing and withdrawals."""
    supply: int = 0
    """All money, as issuance and burning left it."""
    counter: int = 0
    """How many manager operations there were; where a new account begins to count its own."""
    nonces: Mapping[int, Nonce] = attrs.field(factory=dict)
    """By the level of the commitment, of the last two cycles."""
    missed: Mapping[str, tuple[int, int]] = attrs.field(factory=dict)
    """Of who missed attestations in the cycle: the slots that it may still miss, and the levels missed."""
    coefficients: Mapping[int, Fraction] = attrs.field(factory=dict)
    """By cycle, what rewards are multiplied by; 1 where there is none."""
    bonuses: Mapping[int, Fraction] = attrs.field(factory=dict)
    """By cycle, the part of the coefficient that grows while too little is staked."""

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

    def staked_balance(self, account: Account) -> int:
        """What an account has frozen with its delegate, which may be itself."""
        if account.is_delegate or account.delegate is None:
            return account.frozen
        delegate = self.accounts[account.delegate]
        return delegate.staked * account.shares // delegate.all_shares if account.shares else 0

    def delegators(self, pkh: str) -> list[Account]:
        """Who delegates to a delegate, itself included, in the order of their public key hashes."""
        found = (one for one in self.accounts.values() if one.delegate == pkh)
        return sorted(found, key=lambda one: one.pkh)

    def listings(self) -> tuple[tuple[str, int], ...]:
        """What each delegate's vote counts, of those whose vote counts at all."""
        return tuple((one.pkh, one.listed) for one in self.accounts.values() if one.listed)

    def held(self) -> int:
        """All that anybody owns, frozen or not, in mumav; it equals `supply`."""
        owned = sum(one.spendable + one.frozen + one.staked for one in self.accounts.values())
        unstaked = sum(current for _, current in self.unstaked.values())
        return owned + unstaked + sum(self.contracts.values()) + sum(self.commitments.values())

    def evolve_accounts(self, *changed: Account) -> Ledger:
        """The ledger with these accounts in the place of their former selves."""
        return attrs.evolve(self, accounts={**self.accounts, **{one.pkh: one for one in changed}})


def opened(parameters: Parameters, economy: Economy) -> Ledger:
    """The ledger at an activation, where delegates freeze as little as their balance allows
    (``lib_protocol/bootstrap_storage.ml``).

    Raises:
        ParametersError: the bootstrap accounts or the commitments cannot be read.
    """
    accounts: dict[str, Account] = {}
    for entry in parameters.raw["bootstrap_accounts"]:
        account = _account(read_bootstrap(entry), economy)
        # Of one account that is named twice, the last one counts.
        accounts[account.pkh] = account
    for account in tuple(accounts.values()):
        if account.delegate not in (None, account.pkh):
            delegate = accounts.get(account.delegate or "")
            if delegate is None or not delegate.is_delegate:
                raise ParametersError(f"bootstrap_accounts: {account.delegate} is no delegate")
            delegated = delegate.delegated + account.spendable
            accounts[delegate.pkh] = attrs.evolve(delegate, delegated=delegated)
    accounts = {pkh: _listed(one, economy) for pkh, one in accounts.items()}
    chosen = {one.pkh: accounts[one.pkh].frozen for one in parameters.rights.delegates}
    selections = dict.fromkeys(range(economy.rights_delay + 1), chosen)
    launch = 0 if economy.issuance_at_once else None
    try:
        commitments = read_commitments(parameters.raw.get("commitments", []))
    except BootstrapError as error:
        raise ParametersError(str(error)) from error
    ledger = Ledger(accounts, selections, launch_cycle=launch, contracts=MADE, commitments=commitments)
    return attrs.evolve(ledger, supply=ledger.held())


def _account(entry: Bootstrap, economy: Economy) -> Account:
    account = Account(entry.pkh, entry.public_key, entry.balance, delegate=entry.delegate)
    if not entry.bakes:
        return account
    balance = entry.balance
    least = max(economy.minimal_stake, economy.minimal_frozen_stake)
    frozen = min(balance, max(least, balance // (economy.delegation_over_baking + 1)))
    return attrs.evolve(
        account,
        spendable=balance - frozen,
        frozen=frozen,
        is_delegate=True,
        delegate=entry.pkh,
        consensus_key=entry.consensus_key,
        active_until=economy.tolerated_inactivity + economy.rights_delay,
    )


def _listed(account: Account, economy: Economy) -> Account:
    """The account with its weight in votes."""
    enough = account.is_delegate and account.staking_balance >= economy.minimal_stake
    return attrs.evolve(account, listed=account.staking_balance) if enough else account


def stakes(
    candidates: Iterable[tuple[Account, int]], economy: Economy, *, adaptive: bool, cycle: int = 0
) -> dict[Delegate, int]:
    """Who has enough for rights (``lib_protocol/stake_context.ml``).

    Args:
        candidates: delegates, each with what counts of the money that is not frozen.
        economy: the constants.
        adaptive: whether adaptive issuance is active.
        cycle: the one that the rights are for, which decides on the keys.

    Returns:
        Delegates with their weight, and the deposits that went into it.
    """
    found = {}
    for account, free in candidates:
        balance = account.frozen + account.staked + account.free
        enough = account.frozen >= economy.minimal_frozen_stake and balance >= economy.minimal_stake
        key = account.key_at(cycle)
        if not enough or key is None or account.inactive:
            continue
        allowed = account.allowed(economy.staking_over_baking)
        free += account.staked - allowed
        delegated = min(account.frozen * economy.delegation_over_baking, free)
        frozen = account.frozen + allowed
        weight = frozen + delegated // (economy.edge_of_staking_over_delegation if adaptive else 1)
        found[Delegate(account.pkh, key, weight)] = frozen
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
