"""``mavkit-baker-*`` of the sandbox: upstream's command line, over a node's RPC alone.

Deliberate differences: ``run with local node`` takes upstream's words, but asks by RPC, since the
sandbox's node keeps no context; answers are asked for as JSON unless ``--media-type`` says otherwise;
a DAL node is named, and not asked.
"""

from __future__ import annotations

import re
import signal
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any, Final

import trio

from ..._http.client import HttpClient
from ..._mavryk.codec.crypto import Key
from ..._mavryk.protocol import Protocol
from ..accuser import pidfile
from ..accuser.client_daemon import COMMIT, VERSION, Console, Life, Unexpected
from ..accuser.daemon import last_words, manual
from ..cli.clic import Cli, Exit, Invocation, Refused
from ..cli.config import ClientConfig, ConfigError, client_config
from ..cli.global_options import GLOBAL_OPTIONS
from ..cli.usage import MARGIN, Command, Option, Param, Rest, words
from ..client.sources import delegate
from ..client.wallet import Wallet, WalletError
from ..rpc.client import Rpc
from ..rpc.request import RpcFailed
from ..sink.sink import DEFAULT, Level, Sink, SinkError
from ..surroundings.system import OwnProcess, System, open_sink
from . import votefile
from .events import Events
from .loop import Baker
from .selection import Fees
from .settings import Settings
from .votefile import VoteFileError, Votes

_MISSING: Final = tuple(
    textwrap.wrap(
        "Missing liquidity baking toggle vote, please use either the --liquidity-baking-toggle-vote option, "
        "or the --votefile option or a votes file in the default location: per_block_votes.json in the "
        "current working directory or in the baker directory.",
        MARGIN - 2,
        break_on_hyphens=False,
    )
)


def _vote(text: str) -> str:
    if text not in votefile.VOTES:
        raise Refused(f'unexpected vote: {text}, expected either "on", "off", or "pass".')
    return text


def _existing(text: str) -> str:
    if not Path(text).exists():
        raise Refused(f'The provided block vote file path "{text}" does not point to an existing file.')
    return text


def _directory(text: str) -> str:
    if not Path(text).is_dir():
        raise Refused(f"Directory doesn't exist: '{text}'")
    return text


def _rational(text: str) -> Fraction:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?(/[0-9]+)?", text):
        raise Refused("Can't parse rational")
    whole, _, divisor = text.partition("/")
    if divisor and int(divisor) == 0:
        raise Refused("Can't parse rational")
    return Fraction(whole) / int(divisor or 1)


