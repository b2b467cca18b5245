"""The options that upstream's client and accuser take before the command.

Follows ``src/lib_client_base_unix/client_config.ml``. What a converter refuses is said in
upstream's words; whether the base directory exists is left to the program.
"""

from __future__ import annotations

import os
import re
from typing import Final
from urllib.parse import urlsplit

from ..._mavryk.codec.base58 import Base58Error, Kind, decode
from .clic import Refused
from .usage import Option

MODES: Final = ("client", "light", "mockup", "proxy")


NO_WAIT: Final = "none"
"""The value of ``--wait`` that asks for no wait at all; 0 asks for one until the operation is in a block."""


def endpoint(text: str) -> str:
    """An http or https URL without a query, as given."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https"):
        raise Refused(f"only http and https endpoints are supported: {text}")
    if parts.query or parts.fragment or not parts.hostname:
        raise Refused(f"endpoint uri should not have query string or fragment: {text}")
    return text


def media_type(text: str) -> str:
    """``json``, ``binary`` or ``any``."""
    if text not in ("json", "binary", "any"):
        raise Refused(f"media_type parameter must be 'json', 'binary' or 'any'. Got: {text}")
    return text


def port(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]+", text):
        raise Refused(f"Value {text} is not a valid TCP port.")
    return int(text)


def confirmations(text: str) -> int | str:
    """A number of blocks, or ``NO_WAIT``."""
    if text in ("no", "none"):
        return NO_WAIT
    if not re.fullmatch(r"[0-9]+", text, re.ASCII):
        raise Refused(f"Value {text} is not a valid number of confirmation, nor 'none'.")
    return int(text)


def chain(text: str) -> str:
    """``main``, ``test``, or the id of a chain."""
    if text not in ("main", "test"):
        try:
            decode(Kind.CHAIN, text)
        except Base58Error:
            raise Refused(f"Value {text} is not a value chain reference.") from None
    return text


def block(text: str) -> str:
    """The hash, level or name of a block, with an offset at most."""
    name, _, _ = re.fullmatch(r"(.*?)(?:([~+-])([0-9]+))?", text, re.ASCII | re.DOTALL).groups()  # type: ignore[union-attr]  # it matches whatever the text is
    if name not in ("head", "genesis", "checkpoint", "savepoint", "caboose"):
        try:
            decode(Kind.BLOCK, name)
        except Base58Error:
            if not re.fullmatch(r"[0-9]{1,10}", name, re.ASCII):
                raise Refused(f"Value {text} is not a value block reference.") from None
    return text


def mode(text: str) -> str:
    """How to interact with a node."""
    if text not in MODES:
        known = " or ".join(f'"{known}"' for known in MODES)
        raise Refused(f'Value "{text}" is invalid. It should be one of: {known}')
    return text


DEFAULT_DIRECTORY: Final = f"{os.path.expanduser('~')}/.mavryk-client"
"""The base directory of a program that is told none, in its manual."""

GLOBAL_OPTIONS: Final = (
    Option(
        "base-dir",
        "client data directory (absent: MAVRYK_CLIENT_DIR env)\n"
        "  The directory where the Mavryk client will store all its data.\n"
        "  If absent, its value is the value of the MAVRYK_CLIENT_DIR\n"
        "  environment variable. If MAVRYK_CLIENT_DIR is itself not specified,\n"
        f"  defaults to {DEFAULT_DIRECTORY}\n",
        "path",
        "d",
    ),
    Option("no-base-dir-warnings", "silence warnings about client data directory", short="n"),
    Option("config-file", "configuration file", "path", "c"),
    Option("timings", "show RPC request times", short="t"),
    Option(
        "chain",
        "chain on which to apply contextual commands (commands dependent on the context associated "
        "with the specified chain). Possible tags are 'main' and 'test'.\n"
        "Defaults to `main`.",
        "hash|tag",
        parse=chain,
    ),
    Option(
        "block",
        "block on which to apply contextual commands (commands dependent on the context associated "
        "with the specified block). Possible tags include 'head' and 'genesis' +/- an optional offset "
        '(e.g. "mavkit-client -b head-1 get timestamp"). Note that block queried must exist in node\'s '
        "storage.\nDefaults to `head`.",
        "hash|level|tag",
        "b",
        parse=block,
    ),
    Option(
        "wait",
        "how many confirmation blocks are needed before an operation is considered included",
        "none|<int>",
        "w",
        parse=confirmations,
    ),
    Option("protocol", "use commands of a specific protocol", "hash", "p"),
    Option("log-requests", "log all requests to the node", short="l"),
    Option(
        "better-errors",
        "Error reporting is more detailed. Can be used if a call to an RPC fails or if you don't know "
        "the input accepted by the RPC. It may happen that the RPC calls take more time however.",
    ),
    Option("addr", "[DEPRECATED: use --endpoint instead] IP address of the node", "IP addr|host", "A"),
    Option("port", "[DEPRECATED: use --endpoint instead] RPC port of the node", "number", "P", parse=port),
    Option("tls", "[DEPRECATED: use --endpoint instead] use TLS to connect to node.", short="S"),
    Option(
        "media-type",
        'Sets the "media-type" value for the "accept" header for RPC requests to the node. The media '
        "accept header indicates to the node which format of data serialisation is supported. Use the "
        'value "json" for serialisation to the JSON format.\n'
        '          Use the value "binary" for faster but less human-readable\n'
        "binary serialisation format.",
        "json, binary, any or default",
        "m",
        parse=media_type,
    ),
    Option(
        "endpoint",
        "HTTP(S) endpoint of the node RPC interface; e.g. 'http://localhost:8732'",
        "uri",
        "E",
        parse=endpoint,
    ),
    Option(
        "sources",
        'path to JSON file containing sources for --mode light. Example file content: {"min_agreement": '
        '1.0, "uris": ["http://localhost:8732", "https://localhost:8733"]}',
        "path",
        "s",
    ),
    Option("remote-signer", "URI of the remote signer", "uri", "R"),
    Option("password-filename", "path to the password filename", "filename", "f"),
    Option(
        "mode",
        "how to interact with the node\nDefaults to `client`.",
        "client|light|mockup|proxy",
        "M",
        parse=mode,
    ),
)
"""In upstream's order, which is that of the usage text."""
