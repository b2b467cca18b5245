"""``accuser run``: an accuser that is kept running."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, cast, get_args

import click

from .._daemons.accuser import Accuser
from .._daemons.endpoint import Endpoint
from .._daemons.options import EventLevel
from .._engine.supervise import RestartPolicy
from .._errors import DaemonExited, DirectoryError
from .._hosts.container.runner import ContainerRunner
from .._hosts.selection import INSTALLED
from .._hosts.toolchain import Toolchain
from .._mavryk.protocol import Protocol
from .._recording.writer import Recording
from .ending import until_stopped
from .exposition import HEALTH, PATH
from .notify import Notifier
from .options import Seconds, address_argument, protocols_option, toolchain_option
from .tally import Tally
from .view import View
from .work import Work

GAVE_UP: Final = 3
DEFAULTS: Final = RestartPolicy()
REST: Final = "accuser.rest"
HISTORY: Final = 256 * 1024
"""Bytes of events that are kept: nobody looks back here, and the memory is to stay flat."""


class GaveUp(click.ClickException):
    """The accuser ended unasked, and is not restarted once more."""

    exit_code = GAVE_UP


def _endpoint(context: click.Context, param: click.Parameter, value: str) -> Endpoint:
    try:
        return Endpoint(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, param) from error


def _restarts(context: click.Context, param: click.Parameter, value: str) -> int | None:
    if value == "forever":
        return None
    if not (value.isdecimal() and value.isascii()):
        raise click.BadParameter(f"{value!r} is neither 'forever' nor a number from 0 on", context, param)
    return int(value)


class _WithRest(click.Command):
    """A command that takes what stands after ``--`` as it is."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            place = args.index("--")
            args, context.meta[REST] = args[:place], tuple(args[place + 1 :])
        return super().parse_args(context, args)


def _words(context: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(value or ""))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is no command: {error}", context, param) from error
    if words and shutil.which(words[0]) is None:
        raise click.BadParameter(f"there is no program {words[0]!r} that can be run", context, param)
    return words


@click.command(
    short_help="Keep an accuser running.",
    cls=_WithRest,
    context_settings={"auto_envvar_prefix": "ACCUSER_RUN"},
    epilog="""\b
Examples:
  accuser run --protocol boreas --endpoint http://127.0.0.1:8732
  accuser run --toolchain /opt/mavkit/bin --metrics 127.0.0.1:9180
  accuser run --toolchain sandbox --endpoint http://127.0.0.1:18731 --record run.jsonl
  accuser run --endpoint http://127.0.0.1:8732 -- --keep-alive

\b
Arguments after -- are passed to the accuser's command `run`. Every option
can be given by the environment as well: ACCUSER_RUN_ENDPOINT for --endpoint,
ACCUSER_RUN_RESTART_DELAY for --restart-delay, and so on.

\b
Exit status:
  0  it was stopped by SIGTERM, SIGINT (Ctrl-C) or SIGHUP, and so was the accuser
  1  it could not begin, or could not go on: the message says why
  2  a wrong argument
  3  the accuser ended unasked, and its restarts are used up

docs/production.md tells how to run it as a service.""",
)
@toolchain_option(INSTALLED, "What runs", alone=False)
@click.option(
    "--accuser",
    "path",
    envvar="ACCUSER_RUN_ACCUSER",
    type=click.Path(exists=True, dir_okay=False, executable=True, path_type=Path),
    help="An accuser's executable, in place of the toolchain's.",
)
@click.option(
    "--endpoint",
    callback=_endpoint,
    default="http://127.0.0.1:8732",
    metavar="URL",
    show_default=True,
    help="The RPC server of the node that it watches.",
)
@protocols_option("Chooses the executable. Given several times, an accuser runs for each.")
@click.option(
    "--base-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The accuser's --base-dir, made if missing; by default a temporary one.",
)
@click.option(
    "--preserved-levels",
    type=click.IntRange(min=0),
    metavar="N",
    help="Levels that it remembers; by default its own default, 200.",
)
@click.option(
    "--event-level",
    type=click.Choice(get_args(EventLevel)),
    default="info",
    show_default=True,
    help="Lowest level of its events. The highest block level is known only with info or debug.",
)
@click.option("--name", default="accuser", show_default=True, help="Prefix of its lines.")
@click.option(
    "--restarts",
    callback=_restarts,
    default="forever",
    metavar="N|forever",
    show_default=True,
    help="How many times in a row it is restarted when it exits by itself; 0 for never.",
)
@click.option(
    "--restart-delay",
    type=Seconds(),
    default=DEFAULTS.first_delay,
    metavar="SECONDS",
    show_default=True,
    help="Wait before the first restart in a row; each further one waits twice as long.",
)
@click.option(
    "--restart-max-delay",
    type=Seconds(),
    default=DEFAULTS.max_delay,
    metavar="SECONDS",
    show_default=True,
    help="The longest wait.",
)
@click.option(
    "--restart-reset",
    type=Seconds(),
    default=DEFAULTS.reset_after,
    metavar="SECONDS",
    show_default=True,
    help="After it has run this long, restarts are counted from one again.",
)
@click.option(
    "--grace",
    type=Seconds(),
    default=30.0,
    metavar="SECONDS",
    show_default=True,
    help="Between SIGTERM and SIGKILL, when the accuser is stopped.",
)
@click.option(
    "--metrics",
    callback=address_argument,
    metavar="HOST:PORT",
    help=f"Serve Prometheus metrics at http://HOST:PORT{PATH}, and health at {HEALTH}; port 0 takes a free "
    "one and prints it.",
)
@click.option(
    "--record",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write down events, output and restarts in FILE, which is emptied first.",
)
@click.option(
    "--max-silence",
    type=Seconds(min_open=True),
    metavar="SECONDS",
    help="Report an accuser as deaf when it has told of no block for this long, in lines, in the metrics and "
    "at /healthz. Needs events of level info.",
)
@click.option("--restart-when-silent", is_flag=True, help="Restart an accuser that is deaf by --max-silence.")
@click.option(
    "--exec-on-denunciation",
    "alarm_words",
    envvar="ACCUSER_RUN_EXEC_ON_DENUNCIATION",
    callback=_words,
    metavar="COMMAND",
    help="Run a command when a double signing was denounced, with a JSON object on its standard input, "
    "for 30 s at most.",
)
@click.option("--plain", is_flag=True, help="Print lines only, on a terminal too.")
@click.option("--verbose", "-v", is_flag=True, help="A line for every event, and for all that it prints.")
def run(
    toolchain: Toolchain,
    path: Path | None,
    endpoint: Endpoint,
    protocols: tuple[Protocol, ...],
    base_dir: Path | None,
    preserved_levels: int | None,
    event_level: str,
    name: str,
    grace: float,
    metrics: str | None,
    record: Path | None,
    max_silence: float | None,
    restart_when_silent: bool,
    alarm_words: tuple[str, ...],
    plain: bool,
    verbose: bool,
    **restarts: Any,
) -> None:
    """Keep an accuser running; SIGTERM or Ctrl-C stops it.

    It watches the node at the endpoint, which may come and go: an accuser that loses its node ends, and is
    restarted, after ever longer waits. On a terminal a panel shows its state.
    """
    policy = _policy(**restarts)
    if restart_when_silent and max_silence is None:
        raise click.UsageError("--restart-when-silent needs --max-silence SECONDS")
    notifier = Notifier.taken()  # before anything is started, so that nobody inherits its variables
    recording = None if record is None else Recording(record, required=False)
    if len(protocols) > 1 and path is not None:
        raise click.UsageError("--accuser is one executable, and each --protocol has its own")
    make = partial(
        Accuser,
        node=endpoint,
        base_dir=base_dir,
        preserved_levels=preserved_levels,
        arguments=click.get_current_context().meta.get(REST, ()),
        path=path,
        toolchain=toolchain,
        record=recording,
        restart=policy,
        history=HISTORY,
        stop_grace=grace,
    )
    views = _views(make, protocols, name, plain=plain, verbose=verbose)
    work = Work(
        views,
        cast(EventLevel, event_level),
        metrics,
        [_about(protocol, toolchain, endpoint) for protocol in protocols],
        recording,
        max_silence,
        restart_when_silent,
        alarm_words,
        notifier,
    )
    work.check()
    _begin(views, protocols, f"({toolchain}), watching {endpoint.url}")
    _finish(views, _keep_running(work, record))


