"""The files of one test: the recording of its daemons, and the failure bundle that it becomes."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from .._daemons.client import Client
from .._daemons.daemon import Daemon
from .._daemons.node import Node
from .._files import safe_name
from .._hosts.container.runner import ContainerRunner
from .._hosts.remote.runner import Runner
from .._recording.entries import STRUCTURE, Line
from .._recording.reader import read_entries
from .._recording.writer import Recording
from .._report import signal_name
from .._text import HIDDEN, is_secret_name, secrets
from ..timeline import timeline_page
from ._facts import DaemonFacts, Deed, deeds_of, facts_of
from ._story import Story

RECORDING: Final = "run.jsonl"
_NOT_KEPT: Final = ("secret_keys", "identity.json")
"""Files with keys."""
LARGEST_TEXT: Final = 16 * 1024 * 1024
"""Bytes of a file that is searched for secrets."""
_TELLING: Final = re.compile(r"MAVKIT_|MAVRYK_|ACCUSER_|(PATH|TMPDIR|LANG|LC_ALL|PYTHONPATH)$")


@attrs.define(eq=False, repr=False)
class Bundle:
    """A folder that is removed when the test has passed."""

    test: str
    """Its pytest node id."""
    executables: Sequence[str]
    """What is known about them, in lines; the first one stands for all."""
    folder: Path
    home: Path | None
    """Where it goes to when the test has failed; None to stay where it is."""
    recording: Recording = attrs.field(init=False)
    story: Story = attrs.field(init=False)
    kept: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.recording = Recording(self.folder / RECORDING)
        self.story = Story(self.recording)

    @classmethod
    def make(cls, test: str, executables: Sequence[str], work: Path, home: Path | None) -> Bundle:
        return cls(test, executables, _fresh(work, test), home)

    def keep_files_of(self, node: Node) -> None:
        """Copy a node's configuration, and the logs that it wrote, before its folder goes."""
        if not _is_here(node.runner):
            return
        target = self.folder / safe_name(node.name)
        # What is missing here is no reason for a test to fail.
        with contextlib.suppress(OSError):
            target.mkdir(exist_ok=True)
            shutil.copy(node.data_dir / "config.json", target)
            if (logs := node.data_dir / "daily_logs").is_dir():
                shutil.copytree(logs, target / "daily_logs", dirs_exist_ok=True)

    def keep_volume_of(self, owner: Node | Client) -> None:
        """Copy the data directory or wallet that a container has, without keys, before it goes."""
        if not isinstance(owner.runner, ContainerRunner):
            return
        folder = owner.data_dir if isinstance(owner, Node) else owner.base_dir
        with contextlib.suppress(OSError):
            target = self.folder / safe_name(owner.name)
            shutil.copytree(folder, target, dirs_exist_ok=True, ignore=_not_kept)

    def take_folder_of(self, daemon: Daemon, error: Exception) -> None:
        """Move the folder of a daemon that failed, which it kept, to the other files of the test."""
        kept = daemon.kept_directory
        if not _is_here(daemon.runner) or kept is None or not kept.exists():
            return
        target = self.folder / safe_name(daemon.name)
        with contextlib.suppress(OSError):
            shutil.copytree(kept, target, dirs_exist_ok=True, ignore=_not_kept)
            shutil.rmtree(kept)
            if isinstance(daemon.runner, ContainerRunner):
                daemon.runner.taken_away(kept)
            error.__notes__ = [note for note in getattr(error, "__notes__", ()) if str(kept) not in note]
            error.add_note(f"the files of {daemon.name} are in the failure bundle")

    def was_killed(self, daemon: Daemon) -> bool:
        """Whether a daemon that was to stop died of a signal that was not for that.

        A process takes a moment to die. One that the test killed last is still there when it is
        asked to stop, and its session ends as if it had obeyed.
        """
        status = daemon.exit_status
        if status is None or status >= 0 or daemon.exit_is_expected:
            return False
        facts = {facts.name: facts for facts in self.facts()}.get(daemon.name)
        return facts is not None and signal_name(-status) not in facts.stopped_with

    def facts(self) -> list[DaemonFacts]:
        """What the daemons did so far."""
        return facts_of(read_entries(self.recording.path)) if self.recording.path.exists() else []

    def deeds(self) -> list[Deed]:
        """What the test did so far."""
        return deeds_of(read_entries(self.recording.path)) if self.recording.path.exists() else []

    def write(self, report: str, began_with: Mapping[str, str]) -> Path | None:
        """Complete the bundle, and keep it; return its place, None if there is no recording.

        Args:
            report: the text for ``report.txt``.
            began_with: the environment when pytest began.

        Raises `OSError` when the disk does not take it.
        """
        path = self.recording.path
        if not path.exists():
            return None
        self.kept = True
        secrets.learn_environment({**began_with, **os.environ})
        if self.home is not None:
            self.home.mkdir(parents=True, exist_ok=True)
            moved = _fresh(self.home, self.test)
            shutil.copytree(self.folder, moved, dirs_exist_ok=True)
            shutil.rmtree(self.folder)
            self.folder, path = moved, moved / RECORDING
        # What became known as a secret only later.
        path.write_bytes(secrets.hide_in_json(path.read_bytes(), STRUCTURE))
        _write_logs(path)
        (self.folder / "report.txt").write_text(secrets.hide(f"{self.test}\n\n{report}\n"), "utf-8")
        environment = secrets.hide(self._environment(began_with))
        (self.folder / "environment.txt").write_text(environment, "utf-8")
        (self.folder / "timeline.html").write_text(timeline_page(path, self.test), "utf-8")
        make_private(self.folder)
        return self.folder

    def remove(self) -> None:
        """Remove the folder, unless it is kept."""
        if not self.kept:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _environment(self, began_with: Mapping[str, str]) -> str:
        names = ("accuser", "trio", "pytest", "pytest-trio", "msgspec")
        versions = (f"{name} {_version(name)}" for name in names)
        lines = [f"Python {platform.python_version()}, {platform.platform()}", ", ".join(versions)]
        lines += ["", *self.executables, "", "In the environment of the daemons:"]
        lines += [_shown(name, value) for name, value in sorted(os.environ.items()) if _TELLING.match(name)]
        lines.append("MAVRYK_EVENTS_CONFIG=... (the sink's URI, different for each daemon)")
        lines += ["", "Different from when pytest began:"]
        for name in sorted(began_with.keys() | os.environ.keys()):
            if name != "PYTEST_CURRENT_TEST" and began_with.get(name) != os.environ.get(name):
                lines.append(_shown(name, os.environ.get(name)))
        return "\n".join([*lines, ""])


