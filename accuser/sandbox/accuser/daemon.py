"""``mavkit-accuser-*`` of the sandbox: a real accuser, driven by a node's RPC alone.

It takes upstream's command line, prints its lines, asks in its order and ends with its statuses.
One deliberate difference: SIGTERM ends it even when standard error is a full pipe.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import PurePath
from typing import Any, Final

import trio

from ..._http.client import HttpClient
from ..._mavryk.protocol import Protocol
from ..cli import config_commands
from ..cli.clic import Cli, Exit, Refused
from ..cli.config import ClientConfig, ConfigError, client_config
from ..cli.global_options import GLOBAL_OPTIONS
from ..cli.usage import Command, Option, Rest, usage, words
from ..rpc.client import Rpc
from ..rpc.error_text import laid_out
from ..rpc.request import RpcFailed
from ..sink.sink import DEFAULT, Level, Sink, SinkError
from ..surroundings.system import OwnProcess, System, open_sink
from . import pidfile
from .client_daemon import COMMIT, VERSION, Console, Life, NodeLost, Unexpected
from .denunciation import DEFAULT_PRESERVED_LEVELS
from .loop import Accuser


def _preserved_levels(text: str) -> int:
    if not re.fullmatch("[0-9]+", text):
        complaint = f"Expected a positive integer, but given '{text}'"
        raise Refused(f"Bad argument value for -preserved_levels. {complaint}")
    return int(text)


def _verbosity(text: str) -> int:
    if text not in ("0", "1", "2", "3"):
        raise Refused("Level of details out of range")
    return int(text)


def _manual_format(text: str) -> str:
    if text not in ("colors", "plain", "html"):
        raise Refused("Unknown manual format")
    return text


_COMMANDS: Final = (
    Command(
        "protocols",
        words("list understood protocols"),
        "List the protocol versions that this client understands.",
    ),
    *config_commands.COMMANDS,
    Command(
        "run",
        words("run"),
        "Launch the accuser daemon",
        (
            Option("pidfile", "write process id in file", "filename", "P"),
            Option(
                "preserved-levels",
                "Number of effective levels kept in the accuser's memory",
                "threshold",
                parse=_preserved_levels,
                default=str(DEFAULT_PRESERVED_LEVELS),
            ),
            Option(
                "keep-alive",
                "Keep the daemon process alive: when the connection with the node is lost, the daemon "
                "periodically tries to reach it.",
                short="K",
            ),
        ),
        "Commands related to the accuser daemon.",
    ),
    Command(
        "man",
        (
            "man",
            Rest(
                "keyword", "keyword to search for\nIf several are given they must all appear in the command."
            ),
        ),
        "Print documentation of commands.\n"
        "Add search keywords to narrow list.\n"
        "Will display only the commands by default, unless [-verbosity <2|3>] is\n"
        "passed or the list of matching commands if less than 3.",
        (
            Option(
                "verbosity",
                "level of details\n"
                "0. Only shows command mnemonics, without documentation.\n"
                "1. Shows command mnemonics with short descriptions.\n"
                "2. Show commands and arguments with short descriptions\n"
                "3. Show everything",
                "0|1|2|3",
                "v",
                parse=_verbosity,
            ),
            Option(
                "format",
                "the manual's output format",
                "plain|colors|html",
                parse=_manual_format,
                default="plain",
            ),
        ),
        "Access the documentation",
    ),
)


def protocol_of(program: str) -> Protocol:
    """The protocol in the name of an executable. Raises ``ValueError``."""
    name = PurePath(program).name
    for protocol in Protocol:
        if name == protocol.accuser_binary:
            return protocol
    raise ValueError(f"{name} is the accuser of no known protocol")


def main(program: str, arguments: list[str]) -> int:
    """Run the program; its exit status.

    Args:
        program: as it was called: a path that ends in ``mavkit-accuser-PtBoreas`` or the like.
        arguments: the rest of the command line.
    """
    return trio.run(execute, program, arguments, OwnProcess())


async def execute(program: str, arguments: Sequence[str], system: System) -> int:
    """Run the program in any surroundings; its exit status. Arguments as those of `main`."""
    life = Life()

    def say_farewell(number: int) -> None:
        name = signal.Signals(number).name.removeprefix("SIG")
        system.say(2, f"({program}) {name}: triggering shutdown.\n")
        if life.running:
            farewell = "Shutting down the accuser...\n" * life.starts
            # Holding the lock, upstream's program is ended without an error.
            head = "" if life.has_pidfile else "Fatal error:\n  Lwt.Resolution_loop.Canceled\n"
            system.say(1, f"{head}{farewell}")

    with system.ended_by_signals(say_farewell):
        try:
            await _execute(program, arguments, system, life)
        except Exit as end:
            system.write(1, end.stdout)
            system.write(2, end.stderr)
            return end.status
    return 0


async def _execute(program: str, arguments: Sequence[str], system: System, life: Life) -> None:
    protocol = protocol_of(program)
    version = f"{COMMIT} (no commit) (Mavkit {COMMIT} {VERSION})"
    cli = Cli(PurePath(program).name, version, GLOBAL_OPTIONS, _COMMANDS)
    options, rest = cli.parse_globals(arguments)
    try:
        creating = rest[:2] == ["config", "init"]
        config = client_config(options, system.environ, media_type="binary", creating=creating)
    except ConfigError as error:
        raise cli.failure(error.lines) from error
    if config.deprecated:
        warning = "Warning:  the --addr --port --tls options are now deprecated; use --endpoint instead\n"
        system.write(2, warning)
    sinks = DEFAULT if config.internal_events is None else config.internal_events
    try:
        sink = await open_sink(system, program, sinks)
    except SinkError as error:
        lines = "".join(f"  {line}\n" for line in error.lines)
        raise Exit(1, stderr=f"Fatal error:\n{lines}") from error
    life.running = True
    try:
        invocation = cli.parse_command(rest)
        if invocation.command.name == "protocols":
            raise Exit(0, stdout=f"{protocol.hash[:12]}\n")
        if invocation.command.name == "man":
            raise manual(cli, invocation.parameters[0], invocation.options["verbosity"])
        if config_commands.is_config(invocation):
            raise config_commands.run(cli, invocation, options, config.base_dir)
        with ExitStack() as held:
            if (path := invocation.options["pidfile"]) is not None:
                life.has_pidfile = True
                try:
                    held.enter_context(pidfile.locked(path, system.pid))
                except OSError as error:
                    raise cli.failure([f"Unix error in open: {error.strerror}"]) from error
                except pidfile.Taken as error:
                    raise cli.failure([f"Failed to create the pidfile: {path}"]) from error
            await _run(protocol, config, invocation.options, sink, system, life)
    except (RpcFailed, Unexpected) as error:
        raise Exit(1, stderr=last_words(error)) from error
    finally:
        sink.close()


async def _run(
    protocol: Protocol,
    config: ClientConfig,
    options: Mapping[str, Any],
    sink: Sink,
    system: System,
    life: Life,
) -> None:
    async def on_retry(attempt: int, delay: float, body: str) -> None:
        value = {"attempt": attempt, "delay": delay, "text": body}
        text = f"Attempt number {attempt}/10, will retry after {delay:g} seconds.\n"
        text += f"Original body follows.\n{body}"
        await sink.emit((), "rpc_http_attempt", Level.ERROR, value, text, versioned=False)

    accuser = Accuser(
        protocol=protocol,
        rpc=Rpc(
            HttpClient(config.endpoint, connect=system.connect_to(config.endpoint)),
            config.media_type,
            on_retry,
            protocol.hash,
        ),
        sink=sink,
        console=Console(system.outlets.standard(1), system.outlets.standard(2)),
        wall=system.wall,
        life=life,
        preserved_levels=options["preserved-levels"],
        keep_alive=options["keep-alive"],
    )
    await accuser.run()


def manual(cli: Cli, keywords: list[str], verbosity: int | None) -> Exit:
    """What ``man`` shows of the commands with all the keywords."""
    chosen = [
        command
        for command in cli.commands
        if all(any(isinstance(w, str) and key in w for w in command.words) for key in keywords)
    ]
    if not chosen:
        *others, last = keywords
        listed = f"{', '.join(others)} and {last}" if others else last
        return cli.failure([f"No manual entry that match {listed}."])
    full = verbosity == 3 or (verbosity is None and len(chosen) <= 3)
    return Exit(0, stdout=usage(cli.program, cli.options, chosen, full=full))


def last_words(end: RpcFailed | Unexpected) -> str:
    """What the program says of its end on standard error."""
    reason = end.reason if isinstance(end, Unexpected) else end
    head = "  Unexpected error: "
    indent = "  " if reason is end else " " * (len(head) + 2)
    if isinstance(reason, NodeLost):
        shown = f"{indent}{reason.text}\n"
    else:
        shown = "".join(laid_out(error, indent) for error in reason.trace)
    if reason is end:
        return f"Error:\n{shown}"
    return f"Fatal error:\n{head}Error:\n{shown}  . Exiting...\n"
