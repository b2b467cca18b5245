"""Which host a daemon runs on, and which daemons can reach each other."""

from __future__ import annotations

from .host import Host
from .local.machine import THIS_MACHINE
from .remote.runner import Runner
from .toolchain import Toolchain


def host_of(toolchain: Toolchain, runner: Host | None = None) -> Host:
    """Where what comes from ``toolchain`` runs: where the runner leads to, if there is one.

    Raises:
        ValueError: there is one, and the toolchain runs in this process alone.
    """
    if toolchain.host is not None and toolchain.host.world is not None and runner is not None:
        raise ValueError(
            f"the toolchain is a {toolchain}, whose programs cannot run on {runner}: leave the runner "
            "out, or take SANDBOX"
        )
    return runner or toolchain.host or THIS_MACHINE


def runner_of(toolchain: Toolchain, runner: Runner | None = None) -> Runner | None:
    """The same, if it is a runner; None for this machine, and for what runs in this process.

    Raises:
        ValueError: as `host_of`.
    """
    host = host_of(toolchain, runner)
    return host if isinstance(host, Runner) else None


def check_reach(toolchain: Toolchain, node: Toolchain | None) -> None:
    """See that what comes from ``toolchain`` can reach a node of another toolchain; None for any node.

    Raises:
        ValueError: one of them runs in a sandbox in this process, and the other one does not.
    """
    here = None if toolchain.host is None else toolchain.host.world
    there = None if node is None or node.host is None else node.host.world
    if here is not there:
        other = "a node elsewhere" if node is None else f"a node of another toolchain ({node})"
        raise ValueError(
            f"what runs in {toolchain} cannot reach {other}: a sandbox in this process is a world of "
            "its own; take the toolchain of the node"
        )
