"""The node's command line, as Cmdliner reads it: options anywhere, long ones also abbreviated.

It only looks whether the file of ``--sandbox`` is there. The options are those of
``src/lib_node_config/shared_arg.ml`` and the node's commands; those that mean nothing to a sandbox
are accepted and ignored, as upstream's own tests pass them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

HELP_HINT: Final = "Try '{command} --help'{more} for more information."


@attrs.frozen
class Option:
    """One option. ``value`` is the placeholder of its value; None for a flag."""

    names: tuple[str, ...]
    value: str | None = None
    repeated: bool = False

    @property
    def key(self) -> str:
        """The name that parsed values are found under."""
        return max(self.names, key=len).lstrip("-")


@attrs.frozen
class Command:
    path: tuple[str, ...]
    options: tuple[Option, ...]
    positional: str | None = None
    """Placeholder of the one positional argument that it may have."""


@attrs.frozen
class Arguments:
    command: Command
    values: Mapping[str, list[str]]
    """What each option was given; flags give an empty text each time."""
    positional: str | None = None

    def last(self, key: str) -> str | None:
        """The value of an option that is not repeated."""
        values = self.values.get(key)
        return values[-1] if values else None

    def flag(self, key: str) -> bool:
        """Whether a flag was given."""
        return key in self.values


class UsageError(Exception):
    """The command line is wrong; ``str()`` is the whole message with the usage."""


def _flag(*names: str) -> Option:
    return Option(names)


def _value(*names: str, value: str = "VAL", repeated: bool = False) -> Option:
    return Option(names, value, repeated)


_HELP: Final = (_value("--help", value="FMT"), _flag("--version"))
_DATA: Final = (_value("-d", "--data-dir", value="DIR"), _value("--config-file", value="FILE"))

SHARED: Final = (
    *_DATA,
    _value("--network", value="NETWORK"),
    _value("--connections", value="NUM"),
    _value("--max-download-speed", value="NUM"),
    _value("--max-upload-speed", value="NUM"),
    _value("--binary-chunks-size", value="NUM"),
    _value("--peer-table-size", value="NUM"),
    _value("--net-addr", value="ADDR:PORT"),
    _value("--advertised-net-port", value="PORT"),
    _value("--discovery-addr", value="ADDR:PORT"),
    _value("--peer", value="ADDR:PORT[#ID]", repeated=True),
    _flag("--no-bootstrap-peers"),
    _value("--bootstrap-threshold", value="NUM"),
    _flag("--private-mode"),
    _flag("--disable-p2p-maintenance"),
    _flag("--disable-p2p-swap"),
    _flag("--disable-mempool"),
    _flag("--enable-testchain"),
    _value("--expected-pow", value="FLOAT"),
    _value("--rpc-addr", value="ADDR:PORT", repeated=True),
    _value("--external-rpc-addr", value="ADDR:PORT", repeated=True),
    _value("--rpc-tls", value="crt,key"),
    _value("--cors-origin", value="ORIGIN", repeated=True),
    _value("--cors-header", value="HEADER", repeated=True),
    _value("--log-output", value="OUTPUT"),
    _value("--log-coloring"),
    _value("--history-mode", value="<mode>"),
    _value("--synchronisation-threshold", value="NUM"),
    _value("--sync-latency", value="NUM"),
    _flag("--disable-config-validation"),
    _value("--allow-all-rpc", value="ADDR:PORT", repeated=True),
    _value("--media-type", value="MEDIATYPE"),
    _value("--max-active-rpc-connections", value="NUM"),
    _value("--metrics-addr", value="ADDR:PORT", repeated=True),
    _value("--metadata-size-limit", value="<limit-in-bytes>"),
    _flag("--disable-context-pruning"),
    _value("--storage-maintenance-delay"),
)

_RUN: Final = (
    Option(("-v",), repeated=True),
    _value("--sandbox", value="FILE.json"),
    _value("--target", value="<block_hash>,<level>"),
    _flag("--singleprocess"),
    _flag("--force-history-mode-switch"),
)

COMMANDS: Final = (
    *(Command(("config", name), SHARED) for name in ("init", "reset", "show", "update", "validate")),
    *(Command(("identity", name), _DATA, "DIFFICULTY") for name in ("check", "generate", "show")),
    Command(("run",), SHARED + _RUN),
)


def parse(arguments: Sequence[str]) -> Arguments | None:
    """Read a command line without the program's name; None for one that asks for help.

    ``--version`` gives a command with the flag ``version`` only.

    Raises:
        UsageError: it is wrong.
    """
    if not arguments:
        return None
    command, rest = _command(arguments)
    if command is None:
        return Arguments(Command((), ()), {"version": [""]}) if rest == ["--version"] else None
    values: dict[str, list[str]] = {}
    positional: list[str] = []
    options = command.options + _HELP
    rest.reverse()
    while rest:
        word = rest.pop()
        if word == "--":
            positional += reversed(rest)
            break
        if not word.startswith("-") or word == "-":
            positional.append(word)
            continue
        option, value = _option(command, options, word)
        if option.value is None:
            if value is not None and not word.startswith("--"):
                # Short flags may be glued: what follows is one more, as in -vv.
                rest.append(f"-{value}")
                value = None
            if value is not None:
                name = word.partition("=")[0]
                raise _usage(command, f"option '{name}' is a flag, it cannot take the argument '{value}'")
            value = ""
        elif option.key == "help":
            return None
        elif value is None:
            if not rest:
                raise _usage(command, f"option '{word}' needs an argument")
            value = rest.pop()
        if option.key == "sandbox" and not Path(value).is_file():
            what = f"'{value}' is a directory" if Path(value).is_dir() else f"no '{value}' file"
            raise _usage(command, f"option '{word.partition('=')[0]}': {what}")
        given = values.setdefault(option.key, [])
        if given and not option.repeated:
            raise _usage(command, f"option '{word.partition('=')[0]}' cannot be repeated")
        given.append(value)
    most = 0 if command.positional is None else 1
    if len(positional) > most:
        raise _usage(command, f"too many arguments, don't know what to do with '{positional[most]}'")
    return Arguments(command, values, positional[0] if positional else None)


def _command(arguments: Sequence[str]) -> tuple[Command | None, list[str]]:
    path: tuple[str, ...] = ()
    rest = list(arguments)
    while True:
        known = sorted({command.path[len(path)] for command in COMMANDS if command.path[: len(path)] == path})
        if not rest or rest[0] in ("--help", "--version") or rest[0].startswith("--help="):
            if path:
                # A group without a command is its default command, which shows.
                return next(one for one in COMMANDS if one.path == (*path, "show")), rest
            return None, rest
        word = rest[0]
        if word.startswith("-"):
            if path:
                return next(one for one in COMMANDS if one.path == (*path, "show")), rest
            raise UsageError(_message((), f"unknown option '{word.partition('=')[0]}'"))
        if word not in known:
            names = ", ".join(f"'{name}'" for name in known)
            raise UsageError(_message(path, f"unknown command '{word}', must be one of {names}"))
        path = (*path, rest.pop(0))
        for command in COMMANDS:
            if command.path == path:
                return command, rest


def _option(command: Command, options: Sequence[Option], word: str) -> tuple[Option, str | None]:
    if word.startswith("--"):
        name, equals, text = word.partition("=")
        exact = [option for option in options if name in option.names]
        found = exact or [
            option for option in options if any(known.startswith(name) for known in option.names)
        ]
        value = text if equals else None
    else:
        name, text = word[:2], word[2:]
        found = [option for option in options if name in option.names]
        value = text or None
    if not found:
        raise _usage(command, f"unknown option '{name}'")
    if len(found) > 1:
        names = ", ".join(f"'--{option.key}'" for option in found)
        raise _usage(command, f"option '{name}' ambiguous and could be one of {names}")
    return found[0], value


def _usage(command: Command, what: str) -> UsageError:
    return UsageError(_message(command.path, what))


def _message(path: tuple[str, ...], what: str) -> str:
    command = " ".join(("mavkit-node", *path))
    arguments = "[OPTION]…" if any(one.path == path for one in COMMANDS) else "[COMMAND] …"
    more = " or 'mavkit-node --help'" if path else ""
    hint = HELP_HINT.format(command=command, more=more)
    return f"mavkit-node: {what}.\nUsage: {command} {arguments}\n{hint}\n"


def help_text() -> str:
    """All commands with their options."""
    lines = ["The sandbox's Mavryk node takes the command lines of mavkit-node.", ""]
    for command in COMMANDS:
        positional = f" [{command.positional}]" if command.positional else ""
        lines.append(f"mavkit-node {' '.join(command.path)} [OPTION]…{positional}")
    lines += ["", "Options of run and config:"]
    for option in SHARED + _RUN:
        lines.append("  " + ", ".join(option.names) + (f" {option.value}" if option.value else ""))
    return "\n".join(lines) + "\n"
