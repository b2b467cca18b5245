"""Sphinx's configuration: ``nox -s docs``.

The pages are plain Markdown, to be read on any forge too. What only Sphinx needs is kept out of
them: the order of the pages, and the texts that live elsewhere in the project, are put in here.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from sphinx.util.nodes import make_refnode

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent
sys.path.insert(0, str(ROOT))

project = "accuser"
author = "the authors of accuser"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "accuser"
myst_heading_anchors = 3
nitpicky = True

# The reference.

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
napoleon_use_rtype = False
default_role = "py:obj"
# Types of other libraries, whose own documents cannot be asked without a network; type variables; and
# the protocols by which packages speak to each other, which appear in signatures alone.
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(attrs?|collections|contextlib|datetime|logging|msgspec|os|pathlib|re|signal|time|trio|typing)\..*",
    ),
    (r"py:.*", r"(.*\.)?(T|E|D|O)"),
    (
        r"py:.*",
        r"(What|Name|Filter|Absence|Upgrades|Overrides|\w*(Absence|Event|Line)Options|accuser\._engine\.waits\.Default)",
    ),
    # Of annotations in strings, as they are written there.
    (
        r"py:.*",
        r"(Path|PurePosixPath|Host|Connect|accuser\._hosts\.host\.\w+|accuser\._daemons\.waits\.\w+|accuser\._recording\.(entries|doings)\.\w+|accuser\._comparison\.compare\.\w+)",
    ),
]
# Annotations that say bytes, where events have fields of that name too.
suppress_warnings = ["ref.python"]


def _say_where_classes_are_written() -> None:
    """Undo what the package does for tracebacks: autodoc reads comments in the source of a class's module."""
    import accuser

    for name in dir(accuser):
        getattr(accuser, name)
    for found in pkgutil.walk_packages(accuser.__path__, "accuser."):
        if not found.name.split(".")[1].startswith("_") or found.name.endswith("main"):
            continue
        module = importlib.import_module(found.name)
        for statement in ast.parse(inspect.getsource(module)).body:
            if isinstance(statement, ast.ClassDef):
                getattr(module, statement.name).__module__ = module.__name__


_say_where_classes_are_written()


def _expand_options(
    _app: object, _what: str, _name: str, found: Any, _options: object, lines: list[str]
) -> None:
    """Say which options there are, where a signature has ``**options`` alone."""
    called = found.__init__ if inspect.isclass(found) else found
    try:
        parameters = inspect.signature(called).parameters.values()
    except (TypeError, ValueError):
        return
    for parameter in parameters:
        unpacked = re.fullmatch(r"Unpack\[(\w+)\]", str(parameter.annotation))
        if parameter.kind is inspect.Parameter.VAR_KEYWORD and unpacked is not None:
            places = map(importlib.import_module, ("accuser", "accuser._daemons.waits", "accuser.scenarios"))
            options = next(getattr(place, unpacked[1]) for place in places if hasattr(place, unpacked[1]))
            names = ", ".join(f"``{name}``" for name in sorted(options.__optional_keys__))
            lines += ["", f"What ``**{parameter.name}`` may be: {names}.", ""]


# The pages.

CHAPTERS: Final = {
    "Begin": ["quickstart", "tutorial", "tezt"],
    "How to": ["howto/*", "remote", "production"],
    "Use": [
        "commands",
        "daemons",
        "waiting",
        "events",
        "recording",
        "timeline",
        "testing",
        "pytest",
        "errors",
    ],
    "Facts": ["scenarios", "sandbox", "facts", "benchmarks"],
    "Reference": ["reference/index"],
    "The project": ["architecture", "design", "contributing", "changelog"],
}
REST: Final = "Use"
"""The chapter of the pages that no chapter names."""


def chapters() -> dict[str, list[str]]:
    """Every page's place."""
    pages = {str(path.relative_to(HERE).with_suffix("")) for path in HERE.rglob("*.md")} - {"index"}
    pages = {page for page in pages if not page.startswith("_build")}
    placed = {
        title: [found for name in names for found in (sorted(pages & _glob(name)) if "*" in name else [name])]
        for title, names in CHAPTERS.items()
    }
    named = {page for names in placed.values() for page in names}
    placed[REST] += sorted(pages - named)
    return placed


def _glob(pattern: str) -> set[str]:
    return {str(path.relative_to(HERE).with_suffix("")) for path in HERE.glob(f"{pattern}.md")}


def _toctrees() -> str:
    return "".join(
        "\n".join(("\n```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```\n"))
        for title, pages in chapters().items()
    )


def _changelog() -> str:
    command = [sys.executable, "-m", "towncrier", "build", "--draft", "--version", "Unreleased"]
    draft = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    released = (ROOT / "CHANGELOG.md").read_text().partition("<!-- towncrier release notes start -->")[2]
    return f"# Changelog\n\n{draft}\n{released}"


def _contributing() -> str:
    return (ROOT / "CONTRIBUTING.md").read_text().replace("](docs/", "](")


def _read(_: Any, name: str, source: list[str]) -> None:
    if name == "index":
        source[0] += _toctrees()
    elif name == "changelog":
        source[0] = _changelog()
    elif name == "contributing":
        source[0] = _contributing()


def _describe(_: Any, what: str, *rest: Any) -> None:
    # napoleon takes what precedes a colon in an attribute's first line for its type: let it be a comment.
    if what in ("attribute", "property", "data"):
        rest[-1][:0] = ["..", ""]


def _resolve(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Find a member by its last name: `` `wait_for` `` is that of the daemons, wherever it is said."""
    if node.get("refdomain") != "py" or node.get("reftype") not in ("obj", "exc", "class"):
        return None
    domain = env.get_domain("py")
    target = node["reftarget"].removeprefix("accuser.")
    for place in (
        node.get("py:class") or "",
        "Daemon",
        "Node",
        "Client",
        "Expectation",
        "testing",
        "events",
        "",
    ):
        full = ".".join(part for part in ("accuser", place.removeprefix("accuser."), target) if part)
        if full in domain.objects:
            found = domain.objects[full]
            return make_refnode(app.builder, node["refdoc"], found.docname, found.node_id, content, full)
    return None


def setup(app: Any) -> None:
    """Connect what is above."""
    app.connect("source-read", _read)
    app.connect("autodoc-process-docstring", _describe, priority=400)  # before napoleon's 500
    app.connect("autodoc-process-docstring", _expand_options, priority=600)  # and after it
    app.connect("missing-reference", _resolve)
