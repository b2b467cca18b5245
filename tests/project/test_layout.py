"""The layout: packages with a direction, files and functions of a size that can be read."""

from __future__ import annotations

import ast
import itertools
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "accuser"
FILES: Final = sorted(path for folder in ("accuser", "tests") for path in (ROOT / folder).rglob("*.py"))

MODULES: Final = 9
"""How many may stand beside the packages."""
LINES: Final = 400
FUNCTION_LINES: Final = 60

UNDIVIDED: Final[set[str]] = set()
"""What is longer, and still to be divided. Nothing is to be added."""

TABLES: Final = {"tests/support/faults.py"}
"""Files that are data for the most part."""

LINT: Final = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def test_few_modules_stand_beside_the_packages() -> None:
    assert len(sorted(PACKAGE.glob("*.py"))) <= MODULES


def test_no_file_is_long() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}
    assert {
        name: lines for name, lines in long.items() if lines > LINES and name not in UNDIVIDED | TABLES
    } == {}


def functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The functions of a file, with their lengths."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


def test_no_function_is_long() -> None:
    long = {
        f"{path.relative_to(ROOT)}: {name}": lines
        for path in FILES
        for name, lines in functions(ast.parse(path.read_text()))
        if lines > FUNCTION_LINES
    }
    assert {name: lines for name, lines in long.items() if name not in UNDIVIDED} == {}


def test_every_package_says_what_it_is_for_and_what_it_may_import() -> None:
    packages = [path for path in FILES if path.name == "__init__.py" and path.parent.is_relative_to(PACKAGE)]
    assert len(packages) > 10
    silent = [
        str(path.relative_to(ROOT))
        for path in packages
        if path.parent != PACKAGE
        and "ay import" not in (ast.get_docstring(ast.parse(path.read_text())) or "")
    ]
    assert silent == []


def test_exceptions_for_linters_have_reasons() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in FILES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"# (?:noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\])$", line)
    ]
    assert bare == []


# What the linter of imports forbids, shown on copies that do it.


def contracts() -> list[dict[str, Any]]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        found: list[dict[str, Any]] = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    return found


def layers(container: str) -> list[str]:
    """A package of each layer, from the top."""
    (contract,) = (one for one in contracts() if one.get("containers") == [container])
    return [re.split(r" [|:] ", layer)[0] for layer in contract["layers"]]


def lint(folder: Path, *imports: tuple[str, str]) -> tuple[int, str]:
    """Lint a copy in which a module imports another one, for each of ``imports``; its status and output."""
    shutil.copytree(PACKAGE, folder / "accuser", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for module, imported in imports:
        path = folder.joinpath(*module.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        file.write_text(file.read_text() + f"\nimport {imported}\n")
    command = [sys.executable, "-c", LINT, "--no-cache"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    # The report wraps long lines.
    return done.returncode, re.sub(r"\s+", " ", done.stdout + done.stderr)


def test_the_layout_is_kept(tmp_path: Path) -> None:
    status, text = lint(tmp_path)
    assert (status, " 0 broken" in text) == (0, True), text


def test_a_package_that_imports_one_above_it_is_found(tmp_path: Path) -> None:
    order = layers("accuser")
    wrong = [(f"accuser.{below}", f"accuser.{above}") for above, below in itertools.pairwise(order)]
    assert len(wrong) > 10
    status, text = lint(tmp_path, *wrong)
    assert status == 1
    for below, above in wrong:
        assert f"{below} is not allowed to import {above}" in text, text


@pytest.mark.parametrize("other", ["local", "memory"])
def test_a_host_that_imports_another_one_is_found(tmp_path: Path, other: str) -> None:
    status, text = lint(tmp_path, ("accuser._hosts.ssh", f"accuser._hosts.{other}"))
    assert status == 1
    assert f"accuser._hosts.ssh is not allowed to import accuser._hosts.{other}" in text


def test_trio_is_found_in_whatever_module_of_the_stream(tmp_path: Path) -> None:
    modules = {f"accuser._stream.{path.stem}" for path in (PACKAGE / "_stream").glob("[!_]*.py")}
    pure = sorted(modules - {"accuser._stream.history"})
    assert len(pure) > 3
    status, text = lint(tmp_path, *((module, "trio") for module in pure))
    assert status == 1
    for module in pure:
        assert f"{module} is not allowed to import trio" in text, text
