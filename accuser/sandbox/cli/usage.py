"""What a command line can hold, and the usage text of it.

The text is upstream's, for an output that is no terminal (``usage_internal`` in
``src/lib_clic/mavryk_clic.ml``): of a description only the first line is shown, unless ``full``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import attrs

MARGIN: Final = 78
MISCELLANEOUS: Final = "Miscellaneous commands"


@attrs.frozen
class Option:
    """An option; without placeholder it is a switch."""

    long: str
    doc: str
    placeholder: str = ""
    short: str = ""
    parse: Callable[[str], Any] = str
    default: str | None = None
    multiple: bool = False
    plain: bool = False
    """Named without dashes in complaints, as upstream's baker does; those with a default always are."""

    @property
    def label(self) -> str:
        """The option as usage shows it: ``-d --base-dir <path>``."""
        names = f"-{self.short} --{self.long}" if self.short else f"--{self.long}"
        return f"{names} <{self.placeholder}>" if self.placeholder else names

    @property
    def full_doc(self) -> str:
        """The description with what upstream adds about the default."""
        return self.doc if self.default is None else f"{self.doc}\nDefaults to `{self.default}`."


@attrs.frozen
class Param:
    name: str
    doc: str
    parse: Callable[[str], Any] = str


@attrs.frozen
class Rest:
    """All remaining arguments of a command that are no options; only in the last place."""

    name: str
    doc: str
    parse: Callable[[str], Any] = str


@attrs.frozen
class Command:
    """A command: its words and parameters, its options, and what it does."""

    name: str
    """For the program; not shown."""
    words: tuple[str | Param | Rest, ...]
    doc: str
    options: tuple[Option, ...] = ()
    group: str = MISCELLANEOUS
    """Title of the group that usage shows it in."""


def words(text: str) -> tuple[str, ...]:
    """The words of a command without parameters: ``words("list understood protocols")``."""
    return tuple(text.split())


def usage(program: str, options: Iterable[Option], commands: Sequence[Command], *, full: bool = False) -> str:
    """The whole usage text, with the given commands."""
    lines = [
        "Usage:",
        f"  {program} [global options] command [command options]",
        f"  {program} --help (for global options)",
        f"  {program} [global options] command --help (for command options)",
        f"  {program} --version (for version information)",
        "",
        "To browse the documentation:",
        f"  {program} [global options] man (for a list of commands)",
        f"  {program} [global options] man -v 3 (for the full manual)",
        "",
        "Global options (must come before the command):",
        *_options(options, "  ", full),
    ]
    groups: dict[str, list[Command]] = {}
    for command in commands:
        groups.setdefault(command.group, []).append(command)
    miscellaneous = groups.pop(MISCELLANEOUS, None)
    # Upstream shows the groups in reverse order of appearance.
    shown = [*reversed(groups.items()), *([(MISCELLANEOUS, miscellaneous)] if miscellaneous else [])]
    for title, members in shown:
        lines += ["", f"{title}:"]
        for command in members:
            lines += command_line(command, indent=2)
            lines += _described("    ", command.doc, full)
            for word in command.words:
                if isinstance(word, Param | Rest):
                    lines += _described("    ", f"<{word.name}>: {word.doc}", full)
            lines += _options(command.options, "    ", full)
    return "\n".join(lines) + "\n"


def command_line(command: Command, *, indent: int) -> list[str]:
    """A command with its options, broken between options at the margin."""
    shown = [_shown(word) for word in command.words]
    pieces = [f"[{option.label}]" for option in command.options]
    head = " ".join([*shown, *pieces[:1]])
    lines = [" " * indent + head]
    for index, piece in enumerate(pieces[1:], 1):
        # A break's size includes the next break, but at the end; a list of keywords adds one there.
        followed = index < len(pieces) - 1 or isinstance(command.words[-1], Rest)
        if len(lines[-1]) + 1 + len(piece) > MARGIN - followed:
            lines.append(" " * (indent + 4) + piece)
        else:
            lines[-1] += " " + piece
    return lines


def _shown(word: str | Param | Rest) -> str:
    match word:
        case Param():
            return f"<{word.name}>"
        case Rest():
            return f"[<{word.name}>...]"
        case str():
            return word


def _options(options: Iterable[Option], indent: str, full: bool) -> list[str]:
    return [
        line for option in options for line in _described(indent, f"{option.label}: {option.full_doc}", full)
    ]


def _described(indent: str, text: str, full: bool) -> list[str]:
    first, *more = text.split("\n")
    return [indent + first, *(f"{indent}  {line}" for line in more if full)]
