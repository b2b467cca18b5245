"""The types of waits are few; what they say is in `tests.types.results`, which mypy and pyright read."""

from __future__ import annotations

import ast
from pathlib import Path

import accuser

OVERLOADS_BEFORE = 14


def test_there_are_few_overloads() -> None:
    source = (Path(accuser.__file__).parent / "_daemons" / "observed.py").read_text()
    decorators = [
        decorator
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for decorator in node.decorator_list
    ]
    overloads = [one for one in decorators if isinstance(one, ast.Name) and one.id == "overload"]
    assert 0 < len(overloads) < OVERLOADS_BEFORE


def test_both_checkers_read_the_results() -> None:
    root = Path(__file__).parents[2]
    assert (root / "tests" / "types" / "results.py").exists()
    assert '"pyright", "tests/types"' in (root / "noxfile.py").read_text()
