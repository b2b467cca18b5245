"""The pictures in the documents, and how long a page with many entries takes: ``nox -s screenshots``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

import trio

from accuser import SANDBOX, Recording
from accuser.scenarios import double_baking
from accuser.timeline import timeline_page
from tests.support.browser import (
    MISSING,
    Browser,
    open_browser,
    usable,
)
from tests.support.projects import project_in
from tests.support.recordings import crowded, eventful, write

DOCS: Final = Path(__file__).parent.parent.parent / "docs"
MANY: Final = 100_000

TIMES: Final = """
const frame = () => new Promise((done) => requestAnimationFrame(done));
const measured = async (work) => {
  const start = performance.now();
  work();
  await frame(); await frame();
  return performance.now() - start;
};
const lanes = document.getElementById("lanes"), search = document.getElementById("search");
const key = (name) => lanes.dispatchEvent(new KeyboardEvent("keydown", { key: name, bubbles: true }));
const find = (text) => { search.value = text; search.dispatchEvent(new Event("input")); };
const list = document.getElementById("list");
return (async () => ({
  "opened": performance.getEntriesByType("navigation")[0].loadEventEnd,
  "zoom": await measured(() => key("+")),
  "whole": await measured(() => key("0")),
  "step": await measured(() => key("ArrowRight")),
  "search": await measured(() => find("peer\\\\\\":12")),
  "search undone": await measured(() => find("")),
  "scroll to the middle": await measured(() => { list.scrollTop = list.scrollHeight / 2; }),
}))();
"""

SEARCH: Final = """
const search = document.getElementById("search");
search.value = arguments[0];
search.dispatchEvent(new Event("input"));
"""


def page(folder: Path, name: str, recording: Path, title: str) -> Path:
    path = folder / f"{name}.html"
    path.write_text(timeline_page(recording, title), "utf-8")
    return path


def take(browser: Browser, name: str) -> None:
    (DOCS / name).write_bytes(browser.screenshot())
    print(DOCS / name)


FAILING: Final = """\
from accuser import step


async def test_the_accuser_denounces(node, client, accuser):
    async with step("bake three blocks"):
        for _ in range(3):
            processed = accuser.expect("accuser_processed_block.v0")
            await client.bake_for("bootstrap1")
            await processed
    async with step("bake with a key that is not in the wallet"):
        await client.bake_for("bootstrap9")
"""


def failed(folder: Path) -> Path:
    """The page of a test that fails, as its bundle has it."""
    project = project_in(folder / "project")
    project.configure()
    project.write(test_it=FAILING)
    print(project.pytest("--mavkit", "memory", "--mavryk-bundles", "kept").output)
    (bundle,) = (project.folder / "kept").iterdir()
    return bundle / "timeline.html"


def main() -> int:
    if not usable():
        print(MISSING, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as temporary, open_browser() as browser:
        folder = Path(temporary)
        recording = Recording(folder / "double-baking.jsonl")
        trio.run(lambda: double_baking(SANDBOX, record=recording))
        scenario = page(folder, "scenario", recording.path, "A double baking")
        browser.open(scenario, size=(1240, 840))
        browser.run("document.getElementById('list').focus()")
        # What the accuser is there for.
        browser.run(SEARCH, "double_baking_denounced")
        browser.press("Down")
        browser.run(SEARCH, "")
        take(browser, "timeline-light.png")
        everything = page(folder, "everything", write(folder / "e.jsonl", eventful()), "Everything")
        browser.open(everything, dark=True, size=(1240, 620))
        browser.run("document.getElementById('list').focus()")
        browser.press("End", "Up", "Up", "Up", "Up")
        take(browser, "timeline-dark.png")
        failure = failed(folder)
        for name, dark, size in (("failure", False, (1240, 740)), ("failure-narrow", True, (400, 800))):
            browser.open(failure, dark=dark, size=size)
            take(browser, f"timeline-{name}.png")
        many = page(folder, "many", write(folder / "m.jsonl", crowded(MANY)), f"{MANY} entries")
        browser.open(many)
        browser.painted()
        for what, milliseconds in browser.run(TIMES).items():
            print(f"{MANY} entries, {what}: {milliseconds:.0f} ms")
        if complaints := browser.complaints():
            print(*complaints, sep="\n", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
