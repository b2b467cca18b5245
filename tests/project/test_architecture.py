"""The page that follows an event, a block and a signal through the files names what is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.(?:py|sh)):([\w.]+)`", PAGE)))


def names_in(path: Path) -> set[str]:
    """The functions and classes of a file, methods as ``Class.method``; of a shell script its functions."""
    if path.suffix == ".sh":
        return set(re.findall(r"^(\w+)\(\) \{$", path.read_text(), flags=re.M))
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (ast.FunctionDef, ast.AsyncFunctionDef)
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, methods)}
    return found


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_what_the_page_names_is_there(file: str, name: str) -> None:
    assert name in names_in(ROOT / "accuser" / file)


def test_the_page_names_steps_on_every_way() -> None:
    ways = re.split(r"^## ", PAGE, flags=re.M)[1:]
    assert [len(re.findall(r"`[\w/]+\.py:[\w.]+`", way)) > 5 for way in ways] == [True] * 3


def test_a_name_that_is_not_there_would_be_noticed() -> None:
    assert "Session.run" in names_in(ROOT / "accuser" / "_engine" / "session.py")
    assert "Session.walk" not in names_in(ROOT / "accuser" / "_engine" / "session.py")
    keeper = names_in(ROOT / "accuser" / "_hosts" / "remote" / "keeper.sh")
    assert {"main", "send", "lose"} <= keeper
    assert not {"walk", "trap", "cat"} & keeper
