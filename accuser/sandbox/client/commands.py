"""The commands of ``mavkit-client`` and ``mavkit-admin-client`` that exist here, as upstream words them.

Sources: ``src/bin_client``, ``src/lib_client_commands``, ``src/proto_genesis/lib_client``,
``lib_delegate/baking_commands.ml``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..._mavryk.codec.base58 import Base58Error, Kind, decode
from ..._mavryk.codec.crypto import UNENCRYPTED, Key
from ..._mavryk.codec.fields import ForgeError
from ..._mavryk.codec.forge import INT32_MAX, VOTES, parse_timestamp
from ..cli.clic import Refused
from ..cli.usage import Command, Option, Param, Rest, words
from .p2p import address
from .wallet import Wallet, WalletError

RPC_GROUP: Final = "Commands for the low level RPC layer"
KEYS_GROUP: Final = "Commands for managing the wallet of cryptographic keys"
BAKING_GROUP: Final = "Tenderbake client commands"
P2P_GROUP: Final = "Commands for monitoring and controlling p2p-layer state"
PROTOCOLS_GROUP: Final = "Commands for managing protocols"

METHODS: Final = ("get", "post", "put", "patch", "delete")


def _hash(text: str) -> str:
    try:
        decode(Kind.PROTOCOL, text)
    except Base58Error as error:
        raise Refused(f"Failed to read a Protocol_hash: {error}") from None
    return text


def _peer(text: str) -> str:
    try:
        decode(Kind.PEER, text)
    except Base58Error as error:
        raise Refused(f"Failed to read a Crypto_box.Public_key_hash: {error}") from None
    return text


def _int32(text: str) -> int:
    if not re.fullmatch(r"-?\d{1,10}", text, re.ASCII) or int(text) > INT32_MAX:
        raise Refused("Cannot read int32")
    if int(text) < 0:
        raise Refused("Cannot provide a negative int32")
    return int(text)


def _file(text: str) -> Path:
    if not Path(text).exists():
        raise Refused(f"File doesn't exist: '{text}'")
    return Path(text)


def _timestamp(text: str) -> int:
    try:
        return parse_timestamp(text)
    except ForgeError:
        raise Refused("Could not parse value provided to -timestamp option") from None


def _vote(text: str) -> str:
    if text not in VOTES:
        raise Refused(f'unexpected vote: {text}, expected either "on", "off", or "pass".')
    return text


def _ballot(text: str) -> str:
    ballots = {"yay": "yay", "yea": "yay", "nay": "nay", "pass": "pass"}
    if text not in ballots:
        raise Refused(f"Invalid ballot: '{text}'")
    return ballots[text]


def _count(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or int(text) < 1:
        raise Refused(f"Expected a strictly positive integer, but given '{text}'")
    return int(text)


def _secret_uri(text: str) -> str:
    if ":" not in text:
        raise Refused(f"Error while parsing uri: {text} has no scheme")
    if not text.startswith(UNENCRYPTED):
        raise Refused(f"uri scheme not supported: {text.partition(':')[0]}")
    return text


def _rpc_commands() -> list[Command]:
    url = Param("url", "the RPC URL")
    given = Param(
        "input",
        "the raw JSON input to the RPC\nFor instance, use `{}` to send the empty document.\n"
        "Alternatively, use `file:path` to read the JSON data from a file.",
    )
    commands: list[Command] = []
    for method in METHODS:
        doc = f"Call an RPC with the {method.upper()} method."
        commands.append(Command(f"rpc {method}", ("rpc", method, url), doc, group=RPC_GROUP))
        if method in ("post", "put", "patch"):
            doc = f"Call an RPC with the {method.upper()} method, providing input data via the command line."
            with_input: tuple[str | Param, ...] = ("rpc", method, url, "with", given)
            commands.append(Command(f"rpc {method}", with_input, doc, group=RPC_GROUP))
    return commands


def common_commands() -> tuple[Command, ...]:
    """Commands of both programs, at any time."""
    manual = Command(
        "man",
        ("man", Rest("keyword", "keyword to search for")),
        "Print documentation of commands.",
        (
            Option("verbosity", "level of details", "0|1|2|3", "v", default="2"),
            Option("format", "the manual's output format", "plain|colors|html"),
        ),
    )
    return (*_rpc_commands(), manual)


def wallet_commands() -> tuple[Command, ...]:
    """Commands of the client about its keys, and about itself."""
    force = Option("force", "overwrite existing keys", short="f")
    alias = Param("name", "existing public key hash alias")
    imported: tuple[str | Param, ...] = (*words("import secret key"), Param("new", "new secret_key alias"))
    uri = Param("uri", "secret key\nVaries from one scheme to the other.", _secret_uri)
    show = Option("show-secret", "show the private key", short="S")
    return (
        Command("import", (*imported, uri), "Add a secret key to the wallet.", (force,), KEYS_GROUP),
        Command(
            "list addresses",
            words("list known addresses"),
            "List all addresses and associated keys.",
            group=KEYS_GROUP,
        ),
        Command(
            "show address",
            (*words("show address"), alias),
            "Show the keys associated with an implicit account.",
            (show,),
            KEYS_GROUP,
        ),
        Command(
            "understood",
            words("list understood protocols"),
            "List the protocol versions that this client understands.",
        ),
    )


def admin_commands() -> tuple[Command, ...]:
    where = Param("address", "<IPv4>:PORT or <IPV6>:PORT address (PORT defaults to 9732).", address)
    peer = Param("peer", "peer network identity", _peer)
    shown: tuple[tuple[str, str, Param, str], ...] = (
        ("connect", "connect address", where, "Connect to a new point."),
        ("kick", "kick peer", peer, "Kick a peer."),
        (
            "ban",
            "ban address",
            where,
            "Add an IP address and all its ports to the blacklist and kicks it. Remove the address from "
            "the whitelist if it was previously in it.",
        ),
        ("unban", "unban address", where, "Remove an IP address and all its ports from the blacklist."),
        (
            "trust",
            "trust address",
            where,
            "Add an IP address to the whitelist. Remove the address from the blacklist if it was "
            "previously in it.",
        ),
        ("untrust", "untrust address", where, "Removes an IP address from the whitelist."),
        ("is_banned", "is address banned", where, "Check if an IP address is banned."),
    )
    commands = [
        Command(name, (*words(text), parameter), doc, group=P2P_GROUP) for name, text, parameter, doc in shown
    ]
    protocols = Command(
        "protocols", words("list protocols"), "List protocols known by the node.", group=PROTOCOLS_GROUP
    )
    return (*commands, protocols)


def genesis_commands(wallet: Wallet) -> tuple[Command, ...]:
    """Commands of the client while the genesis protocol is active."""

    def key(text: str) -> Key:
        try:
            return wallet.secret(text)
        except WalletError as error:
            raise Refused(*str(error).split("\n")) from None

    return (
        Command(
            "activate",
            (
                *words("activate protocol"),
                Param("version", "Protocol version (b58check)", _hash),
                *words("with fitness"),
                Param("fitness", "Hardcoded fitness of the first block (integer)", _int32),
                *words("and key"),
                Param("password", "Activator's key", key),
                *words("and parameters"),
                Param("parameters", "Protocol parameters (as JSON file)", _file),
            ),
            "Activate a protocol",
            (
                Option(
                    "timestamp",
                    "Set the timestamp of the block (and initial time of the chain)",
                    "date",
                    parse=_timestamp,
                ),
            ),
        ),
    )


def _amendment_commands(delegate: Callable[[str], str]) -> tuple[Command, ...]:
    options = (
        Option("verbose-signing", "display extra information before signing the operation"),
        Option("force", "do not enforce the checks that come before the injection of the proposals"),
    )
    source = Param("delegate", "the delegate who makes the proposal", delegate)
    proposal = Rest("proposal", "the protocol hash proposal to be submitted", _hash)
    voted_on = Param("proposal", "the protocol hash proposal to vote for", _hash)
    ballot = Param("ballot", "the ballot value (yea/yay, nay, or pass)", _ballot)
    propose: tuple[str | Param | Rest, ...] = (*words("submit proposals for"), source, proposal)
    vote: tuple[str | Param | Rest, ...] = (*words("submit ballot for"), source, voted_on, ballot)
    return (
        Command("proposals", propose, "Submit protocol proposals", options),
        Command("ballot", vote, "Submit a ballot", options),
        Command("show period", words("show voting period"), "Summarize the current voting period"),
    )


_POOL: Final = Option(
    "operations-pool",
    "When specified, the baker will try to fetch operations from this file (or uri) and to include "
    "retrieved operations in the block. If the resource cannot be retrieved, the resource is simply "
    "ignored.",
    "file|uri",
)
_MINIMAL: Final = Option(
    "minimal-timestamp",
    "Use the minimal timestamp instead of the current date as timestamp of the baked block.",
)
_FORCE: Final = Option("force", "disables the node's injection checks", short="f")
_FEES: Final = (
    Option("minimal-fees", "exclude operations with fees lower than this threshold (in mav)", "amount"),
    Option("minimal-nanomav-per-gas-unit", "exclude operations with fees per gas lower than this", "amount"),
    Option("minimal-nanomav-per-byte", "exclude operations with fees per byte lower than this", "amount"),
)
_APPLY: Final = Option("force-apply", "Force the baker to not only validate but also apply operations.")


def economic_commands(wallet: Wallet) -> tuple[Command, ...]:
    """Commands of the client while a protocol with delegates is active."""

    def delegate(text: str) -> str:
        try:
            return wallet.delegate(text)
        except WalletError as error:
            raise Refused(*str(error).split("\n")) from None

    delegates = Rest(
        "baker",
        "name of the delegate owning the attestation/baking right or name of the consensus key signing "
        "on the delegate's behalf",
        delegate,
    )
    bake = (
        *_FEES,
        _MINIMAL,
        _APPLY,
        _FORCE,
        _POOL,
        Option(
            "adaptive-issuance-vote",
            "Vote to adopt or not the adaptive issuance feature. If you do not vote, default value is "
            '"pass".',
            "vote",
            parse=_vote,
        ),
        Option(
            "ignore-node-mempool",
            "Ignore mempool operations from the node and do not subsequently monitor them.",
        ),
        Option("count", "number of blocks to bake", "block count", "n", parse=_count, default="1"),
    )
    vote_force = Option(
        "force",
        "Disable consistency, injection and double signature checks for (pre)attestations.",
        short="f",
    )
    commands = [
        Command(
            "bake",
            (*words("bake for"), delegates),
            "Forge and inject block using the delegates' rights.",
            bake,
            BAKING_GROUP,
        )
    ]
    for word, what in (
        ("attest", "attestation"),
        ("endorse", "attestation"),
        ("preattest", "preattestation"),
        ("preendorse", "preattestation"),
    ):
        doc = f"Forge and inject {'an' if what[0] == 'a' else 'a'} {what} operation."
        if "endorse" in word:
            doc = f"Deprecated, use **{word.replace('endorse', 'attest')} for** instead. {doc}"
        commands.append(Command(what, (*words(f"{word} for"), delegates), doc, (vote_force,), BAKING_GROUP))
    propose = (*_FEES, _MINIMAL, _APPLY, _FORCE, _POOL)
    commands.append(
        Command(
            "propose",
            (*words("propose for"), delegates),
            "Send a Tenderbake proposal",
            propose,
            BAKING_GROUP,
        )
    )
    return (*commands, *_amendment_commands(delegate))
