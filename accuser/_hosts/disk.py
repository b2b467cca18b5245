"""The disk of this machine, for hosts whose daemons have it."""

from __future__ import annotations

from pathlib import Path

from .._files import writing
from .host import Workspace


class OnThisDisk:
    """What a host answers about files, if its files are those of this machine."""

    # On a local file system this takes less than a switch of threads.

    def absolute(self, path: str | Path) -> Path:
        """The path, seen from the working directory."""
        return Path(path).absolute()

    async def make_folder(self, path: Path) -> None:
        """Make a folder and its parents, if it is not there. Raises `DirectoryError`."""
        if not path.is_dir():  # noqa: ASYNC240 - takes microseconds
            with writing(path):
                path.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - takes microseconds

    async def exists(self, path: Path) -> bool:
        """Whether there is something at ``path``."""
        return path.exists()  # noqa: ASYNC240 - takes microseconds

    async def write_new(self, path: Path, text: str) -> None:
        """Write a file, unless it is there. Raises `DirectoryError`."""
        with writing(path):
            if not path.exists():  # noqa: ASYNC240 - takes microseconds
                path.write_text(text, encoding="utf-8")  # noqa: ASYNC240 - takes microseconds

    async def discard(self, workspace: Workspace) -> str | None:
        """Remove a temporary directory, unless it was kept."""
        workspace.remove()
        return None
