"""Temporary directories elsewhere."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import attrs

from ..._files import safe_name


@attrs.define(eq=False, repr=False)
class RemoteWorkspace:
    """A temporary directory there: a name, until the runner makes it."""

    name: str
    root: PurePosixPath
    kept: bool = attrs.field(default=False, init=False)
    loose: bool = attrs.field(default=True, init=False)
    """Whether no keeper of a session has it, who removes it if we are lost."""
    _path: Path | None = attrs.field(default=None, init=False)
    _tell: Callable[[], object] | None = attrs.field(default=None, init=False)
    """Tells whoever removes the directory if we are lost to leave it alone."""

    @property
    def path(self) -> Path:
        """The directory, as in ``/tmp/accuser-accuser1-5f0c93aa``; no I/O."""
        if self._path is None:
            self._path = Path(self.root / f"accuser-{safe_name(self.name)}-{secrets.token_hex(4)}")
        return self._path

    @property
    def made(self) -> Path | None:
        """The directory, if anybody has asked for it."""
        return self._path

    def folder(self, name: str) -> Path:
        """A folder in it; no I/O."""
        return self.path / safe_name(name)

    def keep(self) -> Path | None:
        """Never remove the directory; return it, or None if nobody has asked for it."""
        self.kept = True
        if self._tell is not None:
            self._tell()
        return self._path

    def for_pipe(self) -> RemoteWorkspace:
        """Itself: ``temp_dir`` is a path that the sink can take."""
        return self

    def when_kept(self, tell: Callable[[], object]) -> None:
        """Have the keeper of a session hold it, who is told by ``tell`` to leave it alone."""
        self._held_by(tell, loose=False)

    def when_dropped(self, tell: Callable[[], object]) -> None:
        """Have the warden hold it, who is told by ``tell`` to leave it alone."""
        self._held_by(tell, loose=True)

    def _held_by(self, tell: Callable[[], object], *, loose: bool) -> None:
        before, was_loose = self._tell, self.loose
        self._tell, self.loose = tell, loose
        if before is not None and was_loose is not loose:
            before()
        if self.kept:
            tell()

    def remove(self) -> None:
        """Forget the directory, unless it was kept; the runner has removed it."""
        if not self.kept:
            if self._tell is not None and self.loose:
                self._tell()
            self._path, self._tell, self.loose = None, None, True
