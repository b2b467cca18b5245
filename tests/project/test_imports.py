"""What the package's files import: no circles, and what each package says that it may."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PATHS: Final = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "accuser").rglob("*.py"))
}
PACKAGES: Final = [name for name, path in PATHS.items() if path.name == "__init__.py" and name != "accuser"]
LEAVES: Final = {
    f"accuser.{name}" for name in ("_unwrap", "_checks", "_files", "_logs", "_errors", "_report", "_text")
}


@functools.cache
def imported(name: str) -> frozenset[str]:
    """The files of the package that a file imports, also for type checkers alone."""
    return frozenset(_imported(name))


def _imported(name: str) -> Iterator[str]:
    path = PATHS[name]
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in PATHS)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                found = f"{base}.{alias.name}"
                if found in PATHS or base in PATHS:
                    yield found if found in PATHS else base


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Files that import each other, if there are any."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def test_no_file_imports_one_that_imports_it() -> None:
    graph = {name: {*imported(name)} - {name} for name in PATHS}
    assert sum(map(len, graph.values())) > 1000
    assert circle(graph) == []
    graph["accuser._stream.event"].add("accuser._stream.history")
    assert {"accuser._stream.event", "accuser._stream.history"} <= set(circle(graph))


def sentence(package: str) -> str:
    """What a package says that it may import."""
    said = " ".join((ast.get_docstring(ast.parse(PATHS[package].read_text())) or "").split())
    found = re.search(r"May import (.+?)(?:;|\.(?: |$))", said)
    assert found is not None, package
    return found[1]


def named(package: str, word: str) -> str:
    """The module that a word in the docstring of a package means: the nearest of that name."""
    parts = package.split(".")
    for depth in range(len(parts), 0, -1):
        if (found := ".".join([*parts[:depth], word])) in PATHS:
            return found
    assert word in PATHS, (package, word)
    return word


@functools.cache
def allowed(package: str) -> set[str]:
    """The modules, each with what is in it, that a package says it may import."""
    said = sentence(package)
    names = {named(package, word) for word in re.findall(r"`+([\w.]+)`+", said)}
    below = re.search(r"what is below (?:the )?`*(\w+)", said)
    if match := re.match(r"(everything|all of the sandbox) but", said):
        inside = "accuser." if match[1] == "everything" else "accuser.sandbox."
        names = {name for name in PATHS if f"{name}.".startswith(inside) and name not in names}
    if "the leaves" in said:
        names |= LEAVES
    if below is not None:
        names = {name for name in names if name != named(package, below[1])} | allowed(f"accuser.{below[1]}")
    if "may import" in said:
        for name in names - {"accuser"}:
            names |= allowed(name) if name in PACKAGES else {*imported(name)}
    return names


def test_packages_import_what_they_say() -> None:
    wrong = set()
    for package in PACKAGES:
        may = {package, *allowed(package)}
        for name in PATHS:
            if name == package or name.startswith(f"{package}."):
                wrong |= {
                    f"{name} imports {other}, which {package} does not say"
                    for other in imported(name)
                    if other not in may
                    and not any(other.startswith(f"{one}.") for one in may if one != "accuser")
                }
    assert wrong == set()
