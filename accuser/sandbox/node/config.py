"""The node's configuration file, ``config.json`` in its data directory.

The layout is upstream's (``src/lib_node_config/config_file.ml``): keys of other meanings are kept
as they are, values equal to the defaults may be absent. Only the network ``sandbox`` and custom
networks exist here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import attrs

from ..._mavryk.codec.crypto import ACTIVATOR, GENESIS_BLOCK, GENESIS_TIME
from ..._mavryk.codec.fields import ForgeError
from ..._mavryk.codec.forge import parse_timestamp
from ..._mavryk.protocol import GENESIS_PROTOCOL
from ..chain.block import Network
from .arguments import Arguments
from .cors import Cors
from .points import Point

SANDBOX: Final = "sandbox"
NETWORKS: Final = (SANDBOX, "mainnet", "basenet")
RPC_PORT: Final = 8732
NET_PORT: Final = 9732
CONFIG_FILE: Final = "config.json"


class ConfigError(Exception):
    """A configuration that the node cannot run with; says what is wrong."""


@attrs.define
class Config:
    """A configuration: the file's JSON object, changed by options."""

    value: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Config:
        """Read a file; the default configuration if there is none. Raises ``ConfigError``."""
        if not path.exists():
            return cls({})
        try:
            value = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(f"Cannot read the configuration file {path}: {error}") from error
        if not isinstance(value, dict):
            raise ConfigError(f"The configuration file {path} holds no object.")
        return cls(value)

    def write(self, path: Path) -> None:
        """Write the file, and its directory if need be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text(), encoding="utf-8")

    def text(self) -> str:
        """The file's content."""
        return json.dumps(self.value, indent=2) + "\n"

    def part(self, *names: str) -> dict[str, Any]:
        """A nested object, made if it is absent. Raises ``ConfigError`` if it is no object."""
        value = self.value
        for name in names:
            value = value.setdefault(name, {})
            if not isinstance(value, dict):
                raise ConfigError(f"The configuration has no object at /{'/'.join(names)}.")
        return value

    def get(self, *names: str, default: Any = None) -> Any:
        """A nested value, or the default. Raises ``ConfigError`` where a value is not the object."""
        value: Any = self.value
        for name in names:
            if not isinstance(value, dict):
                raise ConfigError(f"The configuration has no object above /{'/'.join(names)}.")
            if name not in value:
                return default
            value = value[name]
        return value

    def patch(self, arguments: Arguments, *, may_change_network: bool = False) -> None:
        """Apply a command line. Raises ``ConfigError``."""
        self._patch_network(arguments.last("network"), may_change=may_change_network)
        p2p = self.part("p2p")
        if (pow_level := arguments.last("expected-pow")) is not None:
            p2p["expected-proof-of-work"] = _number(pow_level, "--expected-pow")
        if arguments.values.get("peer") or arguments.flag("no-bootstrap-peers"):
            old = [] if arguments.flag("no-bootstrap-peers") else p2p.get("bootstrap-peers", [])
            p2p["bootstrap-peers"] = [*old, *arguments.values.get("peer", [])]
        for option, key in (("net-addr", "listen-addr"), ("discovery-addr", "discovery-addr")):
            if (address := arguments.last(option)) is not None:
                p2p[key] = address
        if (port := arguments.last("advertised-net-port")) is not None:
            p2p["advertised-net-port"] = _integer(port, "--advertised-net-port", most=65535)
        for option, key in (("private-mode", "private-mode"), ("disable-mempool", "disable_mempool")):
            if arguments.flag(option):
                p2p[key] = True
        self._patch_threshold(arguments)
        rpc = self.part("rpc")
        if addresses := arguments.values.get("rpc-addr", []) + arguments.values.get("external-rpc-addr", []):
            rpc["listen-addrs"] = addresses
        for address in addresses:
            point(address, RPC_PORT)
        for option, key in (("cors-origin", "cors-origin"), ("cors-header", "cors-headers")):
            if values := arguments.values.get(option, []):
                rpc[key] = values
        if (media_type := arguments.last("media-type")) is not None:
            if media_type not in ("json", "binary", "any"):
                raise ConfigError(f"--media-type is json, binary or any, not {media_type}.")
            rpc["media-type"] = media_type
        self._patch_log(arguments)
        if addresses := arguments.values.get("metrics-addr", []):
            self.value["metrics_addr"] = addresses
        if (mode := arguments.last("history-mode")) is not None:
            self.part("shell")["history_mode"] = mode
        for name in ("p2p", "rpc"):
            if not self.value[name]:
                del self.value[name]

    def _patch_network(self, name: str | None, *, may_change: bool) -> None:
        if name is None:
            return
        if name not in NETWORKS and not Path(name).is_file():
            known = ", ".join(f"'{network}'" for network in NETWORKS)
            raise ConfigError(f"invalid network '{name}': expected one of {known} or an existing file.")
        wanted: object = name if name in NETWORKS else json.loads(Path(name).read_bytes())
        if not may_change and self.value.get("network", "mainnet") != wanted:
            raise ConfigError(
                "The network of the configuration file is another one than that of --network: "
                "reset the configuration or leave the option out."
            )
        self.value["network"] = wanted

    def _patch_log(self, arguments: Arguments) -> None:
        if (output := arguments.last("log-output")) is not None:
            self.part("log")["output"] = output
        if (colors := arguments.last("log-coloring")) is not None:
            if colors not in ("true", "false"):
                raise ConfigError(
                    f"option '--log-coloring': invalid value '{colors}', expected true or false"
                )
            self.part("log")["colors"] = colors == "true"

    def _patch_threshold(self, arguments: Arguments) -> None:
        threshold = arguments.last("synchronisation-threshold")
        if (old_name := arguments.last("bootstrap-threshold")) is not None:
            if threshold is not None:
                raise ConfigError(
                    "--bootstrap-threshold is deprecated; use --synchronisation-threshold instead. "
                    "Do not use both at the same time."
                )
            threshold = old_name
        limits: dict[str, Any] = {}
        if (connections := arguments.last("connections")) is not None:
            number = _integer(connections, "--connections")
            limits = {
                "min-connections": number if number == 1 else number // 2,
                "expected-connections": number,
                "max-connections": 3 * number // 2,
            }
            self.part("p2p", "limits").update(limits)
        if threshold is not None:
            value = _integer(threshold, "--synchronisation-threshold", most=255)
            self.part("shell", "chain_validator")["synchronisation_threshold"] = value
        elif limits:
            value = max(limits["expected-connections"] // 4, 2)
            self.part("shell", "chain_validator")["synchronisation_threshold"] = value
        if (latency := arguments.last("sync-latency")) is not None:
            self.part("shell", "chain_validator")["latency"] = _integer(latency, "--sync-latency")

    def network(self) -> Network:
        """The network to run on. Raises ``ConfigError`` if it does not exist here."""
        value = self.value.get("network", "mainnet")
        if value == SANDBOX:
            return Network()
        if not isinstance(value, dict):
            raise ConfigError(
                f"The sandbox node does not run on the network '{value}': "
                "use --network sandbox at 'config init'."
            )
        try:
            genesis = value.get("genesis", {})
            return Network(
                genesis_block=genesis.get("block", GENESIS_BLOCK),
                genesis_time=parse_timestamp(genesis.get("timestamp", str(GENESIS_TIME))),
                genesis_protocol=genesis.get("protocol", GENESIS_PROTOCOL),
                activator_key=value.get("genesis_parameters", {})
                .get("values", {})
                .get("genesis_pubkey", ACTIVATOR.public_key),
                chain_name=value.get("chain_name", "MAVRYK"),
                upgrades={
                    int(upgrade["level"]): str(upgrade["replacement_protocol"])
                    for upgrade in value.get("user_activated_upgrades", [])
                },
                overrides={
                    str(override["replaced_protocol"]): str(override["replacement_protocol"])
                    for override in value.get("user_activated_protocol_overrides", [])
                },
            )
        except (AttributeError, LookupError, TypeError, ValueError, ForgeError) as error:
            raise ConfigError(f"The configuration describes no network: {error!r}") from error

    @property
    def threshold(self) -> int:
        """Peers to synchronise with."""
        return int(self.get("shell", "chain_validator", "synchronisation_threshold", default=4))

    @property
    def latency(self) -> int:
        """Seconds that a synchronised peer's head may be old."""
        return int(self.get("shell", "chain_validator", "latency", default=50))

    def cors(self) -> Cors:
        """Which pages may ask. Raises ``ConfigError``."""
        lists = [self.get("rpc", name, default=[]) for name in ("cors-origin", "cors-headers")]
        if not all(isinstance(texts, list) and all(isinstance(one, str) for one in texts) for texts in lists):
            raise ConfigError("The configuration's cors-origin and cors-headers are lists of texts.")
        return Cors.of(*lists)

    @property
    def history_mode(self) -> object:
        """As the RPCs tell it; nothing is ever pruned here. Raises ``ConfigError``."""
        given = self.get("shell", "history_mode", default="full")
        if not isinstance(given, str):
            return given
        mode, _, cycles = given.partition(":")
        return {mode: {"additional_cycles": int(cycles)}} if cycles.isdecimal() else mode

    def rpc_points(self) -> list[Point]:
        """Where to serve RPCs. Raises ``ConfigError``."""
        return [point(text, RPC_PORT) for text in self.get("rpc", "listen-addrs", default=[])]

    def check(self) -> None:
        """Raise ``ConfigError`` for an address that is none."""
        self.rpc_points()
        self.cors()
        self.net_point()
        self.bootstrap_peers()

    def net_point(self) -> Point:
        """Where to take connections of peers. Raises ``ConfigError``."""
        return point(self.get("p2p", "listen-addr", default=f"[::]:{NET_PORT}"), NET_PORT)

    def bootstrap_peers(self) -> list[Point]:
        """Peers to connect to at the start. Raises ``ConfigError``."""
        peers = self.get("p2p", "bootstrap-peers", default=[])
        return [point(text.partition("#")[0], NET_PORT) for text in peers]


def point(text: str, default_port: int) -> Point:
    """An address of a configuration. Raises ``ConfigError``."""
    try:
        return Point.parse(text, default_port=default_port)
    except ValueError as error:
        raise ConfigError(f"Cannot resolve listening address: {error}") from error


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        expected = "expected a floating point number"
        raise ConfigError(f"option '{option}': invalid value '{text}', {expected}") from error


def _integer(text: str, option: str, most: int = 65535) -> int:
    try:
        number = int(text)
    except ValueError as error:
        raise ConfigError(f"option '{option}': invalid value '{text}', expected an integer") from error
    if not -1 <= number <= most:
        raise ConfigError(f"option '{option}': {number} is out of range")
    return number
