"""The commands of both clients at any time, and those while the genesis protocol is active.

Sources: ``src/bin_client``, ``src/lib_client_commands``, ``src/proto_genesis/lib_client``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from ..._mavryk.codec.base58 import Base58Error, Kind, decode
from ..._mavryk.codec.crypto import Key
from ..._mavryk.codec.fields import ForgeError
from ..._mavryk.codec.forge import INT32_MAX, parse_timestamp
from ..cli.clic import Refused
from ..cli.usage import Command, Option, Param, Rest, words
from . import sources
from .wallet import Wallet, WalletError

RPC_GROUP: Final = "Commands for the low level RPC layer"
MANUAL_GROUP: Final = "Access the documentation"

METHODS: Final = ("get", "post", "put", "patch", "delete")


def _hash(text: str) -> str:
    try:
        decode(Kind.PROTOCOL, text)
    except Base58Error as error:
        raise Refused(f"Failed to read a Protocol_hash: {error}") from None
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


def rpc_commands() -> list[Command]:
    """Commands of both programs, at any time."""
    url = Param("url", "the RPC URL")
    given = Param(
        "input",
        "the raw JSON input to the RPC\nFor instance, use `{}` to send the empty document.\n"
        "Alternatively, use `file:path` to read the JSON data from a file.",
    )
    commands: list[Command] = []
    for method in METHODS:
        doc = f"Call an RPC with the {method.upper()} method."
        if method in ("post", "put", "patch"):
            doc += "\nIt invokes $EDITOR if input data is needed."
        commands.append(Command(f"rpc {method}", ("rpc", method, url), doc, group=RPC_GROUP))
        if method in ("post", "put", "patch"):
            doc = f"Call an RPC with the {method.upper()} method, providing input data via the command line."
            with_input: tuple[str | Param, ...] = ("rpc", method, url, "with", given)
            commands.append(Command(f"rpc {method}", with_input, doc, group=RPC_GROUP))
    return [*_description_commands(), *commands]


def _description_commands() -> list[Command]:
    verb = Param("HTTP method", "", _method)
    binary = Option("binary", "Binary format", short="b")
    listing = (
        "List RPCs under a given URL prefix.\nSome parts of the RPC service hierarchy depend on "
        "parameters,\nthey are marked by a suffix `<dynamic>`.\nYou can list these sub-hierarchies by "
        "providing a concrete URL prefix whose arguments are set to a valid value."
    )
    prefix = Param("url", "the URL prefix")
    return [
        Command("rpc list", ("rpc", "list", prefix), listing, group=RPC_GROUP),
        Command("rpc list", ("rpc", "list"), "Alias to `rpc list /`.", group=RPC_GROUP),
        Command(
            "rpc schema",
            ("rpc", "schema", verb, Param("url", "the RPC url")),
            "Get the input and output JSON schemas of an RPC.",
            group=RPC_GROUP,
        ),
        Command(
            "rpc format",
            ("rpc", "format", verb, Param("url", "the RPC URL")),
            "Get the humanoid readable input and output formats of an RPC.",
            (binary,),
            RPC_GROUP,
        ),
    ]


def _method(text: str) -> str:
    if text.lower() not in METHODS:
        raise Refused(f"Unknown HTTP method: {text}")
    return text.lower()


def manual() -> Command:
    """The command that shows the others."""
    return Command(
        "man",
        ("man", Rest("keyword", "keyword to search for")),
        "Print documentation of commands.\nAdd search keywords to narrow list.\nWill display only the "
        "commands by default, unless [-verbosity <2|3>] is passed or the list of matching commands if less "
        "than 3.",
        (
            Option(
                "verbosity",
                "level of details\n0. Only shows command mnemonics, without documentation.\n"
                "1. Shows command mnemonics with short descriptions.\n"
                "2. Show commands and arguments with short descriptions\n3. Show everything",
                "0|1|2|3",
                "v",
            ),
            Option("format", "the manual's output format", "plain|colors|html", default="plain"),
        ),
        group=MANUAL_GROUP,
    )


def genesis_commands(wallet: Wallet) -> tuple[Command, ...]:
    """Commands of the client while the genesis protocol is active."""

    def key(text: str) -> Key:
        try:
            return sources.secret(wallet, text)
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
