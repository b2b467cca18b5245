"""``accuser demo``: a scenario, step by step."""

from __future__ import annotations

import json
import logging
import time
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import click
import trio
from rich.console import Console
from rich.text import Text

from .._hosts.container.runner import ContainerRunner
from .._hosts.ssh.runner_config import load_runner_config
from .._hosts.toolchain import SANDBOX, Toolchain
from .._logs import setup_logging
from .._mavryk.protocol import Protocol
from .._recording.writer import Recording
from ..scenarios import SCENARIOS
from .ending import unless_terminated
from .options import protocol_option, toolchain_option
from .output import echo

FLAGSHIP: Final = "double-baking"


def _names(protocols: tuple[Protocol, ...]) -> str:
    return " and ".join(protocol.tag for protocol in protocols)


def _list(context: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        width = max(map(len, SCENARIOS))
        for name, scenario in SCENARIOS.items():
            only = "" if len(scenario.protocols) == len(Protocol) else f" ({_names(scenario.protocols)} only)"
            echo(f"{name:{width}}  {scenario.summary}{only}")
        context.exit()


@click.command(
    short_help="Run a scenario; a double baking by default.",
    epilog="""\b
Examples:
  accuser demo                                     on the sandbox
  accuser demo --toolchain /opt/mavkit/bin         on installed binaries
  accuser demo --scenario operation-too-old --json
  accuser demo --list""",
)
@click.option(
    "--scenario",
    "name",
    type=click.Choice(list(SCENARIOS)),
    default=FLAGSHIP,
    metavar="NAME",
    help=f"What is run; {FLAGSHIP} by default.",
)
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_list, help="List the scenarios."
)
@toolchain_option(SANDBOX.name, "What runs")
@protocol_option("The protocol of the chain.")
@click.option(
    "--accuser",
    "accuser_path",
    type=click.Path(exists=True, dir_okay=False, executable=True, path_type=Path),
    help="An accuser's executable, in place of the toolchain's.",
)
@click.option(
    "--runner-config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Upstream's JSON file about the other machine, for scenarios that need one; by default what "
    "TEZT_RUNNER_CONFIG names, else runner_config.json.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else.")
@click.option("--keep", is_flag=True, help="Keep the directories of the daemons, and say where they are.")
@click.option(
    "--record",
    "record_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Record all the daemons in this file, which is emptied before.",
)
@click.option(
    "--verbose", "-v", is_flag=True, help="Show on standard error every line that the daemons print."
)
def demo(
    name: str,
    toolchain: Toolchain,
    protocol: Protocol,
    accuser_path: Path | None,
    runner_config: Path | None,
    as_json: bool,
    keep: bool,
    record_path: Path | None,
    verbose: bool,
) -> None:
    """Run one of upstream's scenarios; the flagship is a double baking, denounced.

    It runs three nodes, their clients and an accuser; bootstrap1 bakes two blocks of one level;
    the accuser finds them and injects the evidence, and the next block includes it. The exit status
    is 0 only if the scenario had the expected outcome: here, that the block has the evidence.
    """
    chosen = SCENARIOS[name]
    if protocol not in chosen.protocols:
        applies = _names(chosen.protocols)
        raise click.UsageError(f"the scenario {name} does not apply to {protocol.tag}: it is for {applies}")
    runs = partial(chosen.run, toolchain, protocol, accuser_path=accuser_path, keep=keep)
    image = toolchain.host if isinstance(toolchain.host, ContainerRunner) else None
    if chosen.needs_runner and image is not None and runner_config is None:
        # The other machine is another container.
        runs = partial(runs, runner=attrs.evolve(image, name=None))
    elif chosen.needs_runner:
        there = load_runner_config(runner_config)
        runs = partial(runs, runner=there.runner, node_path=there.node_path)
    elif runner_config is not None:
        raise click.UsageError(f"the scenario {name} runs on this machine alone: leave --runner-config out")
    if verbose:
        setup_logging(logging.DEBUG)
    console = Console(highlight=False, soft_wrap=True, quiet=as_json)
    start = time.monotonic()

    def report(step: str) -> None:
        line = Text.assemble((f"{time.monotonic() - start:6.2f} s  ", "dim"), step)
        console.print(line)

    record = None if record_path is None else Recording(record_path)
    result = trio.run(unless_terminated, partial(runs, record=record, report=report))
    if as_json:
        echo(json.dumps(attrs.asdict(result)))
    else:
        console.print(Text(f"{result.outcome}, in {result.seconds:.2f} s", "bold green"))