def _amount(text: str) -> Fraction:
    if not re.fullmatch(r"[0-9]+(\.[0-9]{1,6})?", text):
        raise Refused("Expecting amount in mav")
    return Fraction(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
        raise Refused("pre-emptive-forge-time must be a positive number of seconds")
    return float(text)


def _uri(text: str) -> str:
    return text


_PIDFILE: Final = Option("pidfile", "write process id in file", "filename", "P")
_KEEP_ALIVE: Final = Option(
    "keep-alive",
    "Keep the daemon process alive: when the connection with the node is lost, the daemon periodically "
    "tries to reach it.",
    short="K",
)
_RUN: Final = (
    _PIDFILE,
    Option(
        "minimal-fees",
        "exclude operations with fees lower than this threshold (in mav)",
        "amount",
        parse=_amount,
        default="0.0001",
    ),
    Option(
        "minimal-nanomav-per-gas-unit",
        "exclude operations with fees per gas lower than this threshold (in nanomav)",
        "amount",
        parse=_rational,
        default="100",
    ),
    Option(
        "minimal-nanomav-per-byte",
        "exclude operations with fees per byte lower than this threshold (in nanomav)",
        "amount",
        parse=_rational,
        default="1000",
    ),
    Option("force-apply", "Force the baker to not only validate but also apply operations."),
    _KEEP_ALIVE,
    Option(
        "liquidity-baking-toggle-vote",
        "Vote to continue (option 'on'), discontinue (option 'off') or abstain (option 'pass') the "
        "liquidity baking subsidy.",
        "vote",
        parse=_vote,
        plain=True,
    ),
    Option(
        "adaptive-issuance-vote",
        "Vote to adopt (option 'on'), reject (option 'off') or abstain (option 'pass') the adaptive "
        "issuance feature.",
        "vote",
        parse=_vote,
        default="pass",
    ),
    Option(
        "votefile",
        "File with votes as JSON, read again for each block.",
        "filename",
        "V",
        parse=_existing,
        plain=True,
    ),
    Option("operations-pool", "File or URI with additional operations.", "file|uri", parse=_uri),
    Option("dal-node", "endpoint of the DAL node", "uri"),
    Option("record-state", "If record-state flag is set, the baker saves all its internal consensus state."),
    Option(
        "pre-emptive-forge-time",
        "Sets the pre-emptive forge time optimization, in seconds.",
        "seconds",
        parse=_seconds,
        plain=True,
    ),
)
_GROUP: Final = "Commands related to the baker daemon."
_KEYS: Final = Rest("baker", "name of the delegate owning the attestation right")
_COMMANDS: Final = (
    Command(
        "protocols",
        words("list understood protocols"),
        "List the protocol versions that this client understands.",
    ),
    Command(
        "local",
        (
            *words("run with local node"),
            Param("node_data_path", "Path to the node data directory", _directory),
            _KEYS,
        ),
        "Launch the baker daemon.",
        _RUN,
        _GROUP,
    ),
    Command(
        "remote",
        (*words("run remotely"), _KEYS),
        "Launch the baker daemon using RPCs only.",
        _RUN,
        _GROUP,
    ),
    Command("vdf", words("run vdf"), "Launch the VDF daemon", (_PIDFILE, _KEEP_ALIVE), _GROUP),
    Command(
        "man",
        ("man", Rest("keyword", "keyword to search for")),
        "Print documentation of commands.",
        (),
        "Access the documentation",
    ),
)


def protocol_of(program: str) -> Protocol:
    """The protocol in the name of an executable. Raises ``ValueError``."""
    name = PurePath(program).name
    for protocol in Protocol:
        if name == protocol.baker_binary:
            return protocol
    raise ValueError(f"{name} is the baker of no known protocol")


def main(program: str, arguments: list[str]) -> int:
    """Run the program; its exit status. Arguments as those of the accuser's."""
    return trio.run(execute, program, arguments, OwnProcess())


async def execute(program: str, arguments: Sequence[str], system: System) -> int:
    """Run the program in any surroundings; its exit status."""
    life = Life()

    def say_farewell(number: int) -> None:
        name = signal.Signals(number).name.removeprefix("SIG")
        system.say(2, f"({program}) {name}: triggering shutdown.\n")
        if life.running:
            farewell = "Shutting down the baker...\n" * life.starts
            system.say(1, f"Fatal error:\n  Lwt.Resolution_loop.Canceled\n{farewell}")

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
        config = client_config(options, system.environ, media_type="any")
    except ConfigError as error:
        raise cli.failure(error.lines) from error
    if config.deprecated:
        warning = "Warning:  the --addr --port --tls options are now deprecated; use --endpoint instead\n"
        system.write(2, warning)
    try:
        sink = await open_sink(system, program, _sinks(protocol, config))
    except SinkError as error:
        lines = "".join(f"  {line}\n" for line in error.lines)
        raise Exit(1, stderr=f"Fatal error:\n{lines}") from error
    life.running = True
    try:
        invocation = cli.parse_command(rest)
        if invocation.command.name == "protocols":
            raise Exit(0, stdout=f"{protocol.hash[:12]}\n")
        if invocation.command.name == "man":
            raise manual(cli, invocation.parameters[0], None)
        if invocation.command.name == "vdf":
            raise cli.failure(["The sandbox computes no VDF."])
        with _pidfile(cli, invocation.options["pidfile"], system):
            await _run(cli, protocol, config, invocation, sink, system, life)
    except (RpcFailed, Unexpected) as error:
        raise Exit(1, stderr=last_words(error)) from error
    finally:
        sink.close()


def _sinks(protocol: Protocol, config: ClientConfig) -> tuple[str, ...]:
    if config.internal_events is not None:
        return config.internal_events
    folder = config.base_dir.absolute() / "logs" / f"mavkit-baker-{protocol.long_name}"
    daily = f"file-descriptor-path://{folder}/daily.log"
    rotation = "create-dirs=true&daily-logs=7&level-at-least=info&format=pp-rfc5424"
    return (*DEFAULT, f"{daily}?{rotation}")


@contextmanager
def _pidfile(cli: Cli, path: str | None, system: System) -> Iterator[None]:
    """Hold the file with our id, locked; it stays afterwards."""
    if path is None:
        yield
        return
    with ExitStack() as held:
        try:
            held.enter_context(pidfile.locked(path, system.pid))
        except (OSError, pidfile.Taken) as error:
            raise cli.failure([f"Failed to create the pidfile: {path}"]) from error
        yield


async def _run(
    cli: Cli,
    protocol: Protocol,
    config: ClientConfig,
    invocation: Invocation,
    sink: Sink,
    system: System,
    life: Life,
) -> None:
    options = invocation.options
    wallet = Wallet(config.base_dir)
    events = Events(sink, protocol.long_name)
    votes, file = await _votes(cli, options, config, events, protocol)
    settings = Settings(
        keys=_keys(cli, wallet, invocation.parameters[-1], system),
        votes=votes,
        vote_file=file,
        operations_pool=options["operations-pool"],
        dal_node=options["dal-node"],
        fees=Fees(
            options["minimal-fees"] * 10**9,
            options["minimal-nanomav-per-gas-unit"],
            options["minimal-nanomav-per-byte"],
        ),
        pre_emptive=options["pre-emptive-forge-time"],
        keep_alive=options["keep-alive"],
        record_state=options["record-state"],
    )

    async def on_retry(attempt: int, delay: float, body: str) -> None:
        value = {"attempt": attempt, "delay": delay, "text": body}
        text = f"Attempt number {attempt}/10, will retry after {delay:g} seconds.\n"
        text += f"Original body follows.\n{body}"
        await sink.emit((), "rpc_http_attempt", Level.ERROR, value, text, versioned=False)

    baker = Baker(
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
        wallet=wallet,
        settings=settings,
        life=life,
        connect_to=system.connect_to,
    )
    await baker.run()


async def _votes(
    cli: Cli, options: Mapping[str, Any], config: ClientConfig, events: Events, protocol: Protocol
) -> tuple[Votes, Path | None]:
    """The votes at the start, and the file to read for each block. Raises ``Exit``."""
    file = votefile.find(options["votefile"], Path.cwd(), config.base_dir)  # noqa: ASYNC240 - at the start
    toggle, issuance = options["liquidity-baking-toggle-vote"], options["adaptive-issuance-vote"]
    if file is not None:
        await events.note("reading_per_block_votes", str(file))
        try:
            votes = votefile.read(file, protocol.long_name, Votes(toggle or "pass", issuance))
        except VoteFileError as error:
            # Cancelled, the baker ends in any case.
            await events.note("per_block_vote_file_error", [error.error])  # noqa: ASYNC120 - as above: nothing follows it
            raise cli.failure(_MISSING) from error
    elif toggle is None:
        raise cli.failure(_MISSING)
    else:
        votes = Votes(toggle, issuance)
    await events.note("read_liquidity_baking_toggle_vote", votes.liquidity_baking)
    await events.note("read_adaptive_issuance_vote", votes.adaptive_issuance)
    return votes, file


def _keys(cli: Cli, wallet: Wallet, names: Sequence[str], system: System) -> tuple[Key, ...]:
    """The keys to sign with: the named ones, or all. Raises ``Exit``."""
    try:
        if not names:
            return tuple(wallet.keys())
        hashes = [delegate(wallet, name) for name in names]
        if len(set(hashes)) < len(hashes):
            text = "the list of public key hash aliases contains duplicate hashes, which are ignored"
            system.write(2, f"Warning: {text}\n")
        return tuple(wallet.key(pkh) for pkh in dict.fromkeys(hashes))
    except WalletError as error:
        raise cli.failure(str(error).split("\n")) from error
