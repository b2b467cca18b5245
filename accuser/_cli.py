"""``accuser``: commands for a terminal.

Exit statuses: 0 done, 1 it failed, 2 a wrong argument, 130 interrupted, 128 and the signal's number
for SIGTERM and SIGHUP.
"""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import attrs
import click
import trio
from rich.console import Console
from rich.text import Text

from ._errors import AccuserError, UnknownProtocol
from ._groups import plain_errors
from ._logs import setup_logging
from ._protocol import Protocol
from ._toolchain import SANDBOX, Toolchain, installed
from .scenarios import SCENARIOS

T = TypeVar("T")

FAILED: Final = 1
INTERRUPTED: Final = 130
FLAGSHIP: Final = "double-baking"


def _protocol(context: click.Context, param: click.Parameter, value: str) -> Protocol:
    try:
        return Protocol.parse(value)
    except UnknownProtocol as error:
        raise click.BadParameter(str(error), context, param) from error


def _toolchain(context: click.Context, param: click.Parameter, value: str) -> Toolchain:
    if value == SANDBOX.name:
        return SANDBOX
    if not Path(value).is_dir():
        text = f"{value!r} is neither 'sandbox' nor a folder with Mavkit's binaries"
        raise click.BadParameter(text, context, param)
    return installed(value)


def _list(context: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        width = max(map(len, SCENARIOS))
        for name, scenario in SCENARIOS.items():
            click.echo(f"{name:{width}}  {scenario.summary}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="accuser")
def cli() -> None:
    """Spawn Mavryk accusers and control them."""


@cli.command()
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
@click.option(
    "--toolchain",
    callback=_toolchain,
    default=SANDBOX.name,
    metavar="sandbox|DIR",
    help="What runs: the embedded sandbox (the default), or the Mavkit binaries in DIR.",
)
@click.option(
    "--protocol",
    callback=_protocol,
    default=Protocol.BOREAS.tag,
    metavar="|".join(protocol.tag for protocol in Protocol),
    help="The protocol of the chain; boreas by default.",
)
@click.option(
    "--accuser",
    "accuser_path",
    type=click.Path(exists=True, dir_okay=False, executable=True, path_type=Path),
    help="An accuser's executable, in place of the toolchain's.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, and nothing else.")
@click.option("--keep", is_flag=True, help="Keep the directories of the daemons, and say where they are.")
@click.option(
    "--verbose", "-v", is_flag=True, help="Show on standard error every line that the daemons print."
)
def demo(
    name: str,
    toolchain: Toolchain,
    protocol: Protocol,
    accuser_path: Path | None,
    as_json: bool,
    keep: bool,
    verbose: bool,
) -> None:
    """Run one of upstream's scenarios; the flagship is a double baking, denounced.

    There, three nodes, their clients and an accuser run; bootstrap1 bakes two blocks of one level;
    the accuser finds them and injects the evidence, and the next block includes it. The exit status
    is 0 only if the scenario has shown what it is to show: here, that the block has the evidence.
    """
    if verbose:
        setup_logging(logging.DEBUG)
    console = Console(highlight=False, soft_wrap=True, quiet=as_json)
    start = time.monotonic()

    def report(step: str) -> None:
        line = Text.assemble((f"{time.monotonic() - start:6.2f} s  ", "dim"), step)
        console.print(line)

    run_scenario = SCENARIOS[name].run
    scenario = partial(run_scenario, toolchain, protocol, accuser_path=accuser_path, keep=keep, report=report)
    result = trio.run(_unless_terminated, scenario)
    if as_json:
        click.echo(json.dumps(attrs.asdict(result)))
    else:
        console.print(Text(f"{result.outcome}, in {result.seconds:.2f} s", "bold green"))


class _Terminated(Exception):
    """SIGTERM or SIGHUP has come."""

    def __init__(self, signum: int) -> None:
        self.signum = signum


async def _unless_terminated(work: Callable[[], Awaitable[T]]) -> T:
    """Run ``work``; SIGTERM and SIGHUP end it as Ctrl-C does, so that every daemon is stopped."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGHUP) as signals:

        async def watch() -> None:
            async for signum in signals:
                raise _Terminated(signum)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            result = await work()
            nursery.cancel_scope.cancel(reason="the work is done")
    return result


def run() -> int:
    """Run the command that the arguments name; return the exit status."""
    try:
        with plain_errors():
            status = cli.main(prog_name="accuser", standalone_mode=False)
    except click.exceptions.Abort:
        return _fail("interrupted; every daemon was stopped", INTERRUPTED)
    except KeyboardInterrupt:
        return _fail("interrupted; every daemon was stopped", INTERRUPTED)
    except _Terminated as error:
        name = signal.Signals(error.signum).name
        return _fail(f"ended by {name}; every daemon was stopped", 128 + error.signum)
    except OSError as error:
        return _fail(f"{error}", FAILED)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except AccuserError as error:
        notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
        return _fail(f"{type(error).__name__}: {error}{notes}", FAILED)
    return status if isinstance(status, int) else 0


def _fail(text: str, status: int) -> int:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble(("accuser: ", "bold red"), text))
    return status
