"""Which executables the tests of a run use, why, and what they are."""

from __future__ import annotations

import hashlib
import importlib.metadata
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs
import pytest

from .._errors import BinaryNotFound, RunnerError
from .._hosts.selection import toolchain_called
from .._hosts.toolchain import SANDBOX, Toolchain, installed
from .._mavryk.protocol import Protocol
from .._text import one_line

AUTO: Final = "auto"
VERSION_SECONDS: Final = 10.0
HASH_LENGTH: Final = 12


@attrs.frozen
class Choice:
    """The executables of a run."""

    toolchain: Toolchain
    """What tests use that do not say otherwise."""
    reason: str
    """Why it is that one, for headers and reports."""
    mavkit: Toolchain | None
    """What tests use that are to run on Mavkit; None if there is none."""

    def __str__(self) -> str:
        return f"{self.toolchain} ({self.reason})"


def choose(wanted: str, protocols: Sequence[Protocol]) -> Choice:
    """Choose by the value of ``--mavkit``: ``auto``, or as `toolchain_called` takes it.

    Raises:
        pytest.UsageError: it is none of them.
    """
    if wanted != AUTO:
        try:
            chosen = toolchain_called(wanted)
        except ValueError as error:
            raise pytest.UsageError(f"--mavkit {wanted}: {error}, nor '{AUTO}'") from error
        return Choice(chosen, "chosen", None if chosen.is_sandbox else chosen)
    mavkit = installed()
    missing = [name for name in _names(protocols) if _path(mavkit, name) is None]
    if missing:
        return Choice(SANDBOX, f"auto: no {missing[0]} in MAVKIT_BIN_DIR and PATH", None)
    return Choice(mavkit, "auto: found in MAVKIT_BIN_DIR or PATH", mavkit)


def description(choice: Choice, protocols: Sequence[Protocol]) -> list[str]:
    """Say in lines which executables these are: versions, paths, hashes. Runs and reads them."""
    lines = [f"mavryk: {choice}, {', '.join(protocol.tag for protocol in protocols)}"]
    if choice.toolchain.is_sandbox:
        folder = Path(__file__).resolve().parent.parent / "sandbox"
        version = importlib.metadata.version("accuser") if _is_installed() else "not installed"
        return [*lines, f"  sandbox of accuser {version}: {folder} sha256 {_folder_hash(folder)}"]
    if choice.toolchain.host is not None:
        # In one line, which is that of reports.
        image, *rest = _image_lines(choice.toolchain)
        named = f"mavryk: mavkit of {image} ({choice.reason}), {', '.join(rest)}"
        return [f"{named}, {', '.join(protocol.tag for protocol in protocols)}"]
    for name in _names(protocols):
        if (path := _path(choice.toolchain, name)) is None:
            lines.append(f"  {name}: not found")
        else:
            lines.append(f"  {name} {_version(path)}: {path} sha256 {_file_hash(path)}")
    return lines


def _image_lines(toolchain: Toolchain) -> list[str]:
    """What image it is; asks its engine, and has one of its executables tell its version."""
    from .._hosts.container.runner import ContainerRunner  # which most sessions never use

    assert isinstance(toolchain.host, ContainerRunner), "no other place is chosen by name"
    try:
        return toolchain.host.describe()
    except RunnerError as error:
        raise pytest.UsageError(f"--mavkit: {one_line(str(error))}") from error


def _names(protocols: Sequence[Protocol]) -> tuple[str, ...]:
    return ("mavkit-node", "mavkit-client", *(protocol.accuser_binary for protocol in protocols))


def _path(toolchain: Toolchain, name: str) -> Path | None:
    try:
        return Path(toolchain.command(name)[0])
    except BinaryNotFound:
        return None


def _is_installed() -> bool:
    return any(True for _ in importlib.metadata.distributions(name="accuser"))


def _version(path: Path) -> str:
    command = [str(path), "--version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=VERSION_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return "(it does not tell its version)"
    return (done.stdout.strip().splitlines() or ["(no version)"])[0][:60]


def _file_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:HASH_LENGTH]
    except OSError as error:
        return f"unknown: {error.strerror}"


def _folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:HASH_LENGTH]
