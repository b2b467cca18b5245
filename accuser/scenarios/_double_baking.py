"""A delegate bakes two blocks of one level, on branches that do not know of each other."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import attrs

from .. import Protocol, Runner, Toolchain
from ._common import Denunciation, Inclusion, ScenarioOptions
from ._fork import Machines, open_fork
from ._stage import Setting


@attrs.frozen
class DoubleBaking:
    """What the double-baking scenario found."""

    toolchain: str
    protocol: str
    chain_id: str
    denunciation: Denunciation
    included: Inclusion
    seconds: float

    @property
    def outcome(self) -> str:
        """What was shown, in a few words."""
        return "denounced and included"


async def double_baking(
    toolchain: Toolchain,
    protocol: Protocol = Protocol.BOREAS,
    *,
    accuser_runner: Runner | None = None,
    node_runner: Runner | None = None,
    other_nodes_runner: Runner | None = None,
    node_path: str | Path | None = None,
    **options: Unpack[ScenarioOptions],
) -> DoubleBaking:
    """Make a delegate bake twice, and see an accuser get the evidence into a block.

    Two nodes that do not know of each other bake on branches of their own, where bootstrap1
    bakes the block of level 3 on both. A third node learns both branches, with an accuser
    beside it. Upstream: ``tezt/tests/double_bake.ml``.

    Args:
        toolchain: what runs.
        protocol: what the chain is activated with.
        accuser_runner: the machine of the accuser; by default this one.
        node_runner: the machine of the third node; by default this one.
        other_nodes_runner: the machine of the other two; by default this one.
        node_path: an executable for the nodes, in place of the toolchain's, wherever they run.
        options: those of `ScenarioOptions`. The twin bakes the last block without the operations of
            the mempool.

    Raises:
        ScenarioFailed: the mempool refused the evidence, or it is not in the block.
        AccuserError: something did not run, or an event did not come in time.
    """
    setting = Setting(toolchain=toolchain, protocol=protocol, **options)
    machines = Machines(
        accuser=accuser_runner, third=node_runner, others=other_nodes_runner, node_path=node_path
    )
    async with open_fork(setting, machines) as fork:
        await fork.part(1, ("bootstrap1",) * 3, ("bootstrap2", "bootstrap1"))
        denounced = await fork.denounce(1)
        await denounced.bake("bootstrap1")
        included = await denounced.find()
        chain_id = await fork.first.client.rpc("get", "/chains/main/chain_id")
        await denounced.end()
    return DoubleBaking(
        toolchain.name, protocol.long_name, chain_id, denounced.evidence, included, setting.seconds
    )
