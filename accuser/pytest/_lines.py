"""What pytest's own lines about failed tests have no room for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import pytest

TITLE: Final = "Mavryk daemons"
"""Of the section in reports of tests that have daemons."""
_DECISIVE: Final = 30
"""Characters of a message that hold what decides, or begin it; of a wait, all up to its time do."""
_ON_CI: Final = ("CI", "BUILD_NUMBER")
"""Where one of these is set, pytest cuts nothing."""


def cut_off(reporter: pytest.TerminalReporter, config: pytest.Config) -> Iterator[str]:
    """What the summary's lines do not tell of tests that have daemons, because their names are long.

    Pytest cuts ``FAILED test - message`` at the end of the line, and leaves the message out where only
    its first letters would fit.
    """
    whole = config.option.verbose >= 2 or any(os.environ.get(name) for name in _ON_CI)
    if "f" not in reporter.reportchars or (
        whole and not getattr(config.option, "force_short_summary", False)
    ):
        return
    width = config.get_terminal_writer().fullwidth
    for report in reporter.stats.get("failed", ()):
        message = getattr(getattr(report.longrepr, "reprcrash", None), "message", "").split("\n", 1)[0]
        if not message or TITLE not in dict(report.sections):
            continue
        room = width - len(f"FAILED {report.nodeid} - ")
        waited_for, _, rest = message.partition(" within ")
        needed = len(waited_for) if rest and message.startswith("no ") else min(len(message), _DECISIVE)
        if room < len(message) and room - len("...") < needed:
            yield f"{report.nodeid.rpartition('::')[2]}"
            yield f"  {message}"