def _about(protocol: Protocol, toolchain: Toolchain, endpoint: Endpoint) -> dict[str, str]:
    return {"toolchain": toolchain.name, "protocol": protocol.long_name, "endpoint": endpoint.url}


def _begin(views: list[View], protocols: Sequence[Protocol], what: str) -> None:
    for view, protocol in zip(views, protocols, strict=True):
        view.say(f"{view.accuser.name}: {protocol.accuser_binary} {what}")


def _finish(views: list[View], stopped: str | None) -> None:
    blocks, restarts = sum(view.tally.blocks for view in views), sum(view.accuser.restarts for view in views)
    views[0].finish(f"stopped by {stopped}; blocks processed: {blocks}, restarts: {restarts}")


def _policy(
    restarts: int | None, restart_delay: float, restart_max_delay: float, restart_reset: float
) -> RestartPolicy:
    try:
        return RestartPolicy(
            limit=restarts,
            first_delay=restart_delay,
            max_delay=restart_max_delay,
            reset_after=restart_reset,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _views(
    make: Callable[..., Accuser], protocols: Sequence[Protocol], name: str, *, plain: bool, verbose: bool
) -> list[View]:
    """Make an accuser for each protocol, called ``name``, and as its protocol if there are several."""
    several, views = len(protocols) > 1, list[View]()
    for protocol in protocols:
        accuser = make(protocol, name=f"{name}-{protocol.tag}" if several else name)
        views.append(_viewed(accuser, views, several=several, plain=plain, verbose=verbose))
    return views


def _viewed(accuser: Accuser, others: list[View], *, several: bool, plain: bool, verbose: bool) -> View:
    """Let a view and a tally see what the accuser does."""
    tally, who = Tally(), f"{accuser.name}: " if several else ""
    view = View(accuser, tally, False, verbose, others[0] if others else None, who=who)
    accuser.on_event(view.guarded(tally.take))
    accuser.on_malformed(view.guarded(lambda _: tally.note_malformed()))
    view.live = not plain and view.console.is_terminal and not view.console.is_dumb_terminal
    view.listen()
    return view


def _keep_running(work: Work, record: Path | None) -> str | None:
    """As `until_stopped`, with the errors that the command says, and without what would fill a disk."""
    try:
        return until_stopped(work.do)
    except DaemonExited as error:
        raise GaveUp(str(error)) from error
    except DirectoryError as error:
        if error.path != record:
            raise
        text = f"cannot write the recording {record}: {error.reason}; choose another FILE, or no --record"
        raise click.ClickException(text) from error
    finally:
        work.view.output.settle()
        # Kept for whoever looks at a failed block; a service that fails would fill the disk with them.
        for view in work.views:
            if (left := view.accuser.kept_directory) is not None:
                shutil.rmtree(left, ignore_errors=True)
                if isinstance(view.accuser.runner, ContainerRunner):
                    view.accuser.runner.taken_away(left)
