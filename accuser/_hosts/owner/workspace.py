"""Temporary directories: predictable names, removed on success, kept on request."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

import attrs
import trio

from ..._files import safe_name, writing
from ..paths import expressible_place, is_expressible
from .guardian import guardian


@attrs.define(eq=False, weakref_slot=True)
class Workspace:
    """A directory of one daemon, made when first asked for.

    It is removed by `remove`, and at the latest when this object is collected, the interpreter ends
    or the guardian finds it without owner, unless it was kept.
    """

    name: str
    parent: Path | None = None
    """Where it is made; None for the usual place."""
    guarded: bool = True
    """Whether the guardian, which is a process, removes it if this process cannot."""
    kept: bool = attrs.field(default=False, init=False)
    _path: Path | None = attrs.field(default=None, init=False)
    _tell: Callable[[], object] | None = attrs.field(default=None, init=False)
    _folders: list[Path] = attrs.field(factory=list, init=False)
    """What was made in it here."""
    _key: str = attrs.field(default="", init=False)
    _finalizer: weakref.finalize[..., Workspace] | None = attrs.field(default=None, init=False)

    @property
    def path(self) -> Path:
        """The directory, as in ``/tmp/accuser-accuser1-k2x9``. Raises `DirectoryError`."""
        if self._path is not None and not self.kept and not self._path.is_dir():
            # Something that clears up, as of a machine's /tmp, has removed it.
            self.remove()
        if self._path is None:
            self._make()
            assert self._path is not None
        return self._path

    @trio.lowlevel.enable_ki_protection
    def _make(self) -> None:
        place = self.parent or _place()
        # What no guardian tells of, the name does: whose it is.
        owner = "" if self.guarded else f"of-{os.getpid()}-"
        with writing(place):
            path, key = new_folder(place, f"accuser-{safe_name(self.name)}-{owner}", guarded=self.guarded)
        self._path, self._key = path, key
        self._finalizer = self._finalized(path)

    @property
    def made(self) -> Path | None:
        """The directory, if it was made."""
        return self._path

    def folder(self, name: str) -> Path:
        """A folder in it, made if it is not there."""
        path = self.path / safe_name(name)
        if not path.is_dir():
            with writing(path):
                path.mkdir(exist_ok=True)
            self._folders.append(path)
        return path

    def keep(self) -> Path | None:
        """Never remove the directory; return it, or None if there is none."""
        self.kept = True
        if self._tell is not None:
            self._tell()
        if self._finalizer is not None:
            self._finalizer.detach()
            self._finalizer = None
            if self.guarded:
                guardian.forget(self._key)
        return self._path

    def keep_no_longer(self) -> None:
        """Have it removed in the end, after all: what was to be kept of it is elsewhere."""
        if self.kept and self._path is not None:
            self.kept = False
            self._key = guardian.add_path(self._path) if self.guarded else ""
            self._finalizer = self._finalized(self._path)

    def _finalized(self, path: Path) -> weakref.finalize[..., Workspace]:
        return weakref.finalize(self, _remove, path, self._folders, self._key, os.getpid())

    def for_pipe(self) -> Workspace:
        """Where the event pipe goes: here, or elsewhere if the sink cannot take this path."""
        return self if is_expressible(self.path) else attrs.evolve(self, parent=expressible_place())

    def when_kept(self, tell: Callable[[], object]) -> None:
        """Call ``tell`` when it is to be kept, at once if it is already."""
        self._tell = tell
        if self.kept:
            tell()

    def remove(self) -> None:
        """Remove the directory, unless it was kept. The next use makes another one."""
        if self._finalizer is not None:
            self._finalizer()
            self._finalizer = None
            self._path = None


@trio.lowlevel.enable_ki_protection
def new_folder(place: Path, prefix: str, *, guarded: bool = True) -> tuple[Path, str]:
    """Make a directory that nobody else may read; return it and the guardian's key, "" if not guarded.

    Raises `OSError`.
    """
    # Not mkdtemp: the guardian is to know of it before it is there.
    while True:
        path = (place / f"{prefix}{secrets.token_hex(4)}").absolute()
        key = guardian.announce_path(path) if guarded else ""
        try:
            path.mkdir(0o700)
            return path, key
        except BaseException as error:  # noqa: ASYNC103 - no checkpoint, no Cancelled
            if key:
                guardian.forget(key)
            if not isinstance(error, FileExistsError):
                raise


def _place() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        # No folder can be written to: the error is to name the one that was asked for.
        return Path(os.environ.get("TMPDIR") or "/tmp")


def _remove(path: Path, folders: list[Path], key: str, pid: int) -> None:
    # A forked child has a copy of the object, and may run exit handlers while the parent goes on.
    if os.getpid() == pid:
        try:
            # Nearly always nothing else is left, and to look for it takes twice as long as this.
            while folders:
                os.rmdir(folders.pop())
            os.rmdir(path)
        except OSError:
            shutil.rmtree(path, ignore_errors=True)
        if key:
            guardian.drop(key)
