"""``mavkit-client`` and ``mavkit-admin-client`` of the sandbox: one command, then the end.

They take upstream's command lines and print its texts. A command of a protocol exists only while
the node's head has that protocol, as upstream: so each command of the client first asks the node for
its network and its protocol. Keys are Ed25519 and unencrypted.
Two deliberate differences: blocks and (pre)attestations are injected synchronously, so that the command
tells what the node refuses (of the latter, in a line on standard error, as upstream of one refused at once);
and the nonces that blocks commit to are not kept, since nobody reveals them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import PurePath
from typing import Any, Final, TextIO

import attrs
import trio

from ..._http.client import Connect, HttpClient
from ..._mavryk.protocol import GENESIS_PROTOCOL, Protocol
from ..cli.clic import Cli, Exit, Refused
from ..cli.config import ClientConfig, ConfigError, client_config
from ..cli.global_options import GLOBAL_OPTIONS
from ..cli.usage import Option
from ..rpc.error_text import laid_out
from ..rpc.request import RpcFailed
from ..sink.descriptor import Outlets
from ..surroundings.system import System
from .commands import genesis_commands, manual, rpc_commands
from .commands_admin import admin_commands
from .commands_baking import economic_commands
from .commands_wallet import wallet_commands
from .context import Context, Failure, Refusal, Text, by_tcp
from .dispatch import UNDERSTOOD, call
from .request_log import LoggedHttp, Told
from .wallet import Wallet, WalletError

ADMIN: Final = "mavkit-admin-client"
VERSION: Final = "sandbox (Mavkit 0.0+dev)"
INTERRUPTED: Final = 127
DISCLAIMER_VARIABLE: Final = "MAVRYK_CLIENT_UNSAFE_DISABLE_DISCLAIMER"

DISCLAIMER: Final = (
    "Warning:\n  \n                 This is NOT the Mavryk Mainnet.\n  \n"
    "           Do NOT use your fundraiser keys on this network.\n\n"
)

PATIENCE: Final = 10.0
"""Seconds that the node may take to tell its network and its protocol."""


def _protocol_option(text: str) -> str:
    """The protocol whose hash begins with ``text``."""
    for known in UNDERSTOOD:
        if known.startswith(text):
            return known
    raise Refused(f"Value {text} does not correspond to any known protocol.")


def _with_protocols(option: Option) -> Option:
    return attrs.evolve(option, parse=_protocol_option) if option.long == "protocol" else option


MAINNET: Final = (
    "Disclaimer:\n"
    "  The  Mavryk  network  is  a  new  blockchain technology.\n"
    "  Users are  solely responsible  for any risks associated\n"
    "  with usage of the Mavryk network.  Users should do their\n"
    "  own  research to determine  if Mavryk is the appropriate\n"
    "  platform for their needs and should apply judgement and\n"
    "  care in their network interactions.\n\n"
)

_OPTIONS: Final = tuple(map(_with_protocols, GLOBAL_OPTIONS))


def main(program: str, arguments: Sequence[str]) -> int:
    """Run one command; return the exit status."""
    try:
        with _utf_8(1) as stdout, _utf_8(2) as stderr:
            return trio.run(
                partial(run, arguments, program=program, stdout=stdout, stderr=stderr, environ=os.environ)
            )
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output is gone; the interpreter must not try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


def _utf_8(number: int) -> TextIO:
    """An output of this process, in UTF-8 whatever the locale, as upstream."""
    # Standard error a line at a time, and whatever is in it, as usual.
    lines, errors = (1, "backslashreplace") if number == 2 else (-1, "surrogateescape")
    try:
        return open(number, "w", lines, encoding="utf-8", errors=errors, closefd=False)
    except OSError:
        return open(os.devnull, "w", encoding="utf-8")  # it is closed


async def execute(program: str, arguments: Sequence[str], system: System) -> int:
    """Run one command in any surroundings; return the exit status."""
    return await run(
        arguments,
        program=program,
        stdout=_Text(system, 1),
        stderr=_Text(system, 2),
        environ=system.environ,
        connect_to=system.connect_to,
        wall=system.wall,
        outlets=system.outlets,
        pid=system.pid,
    )


@attrs.frozen
class _Text:
    system: System
    number: int

    def write(self, text: str) -> None:
        self.system.write(self.number, text)

    def flush(self) -> None: ...


async def run(
    arguments: Sequence[str],
    *,
    program: str,
    stdout: Text,
    stderr: Text,
    environ: Mapping[str, str],
    connect_to: Callable[[str], Connect | None] = by_tcp,
    wall: Callable[[], float] = time.time,
    outlets: Outlets | None = None,
    pid: int | None = None,
) -> int:
    """Run one command; return the exit status.

    Args:
        arguments: without the program's name.
        program: the program's name; its base name chooses the commands.
        stdout: for what the command says.
        stderr: for warnings and errors.
        environ: the environment of the process.
        connect_to: gives what opens connections to the server at a URL; None for TCP.
        wall: seconds since the epoch.
        outlets: ways out for events; by default those of the process.
        pid: the program's id; by default that of the process.
    """
    name = PurePath(program).name
    try:
        cli = Cli(name, VERSION, _OPTIONS, ())
        options, rest = cli.parse_globals(arguments)
        try:
            config = client_config(options, environ, media_type="any")
        except ConfigError as error:
            raise cli.failure(error.lines) from error
        context = _context(options, config, stdout, stderr, environ, name, connect_to, wall, outlets, pid)
        if config.deprecated and not options["no-base-dir-warnings"]:
            context.warning("Warning: the --addr --port --tls options are now deprecated; use --endpoint")
        protocol, cli = await _commands(context, cli, options["protocol"])
        await call(context, cli, cli.parse_command(rest), protocol)
    except Exit as end:
        stdout.write(end.stdout)
        stderr.write(end.stderr)
        status = end.status
    except (RpcFailed, Refusal, WalletError) as error:
        stderr.write(_error(error))
        status = 1
    except Failure as error:
        stderr.write("Fatal error:\n" + "".join(f"  {line}\n" for line in str(error).split("\n")))
        status = 1
    else:
        status = 0
    stdout.flush()
    stderr.flush()
    return status


def _error(error: RpcFailed | Refusal | WalletError) -> str:
    if isinstance(error, RpcFailed):
        return "Error:\n" + "".join(laid_out(one, "  ") for one in error.trace)
    lines = str(error).split("\n")
    return "Error:\n" + "".join(f"  {line}\n" if line else "\n" for line in lines)


def _context(
    options: Mapping[str, Any],
    config: ClientConfig,
    stdout: Text,
    stderr: Text,
    environ: Mapping[str, str],
    program: str,
    connect_to: Callable[[str], Connect | None],
    wall: Callable[[], float],
    outlets: Outlets | None,
    pid: int | None,
) -> Context:
    untold = HttpClient(config.endpoint, connect=connect_to(config.endpoint))
    told: Told | None = "timings" if options["timings"] else "requests" if options["log-requests"] else None

    def tell(text: str) -> None:
        stderr.write(f"{text}\n")
        stderr.flush()

    return Context(
        http=untold
        if told is None
        else LoggedHttp(
            config.endpoint, connect=connect_to(config.endpoint), what=told, wall=wall, tell=tell
        ),
        untold=untold,
        media_type=config.media_type,
        wallet=Wallet(config.base_dir),
        chain=options["chain"] or "main",
        block=options["block"] or "head",
        stdout=stdout,
        stderr=stderr,
        environ=environ,
        program=program,
        connect_to=connect_to,
        wall=wall,
        outlets=outlets or Outlets(),
        pid=pid or os.getpid(),
        confirmations=config.confirmations,
    )


async def _commands(context: Context, cli: Cli, given: str | None) -> tuple[str, Cli]:
    """The protocol whose commands apply, and the command line with all that exist now."""
    if context.program == ADMIN:
        return "", attrs.evolve(cli, commands=(*admin_commands(), *rpc_commands(), manual()))
    await _disclaim(context)
    commands = (*rpc_commands(), *wallet_commands(context.wallet))
    protocol = await _protocol(context, given)
    if protocol == GENESIS_PROTOCOL:
        commands += genesis_commands(context.wallet)
    elif protocol in [known.hash for known in Protocol]:
        commands += economic_commands(context.wallet)
    elif protocol:
        raise Exit(1, stderr="Fatal error: unknown protocol version.\n")
    return protocol, attrs.evolve(cli, commands=(*commands, manual()))


async def _disclaim(context: Context) -> None:
    """Ask for the node's network, and warn of it unless that is unwanted."""
    with trio.move_on_after(PATIENCE):
        try:
            version = await context.get("/version")
        except RpcFailed:
            return
        if context.environ.get(DISCLAIMER_VARIABLE) not in ("yes", "y", "YES", "Y"):
            network = version.get("network_version", {}).get("chain_name", "")
            context.stderr.write(MAINNET if network.startswith("MAVRYK_MAINNET") else DISCLAIMER)


async def _protocol(context: Context, given: str | None) -> str:
    """The protocol of the next block; empty if the node does not tell."""
    answer, complaint = None, "  Timeout\n"
    with trio.move_on_after(PATIENCE):
        try:
            answer = await context.get(f"{context.at}/protocols")
        except RpcFailed as error:
            complaint = "".join(laid_out(one, "  ") for one in error.trace)
    if answer is None:
        if given is None:
            context.warning(f"Warning:\n  Failed to acquire the protocol version from the node\n{complaint}")
        return given or ""
    current = str(answer["next_protocol"])
    if given is not None and given != current:
        context.warning(
            f"Warning:\n  The protocol provided via `--protocol` ({given[:12]})\n"
            f"  is not the one retrieved from the node ({current[:12]}).\n"
        )
    return given or current
