"""Reports a failed recording when the daemons that it was of have stopped."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from .._unwrap import is_cancellation
from .writer import Recording


@contextmanager
def failure_told(recording: Recording | None) -> Generator[None]:
    """Run a daemon in the block, and tell of a recording of it that failed when the daemon is stopped.

    Raises:
        DirectoryError: the recording failed, was required, and the block raised nothing else but a
            cancellation. Another error of the block gets a note, since it says more.
    """
    try:
        yield
    except Exception as error:
        if (failure := _of(recording)) is not None and failure is not error:
            note = f"the recording failed: {failure}"
            if note not in getattr(error, "__notes__", ()):
                error.add_note(note)
        raise
    except BaseException as error:
        if is_cancellation(error) and (failure := _of(recording)) is not None:
            raise failure from None  # noqa: ASYNC104 - what was cancelled has ended
        raise
    if (failure := _of(recording)) is not None:
        raise failure


def _of(recording: Recording | None) -> Exception | None:
    return recording.failure if recording is not None and recording.required else None
