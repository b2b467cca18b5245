"""What a test did, written into its recording: its phases, and what it failed with, at the moment of it."""

from __future__ import annotations

import contextlib
import functools
import inspect
import time
import traceback
import types
import warnings
from collections.abc import Callable, Coroutine, Generator, Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from .._recording.doings import failure_told, phase_told
from .._recording.writer import Recording
from .._unwrap import is_cancellation
from ._frames import is_engine

MESSAGE: Final = 4_000
PLACES: Final = 12
"""Calls of a traceback, the innermost."""


_NO_FAILURES: Final = (pytest.skip.Exception, pytest.xfail.Exception, pytest.exit.Exception)


@attrs.define(eq=False, repr=False)
class Story:
    """One test; see `follow`."""

    recording: Recording
    phase: str | None = attrs.field(default="setup", init=False)
    """The present one; None after the last."""
    failure: BaseException | None = attrs.field(default=None, init=False)
    """What was written down."""
    never_awaited: list[str] = attrs.field(factory=list, init=False)
    """Coroutines that were made and dropped."""
    _begun: float = attrs.field(factory=time.monotonic, init=False)

    def follow(
        self, test: Callable[..., Coroutine[Any, Any, Any]], stop_at: Callable[[BaseException], object]
    ) -> Callable[..., Coroutine[Any, Any, Any]]:
        """The test, which tells when it begins, ends and fails.

        Args:
            test: an asynchronous function.
            stop_at: is called with its error while its daemons still run.
        """

        @functools.wraps(test)
        async def followed(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            self.enter("call")
            try:
                with self._watching_coroutines():
                    result = await test(*args, **kwargs)
            except BaseException as error:
                if isinstance(error, _NO_FAILURES):
                    self.enter("teardown", "skipped")
                    raise
                if not is_cancellation(error):
                    self.failed(error)
                    stop_at(error)
                self.enter("teardown", "failed")
                raise
            self.enter("teardown")
            return result

        return followed

    def enter(self, phase: str | None, outcome: str = "passed") -> None:
        """Go on to the next phase; None is the end."""
        if self.phase is not None:
            phase_told(self.phase, self._begun, outcome, self.recording)
        self.phase, self._begun = phase, time.monotonic()

    def failed(self, error: BaseException) -> None:
        """Write down what the test failed with, unless that is done."""
        if self.failure is not None:
            return
        self.failure = error
        with contextlib.suppress(Exception):  # of its own text
            self.never_awaited += _unawaited_in(error)
            text = "\n".join([str(error), *getattr(error, "__notes__", ())])[:MESSAGE]
            failure_told(type(error).__name__, text, tuple(_places(error)), self.recording)

    @contextlib.contextmanager
    def _watching_coroutines(self) -> Generator[None]:
        """Note the coroutines that nobody awaits; the warning comes as ever, if it is shown."""
        # What the interpreter calls; it is a function of the module, but undocumented.
        warn = getattr(warnings, "_warn_unawaited_coroutine", None)
        if warn is None:
            yield
            return

        def noted(coroutine: Any) -> None:
            self.never_awaited.append(getattr(coroutine, "__qualname__", "?"))
            warn(coroutine)

        warnings._warn_unawaited_coroutine = noted  # type: ignore[attr-defined]  # no public name for it
        try:
            yield
        finally:
            warnings._warn_unawaited_coroutine = warn  # type: ignore[attr-defined]  # no public name for it


def _frames(error: BaseException) -> Iterator[tuple[types.FrameType, int]]:
    """Of the error, and of the errors in it."""
    yield from traceback.walk_tb(error.__traceback__)
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _frames(inner)


def _places(error: BaseException) -> list[str]:
    """The calls of the test's own code that led to an error, the innermost last."""
    found = []
    for frame, line in _frames(error):
        if not is_engine(frame.f_code.co_filename):
            path = Path(frame.f_code.co_filename)
            with contextlib.suppress(ValueError):
                path = path.relative_to(Path.cwd())
            found.append(f"{path}:{line} in {frame.f_code.co_name}")
    return found[-PLACES:]


def _unawaited_in(error: BaseException) -> list[str]:
    """Coroutines that the test has kept in a variable, and never begun."""
    return [
        value.__qualname__
        for frame, _ in _frames(error)
        if not is_engine(frame.f_code.co_filename)
        for value in frame.f_locals.values()
        if inspect.iscoroutine(value) and inspect.getcoroutinestate(value) == inspect.CORO_CREATED
    ]
