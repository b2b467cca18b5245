"""What came of the seeds of a search, on the disk as soon as it is there.

Invariants:
1. A line of the file is one seed that is done with, whole; a search can go on with a file that was cut off
   anywhere.
2. A line that is in the file stays in it. Only a search that begins anew replaces the file, as soon as it has
   a result of its own; a file that is none of ours is never touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import attrs
import msgspec

from .examining import Judged, Result

RESULTS: Final = "results.jsonl"


class OtherSearch(ValueError):
    """The results in a folder are of another search."""


class NoResults(ValueError):
    """A file in the place of the results is something else."""


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    judged: Judged
    version: int = 1


@attrs.define(eq=False, repr=False)
class Results:
    """The results of a search, in a folder, in the order in which they came."""

    folder: Path
    judged: Judged
    done: dict[int, Result] = attrs.field(factory=dict, init=False)
    _file: BinaryIO | None = attrs.field(default=None, init=False)

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / RESULTS

    @contextmanager
    def open(self, *, resume: bool) -> Iterator[None]:
        """Go on with what is there, or begin anew with the first result that is added.

        Raises:
            OtherSearch: what is there is of another accuser.
            NoResults: what is there is no file of results.
            OSError: the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            whole = self._read(resume=resume)
            if resume and whole:
                self._file = self.path.open("r+b")
                self._file.truncate(whole)
                self._file.seek(whole)
        try:
            yield
        finally:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _head(self) -> bytes:
        return msgspec.json.encode(_Head(judged=self.judged)) + b"\n"

    def _read(self, *, resume: bool) -> int:
        """Take the results that are there, if they are wanted; how many bytes have whole lines."""
        data = self.path.read_bytes()
        # What has no line end was cut off.
        head, *lines = data.split(b"\n")
        if not lines:
            if self._head().startswith(head):
                return 0
            raise NoResults(f"{self.path} is no file of results: take another --out")
        try:
            found = msgspec.json.decode(head, type=_Head)
        except msgspec.DecodeError as error:
            raise NoResults(f"{self.path} is no file of results: {error}; take another --out") from error
        if not resume:
            return 0
        if found.judged != self.judged:
            raise OtherSearch(f"the results in {self.folder} are of another accuser: take another --out")
        for number, line in enumerate(lines[:-1], 2):
            try:
                result = msgspec.json.decode(line, type=Result)
            except msgspec.DecodeError as error:
                raise NoResults(f"{self.path}, line {number}: this is no result: {error}") from error
            self.done[result.seed] = result
        return len(data) - len(lines[-1])

    def add(self, line: bytes) -> Result:
        """Keep a result, on the disk too."""
        result = msgspec.json.decode(line, type=Result)
        if self._file is None:
            self._file = self.path.open("wb")
            self._file.write(self._head())
        self._file.write(line + b"\n")
        self._file.flush()
        self.done[result.seed] = result
        return result

    def missing(self, seeds: Sequence[int]) -> list[int]:
        """The seeds that are not done."""
        return [seed for seed in seeds if seed not in self.done]
