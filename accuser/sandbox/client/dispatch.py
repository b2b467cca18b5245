"""From a parsed command line to what it does. What a command needs is imported when it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ..._mavryk.codec.crypto import UNENCRYPTED, Key
from ..._mavryk.protocol import GENESIS_PROTOCOL, Protocol
from ..cli.clic import Cli, Invocation
from ..cli.usage import usage
from .context import Context, Refusal
from .wallet import HASHES, PUBLIC_KEYS, ROLLUPS, SECRET_KEYS, WalletError

UNDERSTOOD: Final = (GENESIS_PROTOCOL, *(protocol.hash for protocol in Protocol))
"""Hashes of the protocols that this client has commands for."""


async def call(context: Context, cli: Cli, invocation: Invocation, protocol: str) -> None:
    """Run a command.

    Raises:
        RpcFailed, Refusal, WalletError: it failed; told after ``Error:``.
        Failure: likewise, after ``Fatal error:``.
    """
    name, parameters, options = invocation.command.name, invocation.parameters, invocation.options
    if name.startswith("rpc "):
        await _rpc(context, name.removeprefix("rpc "), parameters, options)
    elif name == "activate":
        from .activation import activate

        activated, fitness, key, file = parameters
        await activate(context, activated, fitness, key, file, timestamp=options["timestamp"])
    elif name in ("bake", "propose", "attestation", "preattestation"):
        await _bake(context, name, _keys(context, parameters[0]), options, protocol)
    elif name in ("proposals", "ballot", "show period", "timestamp", "balance", "contracts", "transfer"):
        await _about_accounts(context, name, parameters, options)
    elif name == "man":
        shown = [command for command in cli.commands if _matches(command.words, parameters[0])]
        context.stdout.write(usage(cli.program, cli.options, shown, full=options["verbosity"] == "3"))
    elif context.program == ADMIN:
        await _administer(context, name, parameters, options)
    else:
        await _ask_wallet(context, name, parameters, options)


ADMIN: Final = "mavkit-admin-client"


async def _rpc(context: Context, name: str, parameters: Sequence[Any], options: Mapping[str, Any]) -> None:
    from . import description
    from .rpc import request

    if name == "list":
        await description.show_list(context, parameters[0] if parameters else "/")
    elif name == "schema":
        await description.show_schema(context, *parameters)
    elif name == "format":
        await description.show_format(context, *parameters, binary=options["binary"])
    else:
        await request(context, name.upper(), parameters[0], parameters[1] if len(parameters) > 1 else None)


async def _bake(
    context: Context, name: str, keys: list[Key], options: Mapping[str, Any], protocol: str
) -> None:
    if name in ("attestation", "preattestation"):
        from .voting import Vote, vote

        kind: Vote = "attestation" if name == "attestation" else "preattestation"
        await vote(context, kind, keys, protocol, force=options["force"])
        return
    from .baking import BakeOptions, baker

    chosen = BakeOptions(
        minimal_timestamp=options["minimal-timestamp"],
        force=options["force"],
        operations_pool=options["operations-pool"],
        ignore_mempool=options.get("ignore-node-mempool", False),
        adaptive_issuance_vote=options.get("adaptive-issuance-vote") or "pass",
        count=options.get("count", 1),
        has_dal_node=options.get("dal-node") is not None,
    )
    one = await baker(context, keys, protocol, chosen)
    try:
        await (one.bake() if name == "bake" else one.propose())
    finally:
        one.events.close()


async def _about_accounts(
    context: Context, name: str, parameters: Sequence[Any], options: Mapping[str, Any]
) -> None:
    from . import accounts, amendment

    if name == "show period":
        await amendment.show_period(context)
    elif name in ("proposals", "ballot"):
        chosen = amendment.Choices(options["force"], options["dry-run"])
        submit = amendment.submit_proposals if name == "proposals" else amendment.submit_ballot
        await submit(context, *parameters, choices=chosen)
    elif name == "timestamp":
        await accounts.show_timestamp(context, seconds=options["seconds"])
    elif name == "balance":
        await accounts.show_balance(context, parameters[0])
    elif name == "contracts":
        accounts.list_contracts(context)
    else:
        from .transfer import TransferOptions, transfer

        amount, source, destination = parameters
        await transfer(context, amount, source, destination, TransferOptions.of(options))


async def _administer(
    context: Context, name: str, parameters: Sequence[Any], options: Mapping[str, Any]
) -> None:
    from . import p2p, p2p_stat, report

    if name == "list heads":
        _output(context, options["output"], await report.heads(context))
    elif name == "list rejected":
        _output(context, options["output"], await report.rejected(context))
    elif name == "p2p stat":
        await p2p_stat.stat(context)
    elif name == "protocols":
        for known in await context.get("/protocols"):
            context.message(str(known))
    else:
        await getattr(p2p, name)(context, parameters[0])


def _output(context: Context, path: str, text: str) -> None:
    if path == "-":
        context.message(text)
    else:
        try:
            Path(path).write_text(f"{text}\n", encoding="utf-8")
        except OSError as error:
            raise Refusal(f"{path}: {error.strerror}") from error


async def _ask_wallet(
    context: Context, name: str, parameters: Sequence[Any], options: Mapping[str, Any]
) -> None:
    wallet = context.wallet
    if name == "import":
        _import(context, *parameters, force=options["force"])
    elif name == "gen keys":
        _generate(context, parameters[0], options)
    elif name == "list addresses":
        public, secret = wallet.aliases(PUBLIC_KEYS), wallet.aliases(SECRET_KEYS)
        for alias, pkh in wallet.aliases(HASHES).items():
            known = " (pk known)" if alias in public else ""
            if alias in secret:
                known = f" ({_scheme(secret[alias])} sk known)"
            context.message(f"{alias}: {pkh}{known}")
    elif name == "show address":
        _show_address(context, parameters[0], secret=options["show-secret"])
    elif name == "forget":
        wallet.forget(parameters[0], force=options["force"])
    elif name == "forget all":
        if not options["force"]:
            raise WalletError("this can only be used with option --force")
        wallet.forget_all()
    elif name == "bootstrapped":
        from .waiting import bootstrapped

        await bootstrapped(context)
    elif name == "show rollup":
        context.message(f"{wallet.aliases(ROLLUPS)[parameters[0]]}\n")
    elif name == "understood":
        for understood in UNDERSTOOD:
            context.message(understood[:12])
    else:
        raise AssertionError(name)


def _import(context: Context, alias: str, uri: str, *, force: bool) -> None:
    from .sources import known_scheme

    wallet = context.wallet
    if not force:
        wallet.check_fresh(alias)
    known_scheme(uri)
    wallet.import_secret(
        alias, uri, force=force, tell=lambda key: context.message(f"Mavryk address added: {key.pkh}")
    )


def _generate(context: Context, alias: str, options: Mapping[str, Any]) -> None:
    from ..._mavryk.codec.crypto import generated_key

    if not options["force"]:
        context.wallet.check_fresh(alias)
    if options["sig"] != "ed25519" or options["encrypted"]:
        raise WalletError("The sandbox makes unencrypted keys of the kind ed25519 only")
    context.wallet.add(alias, generated_key(), force=options["force"], with_key=False)


def _show_address(context: Context, alias: str, *, secret: bool) -> None:
    wallet = context.wallet
    context.message(f"Hash: {wallet.address(alias)}")
    if (key_text := wallet.public_key(alias)) is not None:
        context.message(f"Public Key: {key_text}")
        if secret and (uri := wallet.aliases(SECRET_KEYS).get(alias)) is not None:
            context.message(f"Secret Key: {uri}")


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
