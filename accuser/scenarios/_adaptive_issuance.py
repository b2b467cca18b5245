"""A delegate bakes twice, is forbidden for it, and loses a part of its deposits.

Upstream: ``tezt/tests/adaptive_issuance.ml``, steps 13 to 20.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Unpack

import attrs

from .. import BOOTSTRAP, Client, Protocol, ScenarioFailed, Toolchain
from ._common import Denunciation, Inclusion, ScenarioOptions
from ._fork import open_fork
from ._stage import Setting

PROTOCOLS: Final = (Protocol.BOREAS, Protocol.ALPHA)
"""Atlas forbids nobody for one double baking, and has no RPC to ask it by."""

BLOCKS_PER_CYCLE: Final = 4

PARAMETERS: Final[dict[str, object]] = {
    "blocks_per_cycle": BLOCKS_PER_CYCLE,
    "nonce_revelation_threshold": 2,
    "adaptive_issuance_activation_vote_enable": True,
    "adaptive_issuance_launch_ema_threshold": 1,
    "adaptive_issuance_force_activation": True,
}
"""Upstream's: short cycles, and adaptive issuance from the first one on."""

REWARDED, CULPRIT = BOOTSTRAP[:2]
"""Who has the evidence in its block, and whom it is about."""

BURNED_FOR_EACH_REWARDED: Final = 6
"""Of seven parts that are lost, one is the reward (``lib_protocol/delegate_slashed_deposits_storage.ml``)."""


@attrs.frozen
class Slashing:
    """What an evidence cost. Amounts are in mumav."""

    level: int
    """Of the last block of its cycle, whose balance updates tell it."""
    block: str
    burned: int
    rewarded: int


@attrs.frozen
class AdaptiveIssuance:
    """What the scenario about a forbidden delegate found."""

    toolchain: str
    protocol: str
    chain_id: str
    denunciation: Denunciation
    included: Inclusion
    forbidden: str
    """Public key hash of the delegate."""
    slashing: Slashing
    seconds: float

    @property
    def outcome(self) -> str:
        """What was shown, in a few words."""
        return "denounced, forbidden and slashed"


async def adaptive_issuance(
    toolchain: Toolchain,
    protocol: Protocol = Protocol.BOREAS,
    **options: Unpack[ScenarioOptions],
) -> AdaptiveIssuance:
    """Make a delegate bake twice, and see it forbidden, and slashed one cycle later.

    As `double_baking`, from the end of a cycle on and with the roles swapped: on two branches
    bootstrap2 bakes the second block of the new cycle. The last block of that cycle has the
    evidence, the last one of the next cycle tells what it cost.

    Args:
        toolchain: what runs.
        protocol: what the chain is activated with: Boreas or alpha.
        options: those of `ScenarioOptions`. The twin bakes the last block of the cycle without the
            operations of the mempool.

    Raises:
        ValueError: the protocol cannot show this.
        ScenarioFailed: the mempool refused the evidence, the delegate is forbidden too early or
            not at all, the evidence is not in the block, or the balance updates are wrong.
        AccuserError: something did not run, or an event did not come in time.
    """
    if protocol not in PROTOCOLS:
        names = " and ".join(one.long_name for one in PROTOCOLS)
        raise ValueError(f"the scenario is for {names}: {protocol.long_name} does not forbid at once")
    setting = Setting(toolchain=toolchain, protocol=protocol, **options)
    async with open_fork(setting, parameters=PARAMETERS) as fork:
        first, second = fork.first, fork.second
        ancestor = await first.bake(1, *[REWARDED.alias] * (BLOCKS_PER_CYCLE - 1))
        await second.node.wait_for_level(ancestor)
        setting.report(f"both nodes are at level {ancestor}, the last of its cycle")
        await fork.part(ancestor, (CULPRIT.alias,) * 3, (REWARDED.alias, CULPRIT.alias))
        await _check_forbidden(second.client, wanted=False)
        denounced = await fork.denounce(ancestor)
        evidence = denounced.evidence
        await denounced.bake(REWARDED.alias)
        await _check_forbidden(first.client, wanted=True)
        setting.report(f"{CULPRIT.alias} is forbidden")
        included = await denounced.find()

        await first.bake(included.level, *[REWARDED.alias] * BLOCKS_PER_CYCLE)
        slashing = await _slashing(first.client, evidence.hash)
        setting.report(
            f"at level {slashing.level} {CULPRIT.alias} lost {slashing.burned} mumav, which are burned, "
            f"and {slashing.rewarded}, which {REWARDED.alias} got"
        )
        chain_id = await first.client.rpc("get", "/chains/main/chain_id")
        await denounced.end()
    return AdaptiveIssuance(
        toolchain.name,
        protocol.long_name,
        chain_id,
        evidence,
        included,
        CULPRIT.pkh,
        slashing,
        setting.seconds,
    )


async def _check_forbidden(client: Client, *, wanted: bool) -> None:
    path = f"/chains/main/blocks/head/context/delegates/{CULPRIT.pkh}/is_forbidden"
    if await client.rpc("get", path) is not wanted:
        header = await client.rpc("get", "/chains/main/blocks/head/header")
        raise ScenarioFailed(
            f"{CULPRIT.alias} ({CULPRIT.pkh}) is {'not forbidden' if wanted else 'forbidden'} after block "
            f"{header['hash']} of level {header['level']}, "
            + ("which was to have evidence against it" if wanted else "though nobody denounced it yet")
        )


async def _slashing(client: Client, evidence: str) -> Slashing:
    header = await client.rpc("get", "/chains/main/blocks/head/header")
    metadata = await client.rpc("get", f"/chains/main/blocks/{header['hash']}/metadata")
    burned, rewarded = slashed_by(evidence, metadata["balance_updates"])
    return Slashing(header["level"], header["hash"], burned, rewarded)


def slashed_by(evidence: str, updates: Sequence[dict[str, Any]]) -> tuple[int, int]:
    """Say how many mumav an evidence burned and how many it gave, by the balance updates of a block.

    Raises:
        ScenarioFailed: the updates of that evidence are not those of a slashing.
    """
    ours = [update for update in updates if update.get("delayed_operation_hash") == evidence]
    taken = [update for update in ours if update["kind"] == "freezer" and CULPRIT.pkh in _staker(update)]
    burned = _sum(ours, kind="burned", category="punishments")
    rewarded = _sum(ours, kind="contract", contract=REWARDED.pkh)
    lost = -sum(int(update["change"]) for update in taken)
    # Each of the deposits that lose something is rounded by itself.
    rounding = BURNED_FOR_EACH_REWARDED * len(taken)
    fair = abs(burned - BURNED_FOR_EACH_REWARDED * rewarded) <= rounding
    if not (burned > 0 and rewarded > 0 and fair and lost == burned + rewarded):
        raise ScenarioFailed(
            f"{evidence} made {CULPRIT.alias} lose {lost} mumav, of which {burned} are burned and {rewarded} "
            f"given to {REWARDED.alias}, in the balance updates {ours or updates}; expected is a loss of "
            f"which {BURNED_FOR_EACH_REWARDED} parts of {BURNED_FOR_EACH_REWARDED + 1} are burned"
        )
    return burned, rewarded


def _staker(update: dict[str, Any]) -> list[str]:
    """Whose deposits an update is about: a baker's own, or those that stakers have with a delegate."""
    return list(update.get("staker", {}).values())


def _sum(updates: Sequence[dict[str, Any]], **fields: str) -> int:
    return sum(
        int(update["change"])
        for update in updates
        if all(update.get(name) == value for name, value in fields.items())
    )
