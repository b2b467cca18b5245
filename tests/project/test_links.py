"""The documents as a whole: every link leads somewhere, and every public name is told of."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

import accuser.events
import accuser.testing
from accuser import AccuserError, RunnerFault

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "news").glob("*.md"))
    if "_build" not in path.parts
)


def without_code(text: str) -> str:
    """Leave out blocks of code, and what is between backticks."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(document: Path) -> set[str]:
    """The anchors of a document's headings, as forges and Sphinx's parser make them."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.M | re.S)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.M):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        slug = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 0
        while (numbered := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(numbered)
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(document.read_text())):
        if re.match(r"https?://|mailto:", target):
            continue
        place, _, anchor = target.partition("#")
        path = (document.parent / place).resolve() if place else document
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


def test_anchors_are_made_as_forges_make_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b.c`, d!\n\n```\n# not this\n```\n\n## A [link](x.md)\n\n## Twice\n\n## Twice\n")
    assert anchors(page) == {"a-bc-d", "a-link", "twice", "twice-1"}


REFERENCE = "\n".join(path.read_text() for path in sorted((ROOT / "docs" / "reference").glob("*.rst")))


def test_every_public_name_is_in_the_reference() -> None:
    told = set(re.findall(r"^\.\. (?:auto\w+|data):: (?:accuser\.)?(\w+)", REFERENCE, re.M))
    # pytest leaves names like "@pytest_ar" in the modules of an installed plugin's package.
    public = {name for name in dir(accuser) if not name.startswith("_")}
    assert public - told == set(), "add them to a page of docs/reference"
    assert re.search(r"^\.\. automodule:: accuser\.events$", REFERENCE, re.M)
    assert re.search(r"^\.\. automodule:: accuser\.testing$", REFERENCE, re.M)
    scenarios = set(re.findall(r"^\.\. (?:auto\w+|data):: (?:accuser\.scenarios\.)?(\w+)", REFERENCE, re.M))
    source = (ROOT / "accuser" / "scenarios" / "__init__.py").read_text()
    names = {*re.findall(r"import (\w+) as \1$", source, re.M), "Scenario", "SCENARIOS"}
    assert names - scenarios == set()


@pytest.mark.parametrize("module", [accuser.events, accuser.testing])
def test_whatever_a_module_makes_public_says_what_it_is(module: ModuleType) -> None:
    # autodoc leaves out what has no docstring.
    silent = [
        name
        for name, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__.startswith(module.__name__)
        and not (name.startswith("_") or value.__doc__)
    ]
    assert silent == []


def test_every_error_is_told_of_by_its_symptom() -> None:
    text = (ROOT / "docs" / "errors.md").read_text()
    headings = set(re.findall(r"^### (\w+)$", text, re.M))
    errors = {
        name
        for name, value in ((name, getattr(accuser, name)) for name in dir(accuser))
        if inspect.isclass(value) and issubclass(value, AccuserError) and value is not AccuserError
    }
    assert errors <= headings
    for fault in RunnerFault:
        assert f"`{fault.name}`" in text
