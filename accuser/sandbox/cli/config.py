"""The configuration of upstream's client and accuser: base directory, configuration file, endpoint.

Follows ``src/lib_client_base_unix/client_config.ml``. Problems are ``ConfigError``, whose lines are
what upstream prints.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from ..rpc import strict
from ..rpc.strict import Mismatch, Shape
from ..rpc.wire import MediaType
from .global_options import NO_WAIT

DEFAULT_ENDPOINT: Final = "http://localhost:8732"
DIRECTORY_VARIABLE: Final = "MAVRYK_CLIENT_DIR"


class ConfigError(Exception):
    """The configuration is not usable; ``lines`` say why."""

    def __init__(self, *lines: str) -> None:
        self.lines: Final = lines
        super().__init__("\n".join(lines))


@attrs.frozen
class ClientConfig:
    """What command line and configuration file make together."""

    base_dir: Path
    endpoint: str
    media_type: MediaType
    internal_events: tuple[str, ...] | None
    """URIs of sinks in place of the default ones."""
    deprecated: bool
    """The node is given by address and port: upstream warns of it."""
    confirmations: int | None
    """How many blocks must follow that of an operation; None for no wait at all."""


_EVENTS: Final = strict.record(
    {}, {"active_sinks": strict.array(strict.text), "activate": strict.array(strict.text)}
)
_FIELDS: Final[Mapping[str, Shape]] = {
    "node_addr": strict.text,
    "node_port": strict.number,
    "tls": strict.boolean,
    "media_type": strict.text,
    "endpoint": strict.text,
    "web_port": strict.number,
    "remote_signer": strict.text,
    "confirmations": strict.number,
    "password_filename": strict.text,
    "internal_events": _EVENTS,
}
_FILE: Final = strict.record({"base_dir": strict.text}, _FIELDS)


def client_config(
    options: Mapping[str, Any], environ: Mapping[str, str], *, media_type: MediaType, creating: bool = False
) -> ClientConfig:
    """Settle the configuration.

    Args:
        options: values of the global options.
        environ: the environment of the process.
        media_type: what the program asks for unless it is told otherwise.
        creating: the command creates the configuration file, which need not exist then.

    Raises:
        ConfigError: the base directory or the configuration file is not usable.
    """
    if options.get("mode") == "light" and options.get("sources") is None:
        raise ConfigError(
            "--mode light requires passing --sources. Example --sources file: "
            '{"min_agreement": 1.0, "uris": ["http://localhost:8732", "https://localhost:8733"]}'
        )
    base_dir = _base_dir(options.get("base-dir"), environ)
    path = config_path(options, base_dir)
    if options.get("config-file") is not None and not path.exists() and not creating:
        raise ConfigError(
            "Config file specified in option does not exist. Use `client config init` to create one."
        )
    fields = read_config(path) if path.exists() else {}
    address, port, tls = (
        options.get("addr") or fields.get("node_addr"),
        options.get("port") or fields.get("node_port"),
        options.get("tls") or fields.get("tls"),
    )
    endpoint = options.get("endpoint") or fields.get("endpoint")
    names = {"--addr": address, "--port": port, "--tls": tls}
    clash = [name for name, value in names.items() if value]
    if endpoint and clash:
        plural = "Option" if len(clash) == 1 else "Options"
        verb = "is" if len(clash) == 1 else "are"
        raise ConfigError(f"{plural} {' and '.join(clash)} {verb} in conflict with --endpoint")
    if not endpoint:
        scheme = "https" if tls else "http"
        endpoint = f"{scheme}://{address or 'localhost'}:{port or 8732}" if clash else DEFAULT_ENDPOINT
    events = fields.get("internal_events")
    sinks = None if events is None else events.get("active_sinks", events.get("activate", []))
    return ClientConfig(
        base_dir=base_dir,
        endpoint=endpoint.rstrip("/"),
        media_type=options.get("media-type") or fields.get("media_type") or media_type,
        internal_events=None if sinks is None else tuple(sinks),
        deprecated=bool(clash),
        confirmations=_confirmations(options.get("wait"), fields if path.exists() else None),
    )


def _confirmations(given: int | str | None, fields: Mapping[str, Any] | None) -> int | None:
    if given is not None:
        return None if given == NO_WAIT else int(given)
    # A file that does not say it stands for no wait, as upstream; without a file it is 0.
    return 0 if fields is None else fields.get("confirmations")


def config_path(options: Mapping[str, Any], base_dir: Path) -> Path:
    """The configuration file, whether it exists or not."""
    given = options.get("config-file")
    return base_dir / "config" if given is None else Path(given)


def _base_dir(given: str | None, environ: Mapping[str, str]) -> Path:
    if given is None:
        path = Path(environ.get(DIRECTORY_VARIABLE) or Path(environ.get("HOME", "/root")) / ".mavryk-client")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"Unix error in mkdir: {error.strerror}") from error
        return path
    path = Path(given)
    if not path.exists():
        raise ConfigError("Specified --base-dir does not exist. Please create the directory and try again.")
    if not path.is_dir():
        raise ConfigError("Specified --base-dir must be a directory")
    return path


def read_config(path: Path) -> dict[str, Any]:
    """The fields of a configuration file. Raises ``ConfigError``."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        head = f"Can't parse the configuration file as a JSON: {path}"
        raise ConfigError(head, "Error:", f"  {error}", "") from error
    try:
        _FILE(value, ())
        if value.get("media_type", "any") not in ("json", "binary", "any"):
            raise Mismatch(("media_type",), f"unexpected string {value['media_type']}")
    except Mismatch as error:
        raise ConfigError(f"Can't parse the configuration file: {path}", error.at_path) from None
    assert isinstance(value, dict)
    return value
