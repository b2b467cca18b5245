"""``config show|reset|update|init``: the configuration file, written and shown.

Follows ``src/lib_client_base_unix/client_config.ml``. What is shown and written is the file with what
the command line changes in it; upstream's defaults stand for what neither says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from .clic import Cli, Exit, Invocation
from .config import DEFAULT_ENDPOINT, config_path, read_config
from .global_options import DEFAULT_DIRECTORY, NO_WAIT
from .json_text import pretty
from .usage import Command, Option, words

_GROUP: Final = "Commands for editing and viewing the client's config file"
_PATH: Final = "path at which to create the file"
_DEFAULTS: Final = f"\nDefaults to `{DEFAULT_DIRECTORY}"
_ORDER: Final = (
    *("base_dir", "node_addr", "node_port", "tls", "media_type", "endpoint", "web_port", "remote_signer"),
    *("confirmations", "password_filename", "internal_events"),
)
_GIVEN: Final = {
    "addr": "node_addr",
    "port": "node_port",
    "tls": "tls",
    "media-type": "media_type",
    "endpoint": "endpoint",
    "remote-signer": "remote_signer",
    "wait": "confirmations",
    "password-filename": "password_filename",
}

COMMANDS: Final = (
    Command(
        "config show",
        words("config show"),
        "Show the current config (config file content + command line arguments) or the mockup config "
        "files if `--mode mockup` is specified.",
        group=_GROUP,
    ),
    Command(
        "config reset",
        words("config reset"),
        "Reset the config file to the factory defaults.",
        group=_GROUP,
    ),
    Command(
        "config update",
        words("config update"),
        "Update the config based on the current cli values.\n"
        "Loads the current configuration (default or as specified with\n"
        "`-config-file`), applies alterations from other command line arguments\n"
        "(such as the node's address, etc.), and overwrites the updated\n"
        "configuration file.",
        group=_GROUP,
    ),
    Command(
        "config init",
        words("config init"),
        "Create config file(s) based on the current CLI values.\n"
        "If the `-file` option is not passed, this will initialize the default\n"
        "config file, based on default parameters, altered by other command line\n"
        "options (such as the node's address, etc.).\n"
        "Otherwise, it will create a new config file, based on the default\n"
        "parameters (or the the ones specified with `-config-file`), altered by\n"
        "other command line options.\n"
        "\n"
        "If `-mode mockup` is specified, this will initialize the mockup's\n"
        "default files instead of the config file. Use `-bootstrap-accounts` and\n"
        "`-protocol-constants` to specify custom paths.\n"
        "\n"
        "The command will always fail if file(s) to create exist already",
        (
            Option("output", f"{_PATH}{_DEFAULTS}/config`.", "path", "o"),
            Option("bootstrap-accounts", f"{_PATH}{_DEFAULTS}/bootstrap-accounts.json`.", "path"),
            Option("protocol-constants", f"{_PATH}{_DEFAULTS}/protocol-constants.json`.", "path"),
        ),
        _GROUP,
    ),
)


def is_config(invocation: Invocation) -> bool:
    """Whether it is one of these commands."""
    return invocation.command in COMMANDS


def run(cli: Cli, invocation: Invocation, options: Mapping[str, Any], base_dir: Path) -> Exit:
    """Do what one of these commands says.

    Args:
        cli: of the program.
        invocation: of the command.
        options: values of the global options.
        base_dir: the base directory, which exists.

    Returns:
        The end of the program.
    """
    path = config_path(options, base_dir)
    name = invocation.command.name
    if name == "config reset":
        return _write(cli, path, _defaults(base_dir))
    current = {**_defaults(base_dir), **(read_config(path) if path.exists() else {}), **_given(options)}
    if current.get("confirmations") == NO_WAIT:
        del current["confirmations"]
    if "base-dir" in options and options["base-dir"] is not None:
        current["base_dir"] = str(base_dir)
    if {"node_addr", "node_port", "tls"} & set(_given(options)):
        # The two ways of naming a node exclude each other.
        current.pop("endpoint", None)
    if name == "config update":
        return _write(cli, path, current)
    if name == "config init":
        output = invocation.options["output"]
        target = path if output is None else Path(output)
        if target.exists():
            return cli.failure([f"Config file already exists at location: {target}"])
        return _write(cli, target, current)
    shown = f"{pretty(_ordered(current))}\n\n"
    if path.exists():
        return Exit(0, stdout=shown)
    warning = f"Warning: no config file at {path},\n  displaying the default configuration.\n"
    return Exit(0, stdout=shown, stderr=warning)


def _defaults(base_dir: Path) -> dict[str, Any]:
    return {
        "base_dir": str(base_dir),
        "endpoint": DEFAULT_ENDPOINT,
        "web_port": 8080,
        "confirmations": 0,
    }


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    # A switch that is not given is False, an option None; 0 is a number like others.
    values = {field: options.get(name) for name, field in _GIVEN.items()}
    return {field: value for field, value in values.items() if value is not None and value is not False}


def _ordered(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: fields[name] for name in _ORDER if name in fields}


def _write(cli: Cli, path: Path, fields: Mapping[str, Any]) -> Exit:
    try:
        path.write_text(f"{pretty(_ordered(fields))}\n", encoding="utf-8")
    except OSError as error:
        return cli.failure([f"Unable to write file {path}: {error.strerror}"])
    return Exit(0)
