"""Command lines as upstream's client and accuser read them (``src/lib_clic/mavryk_clic.ml``).

Global options, then a command of words and parameters, then that command's options. How to use::

    cli = Cli(program="mavkit-client", version="...", options=GLOBALS, commands=COMMANDS)
    values, rest = cli.parse_globals(arguments)      # {"base-dir": ..., "timings": True, ...}
    invocation = cli.parse_command(rest)             # .command .parameters .options

Both raise ``Exit(status, stdout, stderr)``, which ``main`` prints: help, version and every error,
with the usage text that upstream adds. A converter refuses a value with ``Refused(lines)``. Later
errors of a command that carry no usage are ``cli.failure(lines)``, an ``Exit`` of status 1.

An option is a switch when it has no placeholder: its value is True or False. Otherwise the value
is what its converter makes of the text; ``default`` (or None) when it is absent; a list (maybe
empty) when ``multiple``. Options are keyed by their long name without dashes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NoReturn

import attrs

from .usage import Command, Option, Param, command_line, usage
from .usage import Rest as Rest

HELP: Final = ("-h", "--help")


class Refused(Exception):
    """Raised by a converter: the value is wrong, and why."""

    def __init__(self, *lines: str) -> None:
        self.lines: Final = lines
        super().__init__("\n".join(lines))


class Exit(Exception):
    """The program is to end with this status, after these outputs."""

    def __init__(self, status: int, stdout: str = "", stderr: str = "") -> None:
        self.status: Final = status
        self.stdout: Final = stdout
        self.stderr: Final = stderr
        super().__init__(stderr or stdout)


@attrs.frozen
class Invocation:
    command: Command
    parameters: list[Any]
    """Converted values of the parameters in order; a ``Rest`` gives one list."""
    options: dict[str, Any]


_Texts = dict[str, list[str]]


@attrs.frozen
class Cli:
    program: str
    """Base name of the executable, as usage shows it."""
    version: str
    options: tuple[Option, ...]
    commands: tuple[Command, ...]

    def parse_globals(self, arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
        """Read the options before the command. Raises ``Exit``."""
        arity = _arities(self.options)
        texts: _Texts = {}
        rest = list(arguments)
        while rest:
            if rest[0] in HELP:
                raise self.help()
            if rest[0] == "--version":
                raise Exit(0, stdout=self.version + "\n")
            if not rest[0].startswith("-"):
                break
            rest = self._take(rest, arity, texts, None)
        return self._values(self.options, texts, None), rest

    def parse_command(self, arguments: Sequence[str]) -> Invocation:
        """Find the command and read its parameters and options. Raises ``Exit``."""
        arguments = list(arguments)
        if not arguments or arguments in ([HELP[0]], [HELP[1]]):
            raise self.help()
        command, used, remaining = self._find(arguments)
        texts: _Texts = {}
        unparsed: list[str] = []
        arity = _arities(command.options)
        while remaining:
            if remaining[0] in HELP:
                raise self.help(command)
            if remaining[0] in arity:
                remaining = self._take(remaining, arity, texts, command)
            else:
                unparsed.append(remaining.pop(0))
        ends_in_rest = bool(command.words) and isinstance(command.words[-1], Rest)
        if unparsed and not ends_in_rest:
            if unparsed[0].startswith("-"):
                self._fail([f"Unexpected command line option {unparsed[0]}."], [command])
            self._fail(["Extra command line arguments:", f" {' '.join(unparsed)}."], [command])
        options = self._values(command.options, texts, command)
        return Invocation(command, self._parameters(command, used, unparsed), options)

    def help(self, command: Command | None = None) -> Exit:
        """The usage on standard output."""
        return Exit(0, stdout=usage(self.program, self.options, [command] if command else []))

    def failure(self, lines: Iterable[str]) -> Exit:
        """An error without usage."""
        return Exit(1, stderr="Error:\n" + "".join(f"  {line}\n" for line in lines))

    def _fail(self, lines: Sequence[str], commands: Sequence[Command]) -> NoReturn:
        shown = usage(self.program, self.options, commands)
        raise Exit(1, stderr="Error:\n" + "".join(f"  {line}\n" for line in lines) + "\n" + shown)

    def _take(
        self, arguments: list[str], arity: dict[str, Option], texts: _Texts, command: Command | None
    ) -> list[str]:
        """Move one option (and its argument) from the arguments to ``texts``; give the rest."""
        name, rest = arguments[0], arguments[1:]
        if (option := arity.get(name)) is None:
            self._fail([f"Unexpected command line option {name}."], [])
        if rest and rest[0] in HELP:
            raise self.help(command)
        if not option.placeholder:
            texts.setdefault(option.long, []).append("")
            return rest
        if not rest:
            shown = [] if command is None else [command]
            self._fail([f"Command line option {name} expects an argument."], shown)
        texts.setdefault(option.long, []).append(rest[0])
        return rest[1:]

    def _values(self, options: tuple[Option, ...], texts: _Texts, command: Command | None) -> dict[str, Any]:
        shown = [] if command is None else [command]
        values: dict[str, Any] = {}
        for option in options:
            given = texts.get(option.long, [])
            # Upstream's quirk: switches and options with a default are named without dashes.
            plain = option.plain or not option.placeholder or option.default is not None
            name = option.long if plain else f"--{option.long}"
            if len(given) > 1 and not option.multiple:
                self._fail([f"Command line option {name} appears multiple times."], shown)
            if not option.placeholder:
                values[option.long] = bool(given)
                continue
            try:
                converted = [option.parse(text) for text in given]
            except Refused as error:
                self._fail([f"Wrong value for command line option {name}.", *error.lines], shown)
            absent = None if option.default is None else option.parse(option.default)
            values[option.long] = converted if option.multiple else converted[0] if converted else absent
        return values

    def _find(self, arguments: list[str]) -> tuple[Command, list[str], list[str]]:
        """The command, the arguments that its words and parameters took, and the others."""
        candidates = list(self.commands)
        for index in range(len(arguments) + 1):
            argument = arguments[index] if index < len(arguments) else None
            over = [c for c in candidates if len(c.words) == index]
            for command in candidates:
                if index < len(command.words) and isinstance(command.words[index], Rest):
                    if argument is not None and any(each in HELP for each in arguments[index:]):
                        raise self.help(command)
                    return command, arguments[:index], arguments[index:]
            longer = [c for c in candidates if len(c.words) > index]
            takes_any = any(isinstance(c.words[index], Param) for c in longer)
            if over and (not longer or argument is None or (takes_any and _is_option(argument))):
                return over[0], arguments[:index], arguments[index:]
            if argument is None or argument in HELP:
                if over and len(candidates) == 1:
                    raise self.help(over[0])
                self._unterminated(candidates)
            candidates = [
                c for c in longer if isinstance(c.words[index], Param) or c.words[index] == argument
            ]
            if not candidates:
                self._unrecognized(longer if index else [])
        raise AssertionError("the loop ends at the last argument")

    def _unterminated(self, commands: Sequence[Command]) -> NoReturn:
        commands = _gathered(commands)
        head = "Unterminated command, here are possible completions."
        self._fail([head, *_command_lines(commands)], commands)

    def _unrecognized(self, commands: Sequence[Command]) -> NoReturn:
        if not commands:
            self._fail(["Unrecognized command.", "Try using the man command to get more information."], [])
        commands = _gathered(commands)
        lines = ["Unrecognized command.", "Did you mean one of the following?", *_command_lines(commands)]
        self._fail(lines, commands)

    def _parameters(self, command: Command, used: list[str], rest: list[str]) -> list[Any]:
        def convert(index: int, parse: Callable[[str], Any], text: str) -> Any:
            try:
                return parse(text)
            except Refused as error:
                lines = [f"Erroneous command line argument {index} ({text}).", *error.lines]
                self._fail(lines, [])

        values: list[Any] = []
        for index, word in enumerate(command.words):
            if isinstance(word, Param):
                values.append(convert(index + 1, word.parse, used[index]))
            elif isinstance(word, Rest):
                values.append([convert(index + 1 + n, word.parse, text) for n, text in enumerate(rest)])
        return values


def _is_option(text: str) -> bool:
    return bool(re.match("--|-[a-zA-Z]$", text))


def _arities(options: Iterable[Option]) -> dict[str, Option]:
    names: dict[str, Option] = {}
    for option in options:
        # Upstream takes a long name after one dash too.
        names[f"-{option.long}"] = names[f"--{option.long}"] = option
        if option.short:
            names[f"-{option.short}"] = option
    return names


def _gathered(commands: Sequence[Command]) -> list[Command]:
    """In the order in which upstream shows them: the last branch of its tree of words first."""

    def walk(within: Sequence[Command], depth: int) -> list[Command]:
        branches: dict[str | None, list[Command]] = {}
        for command in within:
            if len(command.words) > depth:
                word = command.words[depth]
                branches.setdefault(word if isinstance(word, str) else None, []).append(command)
        complete = [command for command in within if len(command.words) <= depth]
        return complete + [each for branch in branches.values() for each in walk(branch, depth + 1)]

    return walk(commands, 0)[::-1]


def _command_lines(commands: Sequence[Command]) -> list[str]:
    return [line for command in commands for line in command_line(command, indent=2)]
