"""What a failed test's report gets: the cause first, a section about the daemons, a bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from _pytest._code.code import (  # what reports are made of; there is no public name for it
    ExceptionChainRepr,
    ExceptionRepr,
    ReprEntryNative,
    ReprTraceback,
)

from .._errors import RecordingError
from ._bundle import Bundle
from ._facts import DaemonFacts
from ._text import section, summary


def tell(
    report: pytest.TestReport, error: BaseException, bundle: Bundle, began_with: Mapping[str, str]
) -> None:
    """Write the bundle of a failed test, and tell in its report what is known."""
    facts: list[DaemonFacts] = []
    text = executables = bundle.executables[0]
    try:
        facts = bundle.facts()
        text = section(facts, executables)
        place = str(bundle.write(text, began_with) or "none: no daemon was started")
    except (OSError, RecordingError) as fault:
        # The test's own failure is what matters.
        place = f"{bundle.folder} is incomplete: {fault}"
    _put_first(report, summary(error, facts, executables, place))
    report.sections.append(("Mavryk daemons", f"failure bundle: {place}\n{text}"))


def _put_first(report: pytest.TestReport, lines: Sequence[str]) -> None:
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
