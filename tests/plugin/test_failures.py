"""Thirty failing tests: the fact that decides is in the first lines of each report, and in the bundle."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.projects import ROOT, Ended
from tests.tools.failing_tests import CASES, LINES, LONGEST, first_lines, name_of, report_of, run_in, table


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ended, Path]:
    return run_in(tmp_path_factory.mktemp("failing") / "project")


def test_each_tells_the_fact_that_decides(ran: tuple[Ended, Path]) -> None:
    ended, bundles = ran
    ended.count(failed=len(CASES))
    assert len(CASES) >= 30
    for title, (_, fact) in CASES.items():
        lines = first_lines(ended, title)
        assert len(lines) <= LINES
        assert any(fact in line for line in lines), (title, lines)
        report = (bundles / f"test_fails-{name_of(title)}" / "report.txt").read_text()
        assert fact in report, (title, report)


def test_none_is_long(ran: tuple[Ended, Path]) -> None:
    lengths = {title: len(report_of(ran[0], title)) for title in CASES}
    assert {title: length for title, length in lengths.items() if length > LONGEST} == {}


def test_the_engine_is_in_none(ran: tuple[Ended, Path]) -> None:
    for title in CASES:
        assert not [line for line in report_of(ran[0], title) if "/accuser/_engine/" in line], title


def test_the_document_has_them(ran: tuple[Ended, Path]) -> None:
    document = (ROOT / "docs" / "failures.md").read_text()
    for part in table(ran[0]).split("\n\n"):
        if not part.startswith("```"):
            assert part in document
