"""``mavkit-client`` and ``mavkit-admin-client`` of the sandbox: one command, then the end.

They take upstream's command lines and print its texts. A command of a protocol exists only while
the node's head has that protocol, as upstream. Keys are Ed25519 and unencrypted; answers are JSON.
Two deliberate differences: blocks and votes are injected synchronously, so that the command tells
what the node refuses (of a vote, in a line on standard error, as upstream of one refused at once);
and the nonces that blocks commit to are not kept, since nobody reveals them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import PurePath
from typing import Any, Final

import attrs
import trio

from ..._http.client import Connect, HttpClient
from ..._mavryk.codec.crypto import UNENCRYPTED, Key
from ..._mavryk.protocol import GENESIS_PROTOCOL, Protocol
from ..cli.clic import Cli, Exit, Invocation
from ..cli.config import ClientConfig, ConfigError, client_config
from ..cli.global_options import GLOBAL_OPTIONS
from ..cli.usage import usage
from ..rpc.error_text import laid_out
from ..rpc.request import RpcFailed
from ..sink.descriptor import Outlets
from ..surroundings.system import System
from .commands import (
    admin_commands,
    common_commands,
    economic_commands,
    genesis_commands,
    wallet_commands,
)
from .context import Context, Failure, Refusal, Text, by_tcp
from .wallet import HASHES, PUBLIC_KEYS, SECRET_KEYS, Wallet, WalletError

ADMIN: Final = "mavkit-admin-client"
VERSION: Final = "sandbox (Mavkit 0.0+dev)"
INTERRUPTED: Final = 127
DISCLAIMER_VARIABLE: Final = "MAVRYK_CLIENT_UNSAFE_DISABLE_DISCLAIMER"

DISCLAIMER: Final = (
    "Warning:\n  \n                 This is NOT the Mavryk Mainnet.\n  \n"
    "           Do NOT use your fundraiser keys on this network.\n\n"
)

_PROTOCOL_WORDS: Final = (
    *("activate", "bake", "propose", "man", "submit"),
    *("attest", "endorse", "preattest", "preendorse"),
)
"""First words of what exists only with some protocol: no other command asks the node for it."""


def main(program: str, arguments: Sequence[str]) -> int:
    """Run one command; return the exit status."""
    import os

    try:
        return trio.run(
            partial(
                run,
                arguments,
                program=program,
                stdout=sys.stdout,
                stderr=sys.stderr,
                environ=os.environ,
            )
        )
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output is gone; the interpreter must not try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1


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
    """
    name = PurePath(program).name
    try:
        cli = Cli(name, VERSION, GLOBAL_OPTIONS, ())
        options, rest = cli.parse_globals(arguments)
        try:
            config = client_config(options, environ, media_type="any")
        except ConfigError as error:
            raise cli.failure(error.lines) from error
        context = _context(
            options, config, stdout, stderr, environ, name, connect_to, wall, outlets or Outlets()
        )
        if config.deprecated and not options["no-base-dir-warnings"]:
            context.warning("Warning: the --addr --port --tls options are now deprecated; use --endpoint")
        protocol, cli = await _commands(context, cli, rest, options["protocol"])
        await _call(context, cli, cli.parse_command(rest), protocol)
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
    lines = str(error).rstrip("\n").split("\n")
    return "Error:\n" + "".join(f"  {line}\n" for line in lines)


def _context(
    options: Mapping[str, Any],
    config: ClientConfig,
    stdout: Text,
    stderr: Text,
    environ: Mapping[str, str],
    program: str,
    connect_to: Callable[[str], Connect | None],
    wall: Callable[[], float],
    outlets: Outlets,
) -> Context:
    return Context(
        http=HttpClient(config.endpoint, connect=connect_to(config.endpoint)),
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
        outlets=outlets,
        timings=options["timings"],
        log_requests=options["log-requests"],
    )


async def _commands(context: Context, cli: Cli, rest: list[str], given: str | None) -> tuple[str, Cli]:
    """The protocol whose commands apply, and the command line with all that exist now."""
    common = common_commands()
    if context.program == ADMIN:
        return "", attrs.evolve(cli, commands=(*admin_commands(), *common))
    await _disclaim(context)
    commands = (*common, *wallet_commands())
    protocol = ""
    if rest and (rest[0] in _PROTOCOL_WORDS or rest[:2] == ["show", "voting"]):
        protocol = await _protocol(context, given)
        if protocol == GENESIS_PROTOCOL:
            commands += genesis_commands(context.wallet)
        elif protocol in [known.hash for known in Protocol]:
            commands += economic_commands(context.wallet)
    return protocol, attrs.evolve(cli, commands=commands)


async def _disclaim(context: Context) -> None:
    if context.environ.get(DISCLAIMER_VARIABLE) in ("yes", "y", "YES", "Y"):
        return
    try:
        await context.get("/version")
    except RpcFailed:
        return
    context.stderr.write(DISCLAIMER)


