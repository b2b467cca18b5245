"""``--sandbox FILE`` of ``run``: another activator, another chain name, and no peers beyond this machine.

Source: ``src/bin_node/node_run_command.ml``.
"""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Final

import attrs

from ..._mavryk.codec.base58 import Base58Error
from ..._mavryk.codec.crypto import public_key_hash
from ..chain.block import Network
from .config import Config, ConfigError
from .points import Point

DEFAULT_ACTIVATOR: Final = "edpkvRKe9jhBeaMMhbYoRmbe6euy2QWyCCGac7kb3MSBqmU9BY3j3A"
"""Who may activate where nobody is named (``src/proto_genesis/lib_protocol/data.ml``)."""


def sandboxed(network: Network, config: Config, file: Path) -> Network:
    """The network of a node in sandbox mode.

    Its activator is the ``genesis_pubkey`` of the file, whose other fields mean nothing; without that
    field, or with a key that is none, it is that of the genesis protocol.

    Raises:
        ConfigError: the file is not JSON.
    """
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"The file '{file}' is not a valid JSON sandbox file\n  {error}") from error
    given = value.get("genesis_pubkey") if isinstance(value, dict) else None
    key = given if isinstance(given, str) else DEFAULT_ACTIVATOR
    try:
        public_key_hash(key)
    except Base58Error:
        key = DEFAULT_ACTIVATOR
    configured = config.get("network")
    name = "SANDBOXED_MAVRYK"
    if isinstance(configured, dict):
        name = str(configured.get("sandboxed_chain_name", name))
    return attrs.evolve(network, activator_key=key, chain_name=name)


def listening(point: Point) -> list[Point]:
    """Where a node in sandbox mode takes peers: nowhere by default, and never in public.

    Raises:
        ConfigError: the address is a public one.
    """
    try:
        address = ipaddress.ip_address(point.host)
    except ValueError:
        return [point]
    if address.is_unspecified and address.version == 6:
        return []
    if not (address.is_private or address.is_loopback or address.is_link_local) or address.is_unspecified:
        raise ConfigError(
            f"The node is configured to listen on a public address ({point.host}), while only "
            "'private' networks are authorised with `--sandbox`.\n"
            "           See `mavkit-node run --help` on how to change the listening address."
        )
    return [point]
