"""No private name of one package is reached from another; no file or function grows without bound."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import accuser

ROOT = Path(accuser.__file__).parent
LONGEST_FILE = 400
LONGEST_FUNCTION = 60
MEASURED = ("_daemons", "_engine", "_hosts")

Trees = dict[Path, ast.Module]


def parsed(root: Path) -> Trees:
    return {path: ast.parse(path.read_text("utf-8")) for path in sorted(root.rglob("*.py"))}


def package_of(path: Path, root: Path) -> str:
    """The package that stands directly in the root; of a module there, the module."""
    return path.relative_to(root).parts[0]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def defined_in(tree: ast.Module) -> Iterator[str]:
    """Names that a module gives to attributes, functions, classes and variables."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name


def reached_in(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            yield node.lineno, node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, alias.name) for alias in node.names if is_private(alias.name))


KNOWN = {
    "_exit",  # of `os`, where nothing of this process is to be run any more
    # Of `atexit` and `threading`: the end of an interpreter, for a process that was forked, not executed.
    "_clear",
    "_run_exitfuncs",
    "_shutdown",
}


def trespasses(root: Path) -> list[str]:
    """Where a module reaches a private name that its package does not define."""
    trees = parsed(root)
    defined: defaultdict[str, set[str]] = defaultdict(set)
    for path, tree in trees.items():
        defined[package_of(path, root)].update(defined_in(tree))
    modules = {path.stem for path in trees} | {path.parent.name for path in trees}
    return [
        f"{path.relative_to(root)}:{line}: {name}"
        for path, tree in trees.items()
        for line, name in reached_in(tree)
        if name not in defined[package_of(path, root)] | KNOWN | modules
    ]


def test_no_private_name_of_another_package_is_reached() -> None:
    assert trespasses(ROOT) == []


@pytest.mark.parametrize(
    "line",
    [
        "print(daemon._workspace.made)",
        "from .._daemons.waits import _wanted",
        "daemon._session = None; x._next",
    ],
)
def test_a_trespass_is_seen(tmp_path: Path, line: str) -> None:
    for package, text in (("one", "class A:\n    def _workspace(self): ...\n"), ("two", line)):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(text + "\n")
    assert len(trespasses(tmp_path)) == 1


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, without its docstring and decorators."""
    assert node.end_lineno is not None
    lines = node.end_lineno - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        assert first.end_lineno is not None
        lines -= first.end_lineno - first.lineno + 1
    return lines


@pytest.mark.parametrize("package", MEASURED)
def test_no_file_and_no_function_is_long(package: str) -> None:
    for path, tree in parsed(ROOT / package).items():
        assert len(path.read_text("utf-8").splitlines()) <= LONGEST_FILE, path
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert length(node) < LONGEST_FUNCTION, (path, node.name)