async def _protocol(context: Context, given: str | None) -> str:
    """The protocol of the next block; empty if the node does not tell."""
    try:
        answer = await context.get(f"/chains/{context.chain}/blocks/{context.block}/protocols")
    except RpcFailed as error:
        if given is None:
            lines = "".join(laid_out(one, "  ") for one in error.trace)
            context.warning(f"Warning:\n  Failed to acquire the protocol version from the node\n{lines}")
        return given or ""
    current = str(answer["next_protocol"])
    if given is not None and given != current:
        context.warning(
            f"Warning:\n  The protocol provided via `--protocol` ({given[:12]})\n"
            f"  is not the one retrieved from the node ({current[:12]}).\n"
        )
    return given or current


async def _call(context: Context, cli: Cli, invocation: Invocation, protocol: str) -> None:
    name, parameters, options = invocation.command.name, invocation.parameters, invocation.options
    if name.startswith("rpc "):
        from .rpc import request

        given = parameters[1] if len(parameters) > 1 else None
        await request(context, name.removeprefix("rpc ").upper(), parameters[0], given)
    elif name in ("connect", "trust", "untrust", "ban", "unban", "is_banned", "kick"):
        from . import p2p as client_p2p

        await getattr(client_p2p, name)(context, parameters[0])
    elif name == "activate":
        from .activation import activate

        activated, fitness, key, file = parameters
        await activate(context, activated, fitness, key, file, timestamp=options["timestamp"])
    elif name in ("attestation", "preattestation"):
        from .voting import Vote, vote

        keys = _keys(context, parameters[0])
        kind: Vote = "attestation" if name == "attestation" else "preattestation"
        await vote(context, kind, keys, protocol, force=options["force"])
    elif name in ("proposals", "ballot", "show period"):
        from . import amendment

        if name == "show period":
            await amendment.show_period(context)
        elif name == "ballot":
            await amendment.submit_ballot(context, *parameters, force=options["force"])
        else:
            await amendment.submit_proposals(context, *parameters, force=options["force"])
    elif name in ("bake", "propose"):
        await _bake(context, name, _keys(context, parameters[0]), options, protocol)
    elif name == "man":
        shown = [command for command in cli.commands if _matches(command.words, parameters[0])]
        full = options["verbosity"] == "3"
        context.stdout.write(usage(cli.program, cli.options, shown, full=full))
    else:
        await _ask_wallet(context, name, parameters, options)


async def _bake(
    context: Context, name: str, keys: list[Key], options: Mapping[str, Any], protocol: str
) -> None:
    from .baking import BakeOptions, baker

    chosen = BakeOptions(
        minimal_timestamp=options["minimal-timestamp"],
        force=options["force"],
        operations_pool=options["operations-pool"],
        ignore_mempool=options.get("ignore-node-mempool", False),
        adaptive_issuance_vote=options.get("adaptive-issuance-vote") or "pass",
        count=options.get("count", 1),
    )
    one = await baker(context, keys, protocol, chosen)
    try:
        await (one.bake() if name == "bake" else one.propose())
    finally:
        one.events.close()


async def _ask_wallet(
    context: Context, name: str, parameters: Sequence[Any], options: Mapping[str, Any]
) -> None:
    wallet = context.wallet
    if name == "import":
        key = wallet.import_secret(parameters[0], parameters[1], force=options["force"])
        context.message(f"Mavryk address added: {key.pkh}")
    elif name == "list addresses":
        public, secret = wallet.aliases(PUBLIC_KEYS), wallet.aliases(SECRET_KEYS)
        for alias, pkh in wallet.aliases(HASHES).items():
            known = " (pk known)" if alias in public else ""
            if alias in secret:
                known = f" ({_scheme(secret[alias])} sk known)"
            context.message(f"{alias}: {pkh}{known}")
    elif name == "show address":
        alias = parameters[0]
        context.message(f"Hash: {wallet.address(alias)}")
        if (key_text := wallet.public_key(alias)) is not None:
            context.message(f"Public Key: {key_text}")
            if options["show-secret"] and (uri := wallet.aliases(SECRET_KEYS).get(alias)) is not None:
                context.message(f"Secret Key: {uri}")
    elif name == "understood":
        for understood in (GENESIS_PROTOCOL, *(protocol.hash for protocol in Protocol)):
            context.message(understood[:12])
    elif name == "protocols":
        for known_one in await context.get("/protocols"):
            context.message(str(known_one))
    else:
        raise AssertionError(name)


def _keys(context: Context, delegates: Sequence[str]) -> list[Key]:
    if not delegates:
        return context.wallet.keys()
    distinct = list(dict.fromkeys(delegates))
    if len(distinct) < len(delegates):
        context.warning(
            "Warning: the list of public key hash aliases contains duplicate hashes, which are ignored"
        )
    return [context.wallet.key(pkh) for pkh in distinct]


def _scheme(uri: str) -> str:
    return uri.partition(":")[0] if ":" in uri else UNENCRYPTED.removesuffix(":")


def _matches(command: Sequence[object], keywords: Sequence[str]) -> bool:
    literal = [word for word in command if isinstance(word, str)]
    return all(any(keyword in word for word in literal) for keyword in keywords)
