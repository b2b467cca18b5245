"""The flagship with its nodes on another machine.

Upstream: ``tezt/remote_tests/double_bake.ml``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from .. import Protocol, Runner, Toolchain
from ._common import ScenarioOptions, silent
from ._double_baking import DoubleBaking, double_baking


async def double_baking_remote(
    toolchain: Toolchain,
    protocol: Protocol = Protocol.BOREAS,
    *,
    runner: Runner,
    node_path: str | Path | None = None,
    **options: Unpack[ScenarioOptions],
) -> DoubleBaking:
    """Run `double_baking` with all three nodes on another machine, the accuser and clients here.

    Args:
        toolchain: what runs.
        protocol: what the chain is activated with.
        runner: the other machine; `load_runner_config` reads one from upstream's file.
        node_path: the node's executable there; by default the toolchain's.
        options: those of `ScenarioOptions`; the twin is that of `double_baking`.

    Raises:
        ScenarioFailed: the mempool refused the evidence, or it is not in the block.
        RunnerError: the other machine cannot be reached, or the connection was lost.
        AccuserError: something did not run, or an event did not come in time.
    """
    options.get("report", silent)(f"the nodes run on {runner}")
    # One connection for all that comes; a login a node would take its time.
    async with runner:
        return await double_baking(
            toolchain, protocol, node_runner=runner, other_nodes_runner=runner, node_path=node_path, **options
        )
