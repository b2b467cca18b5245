"""The flagship with its nodes on another machine.

Upstream: ``tezt/remote_tests/double_bake.ml``.
"""

from __future__ import annotations

from pathlib import Path

from .._hosts.ssh.runner import SSHRunner
from .._hosts.toolchain import Toolchain
from .._mavryk.protocol import Protocol
from .._recording.writer import Recording
from ._common import Report, silent
from ._double_baking import DoubleBaking, double_baking


async def double_baking_remote(
    toolchain: Toolchain,
    protocol: Protocol = Protocol.BOREAS,
    *,
    runner: SSHRunner,
    node_path: str | Path | None = None,
    accuser_path: Path | None = None,
    keep: bool = False,
    record: Recording | None = None,
    report: Report = silent,
    twin: bool = False,
) -> DoubleBaking:
    """Run `double_baking` with all three nodes on another machine, the accuser and clients here.

    Args:
        toolchain: what runs.
        protocol: what the chain is activated with.
        runner: the other machine; `load_runner_config` reads one from upstream's file.
        node_path: the node's executable there; by default the toolchain's.
        accuser_path: an accuser's executable here, in place of the toolchain's.
        keep: keep the directories of the daemons and clients, and report where they are.
        record: where the daemons are recorded, all of them in one.
        report: called with a line for each step.
        twin: as in `double_baking`.

    Raises:
        ScenarioFailed: the mempool refused the evidence, or it is not in the block.
        RunnerError: the other machine cannot be reached, or the connection was lost.
        AccuserError: something did not run, or an event did not come in time.
    """
    report(f"the nodes run on {runner}")
    # One connection for all that comes; a login a node would take its time.
    async with runner:
        return await double_baking(
            toolchain,
            protocol,
            accuser_path=accuser_path,
            node_runner=runner,
            other_nodes_runner=runner,
            node_path=node_path,
            keep=keep,
            record=record,
            report=report,
            twin=twin,
        )
