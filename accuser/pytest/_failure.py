"""What a failed test's report gets: the cause first, a section about the daemons, a bundle."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs
import pytest
from _pytest._code.code import (  # what reports are made of; there is no public name for it
    ExceptionChainRepr,
    ExceptionRepr,
    ReprEntry,
    ReprEntryNative,
    ReprTraceback,
)

from .._errors import AccuserError, RecordingError
from .._text import secrets
from ._bundle import Bundle
from ._facts import DaemonFacts, Deed
from ._frames import hide_engine, is_of_engine
from ._lines import TITLE
from ._text import headline, in_full, overview, section, story, summary


@attrs.define(eq=False, repr=False)
class Telling:
    """The report of one test that has failed."""

    item: pytest.Item
    error: BaseException

    @property
    def _at_length(self) -> bool:
        return bool(self.item.config.getoption("verbose", 0) >= 2)

    @property
    def _with_engine(self) -> bool:
        # Without pytest's terminal there is no such option.
        return bool(self.item.config.getoption("fulltrace", False))

    def hide_engine(self, call: pytest.CallInfo[None]) -> None:
        """Leave the frames of the engine out, but with ``--full-trace``."""
        if not self._with_engine:
            hide_engine(self.error)
            call.excinfo = pytest.ExceptionInfo.from_exception(self.error)

    def shorten(self, report: pytest.TestReport) -> None:
        """Begin the line about a test that has its daemons by blocks with what decides; it has no bundle."""
        _hide_secrets(report)
        _set_crash(report, headline(self.error, ()))

    @contextmanager
    def plain(self, call: pytest.CallInfo[None]) -> Generator[None]:
        """In the block, which makes the report: show no frames of the engine, and no notes.

        ``--full-trace`` shows the frames. What notes say, the summary says shortly, and ``report.txt`` whole.
        """
        self.hide_engine(call)
        notes = [] if self._at_length else list(_noted(self.error))
        for error, _ in notes:
            error.__notes__ = []
        try:
            yield
        finally:
            for error, texts in notes:
                error.__notes__ = texts

    def tell(self, report: pytest.TestReport, bundle: Bundle, began_with: Mapping[str, str]) -> None:
        """Write the bundle, and tell in the report what is known."""
        facts: list[DaemonFacts] = []
        deeds: list[Deed] = []
        executables = text = bundle.executables[0]
        never_awaited: Sequence[str] = ()
        try:
            # What failed after the test itself, its daemons' ends among it, is noticed here.
            late = bundle.story.failure is None
            bundle.story.failed(self.error)
            bundle.story.enter(None, "failed" if late else "passed")
            never_awaited = bundle.story.never_awaited
            facts, deeds = bundle.facts(), bundle.deeds()
            text = f"{story(deeds)}\n\n{section(facts, executables)}"
            first = summary(self.error, facts, executables, "this one", never_awaited)
            whole = [*first, *_notes_of(self.error), "", text, "", str(report.longrepr)]
            place = str(bundle.write("\n".join(whole), began_with) or "none: it has no recording")
        except (OSError, RecordingError) as fault:
            # The test's own failure is what matters.
            place = f"{bundle.folder} is incomplete: {fault}"
        secrets.learn_environment(began_with)
        brief = not (self._at_length or self._with_engine)
        if brief and (isinstance(self.error, BaseExceptionGroup) or is_of_engine(self.error)):
            _shorten(report, in_full(self.error))
        _hide_secrets(report)
        _put_first(report, summary(self.error, facts, executables, place, never_awaited))
        _set_crash(report, headline(self.error, facts))
        said = text if self._at_length else overview(deeds, facts)
        report.sections.append((TITLE, secrets.hide(f"failure bundle: {place}\n{said}")))


def _errors_in(error: BaseException) -> Iterator[BaseException]:
    yield error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _errors_in(inner)
    if error.__cause__ is not None:
        yield from _errors_in(error.__cause__)


def _noted(error: BaseException) -> Iterator[tuple[BaseException, list[str]]]:
    for one in _errors_in(error):
        if isinstance(one, AccuserError) and (texts := getattr(one, "__notes__", None)):
            yield one, texts


def _notes_of(error: BaseException) -> list[str]:
    return [line for _, texts in _noted(error) for text in texts for line in text.splitlines()]


def _put_first(report: pytest.TestReport, lines: Sequence[str]) -> None:
    lines = [secrets.hide(line) for line in lines]
    longrepr = report.longrepr
    if not isinstance(longrepr, ExceptionRepr):
        report.longrepr = "\n".join([*lines, "", str(longrepr)])
        return
    if isinstance(longrepr, ExceptionChainRepr):
        chain = list(longrepr.chain)
    else:
        chain = [(longrepr.reprtraceback, longrepr.reprcrash, None)]
    first = ReprTraceback([ReprEntryNative([f"{line}\n" for line in lines])], None, "native")
    replaced = ExceptionChainRepr([(first, None, "In full:"), *chain])
    replaced.sections = longrepr.sections
    report.longrepr = replaced


def _shorten(report: pytest.TestReport, lines: Sequence[str]) -> None:
    """Put lines in the place of what pytest writes of an exception group, which is long."""
    longrepr = report.longrepr
    crash = getattr(longrepr, "reprcrash", None)
    entries = [ReprEntryNative([f"{line}\n" for line in lines])]
    report.longrepr = ExceptionChainRepr([(ReprTraceback(entries, None, "native"), crash, None)])


def _set_crash(report: pytest.TestReport, message: str) -> None:
    """Let pytest's line about the test begin with what happened, before it is cut."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None and message:
        crash.message = secrets.hide(message)


def _hide_secrets(report: pytest.TestReport) -> None:
    """Arguments, variables and lines of code are in a report too."""
    longrepr = report.longrepr
    for traceback, crash, _ in getattr(longrepr, "chain", ()):
        if crash is not None:
            crash.message = secrets.hide(crash.message)
        for entry in traceback.reprentries:
            entry.lines[:] = [secrets.hide(line) for line in entry.lines]
            if isinstance(entry, ReprEntry) and entry.reprfuncargs is not None:
                args = [(name, secrets.hide(str(value))) for name, value in entry.reprfuncargs.args]
                entry.reprfuncargs.args = args
            if isinstance(entry, ReprEntry) and entry.reprlocals is not None:
                entry.reprlocals.lines = [secrets.hide(line) for line in entry.reprlocals.lines]
    report.sections[:] = [(title, secrets.hide(text)) for title, text in report.sections]
