"""The file that tells a test suite on which hosts it may run daemons: this machine, others, containers.

It is TOML: a table ``[[host]]`` for each host. ``local = true``, ``ssh = "ADDRESS"`` or ``image = "REF"``
says what it is, ``places`` how many tests may use it at once.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import attrs
import trio

from .._errors import AccuserError, RunnerConfigError, RunnerError
from .._report import RunnerFault
from .places import runner_of
from .ssh.runner import SSHRunner
from .toolchain import Toolchain

PROBE: Final = 30.0
"""Seconds in which a host answers, or has failed."""

_WORDS: Final = {"local": bool, "ssh": str, "image": str}
"""What a host is, by the one of these keys that it has."""
_ALL: Final[dict[str, Any]] = {"places": int, "name": str}
_KEYS: Final[dict[str, dict[str, Any]]] = {
    "local": {"bin_dir": str},
    "ssh": {
        **dict.fromkeys(("bin_dir", "alias", "user", "identity", "config", "temp_dir", "local_address"), str),
        "port": int,
        "lost_after": float,
        "connect_timeout": float,
    },
    "image": {
        **dict.fromkeys(("engine", "network", "memory", "pull", "user"), str),
        "cpus": float,
        "mounts": list,
    },
}
_WHAT: Final = {
    bool: "true",
    str: "a text that is not empty",
    int: "a whole number above 0",
    float: "a number above 0",
    list: "a list of texts",
}


@attrs.frozen
class PoolHost:
    """One host of a pool."""

    kind: str
    """``local``, ``ssh`` or ``image``."""
    target: str
    """Address or image; empty for this machine."""
    places: int
    """How many tests may use it at once."""
    name: str
    """In messages."""
    options: Mapping[str, Any]

    @property
    def own(self) -> bool:
        """Whether it says which executables run there."""
        return self.kind == "image" or "bin_dir" in self.options

    def toolchain(self, usual: Toolchain) -> Toolchain:
        """What a test uses to run its daemons there, made anew for each test.

        Args:
            usual: the executables of hosts that have none of their own.
        """
        options = dict(self.options)
        if self.kind == "image":
            return Toolchain.image(self.target, **options)
        folder = options.pop("bin_dir", None)
        chosen = usual if folder is None else Toolchain("mavkit", Path(folder))
        return (
            chosen if self.kind == "local" else attrs.evolve(chosen, host=SSHRunner(self.target, **options))
        )

    def failed_with(self, error: BaseException, toolchain: Toolchain) -> str | None:
        """Why this host has failed, if an error of a test says so of its place; None if it does not."""
        if isinstance(error, BaseExceptionGroup):
            found = (self.failed_with(one, toolchain) for one in error.exceptions)
            return next((text for text in found if text is not None), None)
        place = runner_of(toolchain)
        if isinstance(error, RunnerError) and place is not None and error.host == place.transport.label:
            # What a test needs is the test's affair.
            return None if error.reason is RunnerFault.OUT_OF_MEMORY else _first_line(error)
        cause = error.__cause__
        return None if cause is None else self.failed_with(cause, toolchain)

    async def probe(self, usual: Toolchain) -> str | None:
        """Start something there: why that fails, or None. Bounded, see `PROBE`."""
        place = runner_of(self.toolchain(usual))
        if place is None:
            return None
        with trio.move_on_after(PROBE):
            try:
                async with place:
                    await place.run(("true",), name=self.name, color="")
            except AccuserError as error:
                return _first_line(error)
            return None
        return f"no answer within {PROBE:g} s"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def load_hosts(path: str | Path) -> list[PoolHost]:
    """Read the file.

    Raises:
        RunnerConfigError: there is no such file, or it does not say what it must.
    """
    file = Path(path)
    try:
        text = file.read_bytes().decode()
        value = tomllib.loads(text)
    except FileNotFoundError:
        raise RunnerConfigError(file, "there is no such file") from None
    except OSError as error:
        raise RunnerConfigError(file, f"it cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RunnerConfigError(file, f"it is no TOML: {error}") from error
    return _Reading(file, text).hosts(value)


@attrs.frozen
class _Reading:
    file: Path
    text: str

    def wrong(self, reason: str, number: int | None = None, key: str | None = None) -> NoReturn:
        place = ""
        if number is not None:
            line = self._line_of(number, key)
            place = f"host {number}{'' if line is None else f' (line {line})'}: "
        raise RunnerConfigError(self.file, f"{place}{reason}")

    def _line_of(self, number: int, key: str | None) -> int | None:
        """Where the table of a host is, or a key in it; None if that is not plain to see."""
        lines = self.text.splitlines()
        starts = [at for at, line in enumerate(lines) if re.match(r"\s*\[\[\s*host\s*\]\]", line)]
        if len(starts) < number:
            return None
        begin, end = starts[number - 1], starts[number] if number < len(starts) else len(lines)
        if key is not None:
            pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=")
            begin = next((at for at in range(begin, end) if pattern.match(lines[at])), begin)
        return begin + 1

    def hosts(self, value: dict[str, Any]) -> list[PoolHost]:
        if unknown := value.keys() - {"host"}:
            self.wrong(f"unknown key {min(unknown)!r}; there are only tables [[host]]")
        tables = value.get("host")
        if not isinstance(tables, list) or not tables:
            self.wrong('it needs a table for each host, as in [[host]], ssh = "192.0.2.7", places = 4')
        hosts = [self.host(number, table) for number, table in enumerate(tables, 1)]
        names = [host.name for host in hosts]
        for number, name in enumerate(names, 1):
            if name in names[: number - 1]:
                self.wrong(f"two hosts are called {name!r}: give one of them another name", number)
        return hosts

    def host(self, number: int, table: object) -> PoolHost:
        if not isinstance(table, dict):
            self.wrong("it must be a table", number)
        kinds = [key for key in _WORDS if key in table]
        if len(kinds) != 1:
            said = " and ".join(kinds) or "none of them"
            self.wrong(f"it must have one of {', '.join(_WORDS)}, and has {said}", number)
        kind = kinds[0]
        known = {kind: _WORDS[kind], **_ALL, **_KEYS[kind]}
        for key, part in table.items():
            self.check(number, key, part, known)
        if "places" not in table:
            self.wrong("it needs places, the number of tests that may use it at once", number)
        options = {key: part for key, part in table.items() if key not in (kind, *_ALL)}
        target = "" if kind == "local" else str(table[kind])
        name = table.get("name") or options.get("alias") or target or "this machine"
        host = PoolHost(kind, target, table["places"], name, options)
        try:
            host.toolchain(Toolchain("mavkit"))
        except ValueError as error:
            self.wrong(str(error), number)
        return host

    def check(self, number: int, key: str, part: object, known: dict[str, Any]) -> None:
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            self.wrong(f"unknown key {key!r}; {meant}", number, key)
        kind = known[key]
        right = isinstance(part, (int, float) if kind is float else kind) and part not in ("", False)
        right = right and (kind is bool or not isinstance(part, bool))
        if right and isinstance(part, int | float):
            right = part > 0
        if right and isinstance(part, list):
            right = all(isinstance(one, str) for one in part)
        choices = {"engine": ("auto", "podman", "docker"), "pull": ("missing", "always", "never")}.get(key)
        if right and choices and part not in choices:
            self.wrong(f"{key} must be one of {', '.join(choices)}, and is {part!r}", number, key)
        if not right:
            self.wrong(f"{key} must be {_WHAT[kind]}, and is {part!r}", number, key)