def _is_here(runner: Runner | None) -> bool:
    return runner is None or runner.has_files_here


def _not_kept(folder: str, names: list[str]) -> set[str]:
    """Files with keys, and what is no file, as pipes are."""
    found = {name for name in names if name in _NOT_KEPT}
    return found | {
        name for name in names if not (Path(folder, name).is_file() or Path(folder, name).is_dir())
    }


def _write_logs(recording: Path) -> None:
    with contextlib.ExitStack() as stack:
        files = {}
        for entry in read_entries(recording):
            if isinstance(entry, Line):
                name = f"{safe_name(entry.daemon)}-{entry.stream}.log"
                if name not in files:
                    files[name] = stack.enter_context((recording.parent / name).open("w", encoding="utf-8"))
                files[name].write(f"{entry.t:.3f} {entry.text}\n")


def make_private(folder: Path) -> None:
    """Let nobody else read what is in a folder, and leave no secret in its texts."""
    folder.chmod(0o700)
    for path in folder.rglob("*"):
        if path.is_symlink():
            continue
        path.chmod(0o700 if path.is_dir() else 0o600)
        # The recording was written without; others are copies of what daemons wrote.
        if path.is_file() and path.name != RECORDING and path.stat().st_size <= LARGEST_TEXT:
            text = path.read_text("utf-8", "surrogateescape")
            if (said := secrets.hide(text)) != text:
                path.write_text(said, "utf-8", "surrogateescape")


def _fresh(parent: Path, test: str) -> Path:
    """Make a folder whose name tells the test, and is not taken by one of another run."""
    path, words = test.partition("::")[::2]
    stem = safe_name(f"{Path(path).stem}-{words}" if words else path)
    number, folder = 1, parent / stem
    while True:
        try:
            folder.mkdir(0o700)
        except FileExistsError:
            number, folder = number + 1, parent / f"{stem}-{number + 1}"
        else:
            return folder


def _shown(name: str, value: str | None) -> str:
    if value is None:
        return f"{name} is not set"
    return f"{name}={HIDDEN if is_secret_name(name) else value}"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"
