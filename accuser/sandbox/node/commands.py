"""The node's commands that end at once: ``config`` and ``identity``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..surroundings.system import System
from .arguments import Arguments
from .config import CONFIG_FILE, Config, ConfigError
from .identity import IDENTITY_FILE, Identity, IdentityError, existent
from .store import ensure_data_dir


def default_data_dir() -> Path:
    """Where a node's files are unless something says otherwise."""
    return Path.home() / ".mavryk-node"


def data_dir_of(arguments: Arguments, environ: Mapping[str, str]) -> Path:
    """The data directory that a command line means. Raises ``ConfigError``."""
    given = arguments.last("data-dir") or environ.get("MAVRYK_NODE_DIR")
    if given is None and (config_file := arguments.last("config-file")) is not None:
        given = Config.read(Path(config_file)).value.get("data-dir")
    return Path(given) if given is not None else default_data_dir()


def config_path_of(arguments: Arguments, environ: Mapping[str, str]) -> Path:
    """The configuration file that a command line means."""
    given = arguments.last("config-file")
    return Path(given) if given is not None else data_dir_of(arguments, environ) / CONFIG_FILE


def config(arguments: Arguments, system: System) -> None:
    """``config``: show or write the configuration file. Raises ``ConfigError``."""
    path, action = config_path_of(arguments, system.environ), arguments.command.path[1]
    if action == "init" and path.exists():
        raise ConfigError(f"Pre-existing configuration file at {path}, use `reset`.")
    if action == "update" and not path.exists():
        raise ConfigError(
            f"Missing configuration file at {path}. "
            "Use `mavkit-node config init [options]` to generate a new file"
        )
    wanted = Config({}) if action == "reset" else Config.read(path)
    if action == "reset" and path.exists():
        system.write(2, f"Ignoring previous configuration file: {path}.\n")
        network = Config.read(path).value.get("network")
        wanted.value.update({} if network is None else {"network": network})
    wanted.patch(arguments, may_change_network=action in ("init", "reset"))
    if (data_dir := arguments.last("data-dir")) is not None:
        wanted.value = {"data-dir": data_dir, **wanted.value}
    wanted.check()
    if action == "show":
        system.write(1, wanted.text())
    elif action in ("init", "reset", "update"):
        wanted.write(path)
    if action == "init":
        network = wanted.value.get("network", "mainnet")
        name = f": {network}" if isinstance(network, str) else ""
        default = " default" if arguments.last("network") is None else ""
        system.write(2, f"Created {path} for{default} network{name}.\n")


def identity(arguments: Arguments, system: System) -> None:
    """``identity``: make, show or check the identity. Raises ``IdentityError``."""
    data_dir, action = data_dir_of(arguments, system.environ), arguments.command.path[1]
    path = data_dir / IDENTITY_FILE
    configured = Config.read(config_path_of(arguments, system.environ))
    difficulty = float(configured.get("p2p", "expected-proof-of-work", default=26.0))
    if arguments.positional is not None:
        try:
            difficulty = float(arguments.positional)
        except ValueError as error:
            what = f"DIFFICULTY argument: invalid value '{arguments.positional}'"
            raise IdentityError(f"{what}, expected a floating point number") from error
    if action == "generate":
        if path.exists():
            raise existent(path)
        ensure_data_dir(data_dir)
        system.write(2, f"Generating a new identity... (level: {difficulty:.2f}) ")
        own = Identity.generate(difficulty)
        own.write(path)
        system.write(2, f"Stored the new identity ({own.peer_id}) into '{path}'.\n")
        return
    own = Identity.read(path)
    if action == "show":
        system.write(1, f"Peer_id: {own.peer_id}.\n")
    elif own.is_enough(difficulty):
        system.write(1, f"Peer_id: {own.peer_id}. Proof of work is higher than {difficulty:.2f}.\n")
    else:
        raise IdentityError(
            "The current identity does not embed a sufficient stamp of proof-of-work. "
            f"(expected level: {difficulty:.2f}). "
            "See `mavkit-node identity --help` on how to generate a new identity."
        )
