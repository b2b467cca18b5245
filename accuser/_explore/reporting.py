"""The report of a search, for people and for programs: the same for the same seeds, whoever did them."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from .._text import counted
from .examining import Result
from .outcome import Outcome
from .searching import coverage

PAGE: Final = "explore.html"

_STYLE: Final = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
body{color:#1b1f24;background:#fff}
table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:left;border-bottom:1px solid #d0d7de}
td.n{text-align:right;font-variant-numeric:tabular-nums}pre{overflow-x:auto;background:#f6f8fa;padding:1rem}
.bad{color:#b42318}.good{color:#116329}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}pre{background:#161b22}
td,th{border-color:#30363d}.bad{color:#ff7b72}.good{color:#7ee787}}
"""


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """What came of all seeds, as JSON has it."""
    ordered = sorted(results, key=lambda each: each.seed)
    return {
        "seeds": len(ordered),
        "blocks": sum(each.blocks for each in ordered),
        "decisions": coverage(ordered),
        "violations": [
            {
                "seed": each.seed,
                "violations": list(each.violations),
                "sandbox": None if each.sandbox is None else list(each.sandbox),
                "shrunk": None
                if each.case is None
                else {
                    "violations": list(each.case.violations),
                    "steps": len(each.case.schedule.steps),
                    "program": each.case.program,
                },
            }
            for each in ordered
            if each.violations
        ],
    }


def write_cases(folder: Path, result: Result) -> list[Path]:
    """Write what a seed violated: the schedule, the program and the recording; their paths.

    Raises:
        OSError: they cannot be written.
    """
    case = result.case
    if case is None:
        return []
    contents = {
        f"seed-{result.seed}.json": case.schedule.to_json(),
        f"seed-{result.seed}.py": case.program.encode(),
        f"seed-{result.seed}.recording.jsonl": case.recording.encode(),
    }
    paths = []
    for name, content in contents.items():
        path = folder / name
        path.write_bytes(content)
        paths.append(path)
    return paths


def write_page(path: Path, results: Sequence[Result], about: str) -> None:
    """Write the report as a page that needs nothing else.

    Args:
        path: the file.
        results: those of the seeds.
        about: whose accuser it was.

    Raises:
        OSError: it cannot be written.
    """
    told = summary(results)
    bad = told["violations"]
    verdict = (
        f'<p class="bad">{len(bad)} of {counted(told["seeds"], "seed")}: violated.</p>'
        if bad
        else f'<p class="good">{counted(told["seeds"], "seed")}, and nothing is violated.</p>'
    )
    rows = "".join(
        f'<tr><td>{html.escape(name)}<td class="n">{one["times"]}<td class="n">{one["seeds"]}</tr>'
        for name, one in told["decisions"].items()
    )
    cases = "".join(map(_case, bad))
    path.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>accuser explore</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style><h1>accuser explore</h1><p>{html.escape(about)}; "
        f"{counted(told['blocks'], 'block')} handed to nodes.</p>{verdict}<h2>Decisions of the accuser</h2>"
        f"<table><tr><th>decision<th>times<th>seeds</tr>{rows}</table>{cases}</html>\n",
        encoding="utf-8",
    )


def _case(entry: dict[str, Any]) -> str:
    shrunk = entry["shrunk"]
    complaints = "".join(f"<li>{html.escape(each)}</li>" for each in entry["violations"][:20])
    text = f'<h2 id="seed-{entry["seed"]}">Seed {entry["seed"]}</h2><ul>{complaints}</ul>'
    if entry["sandbox"] is not None:
        too = "violates something there too" if entry["sandbox"] else "violates nothing there"
        text += f"<p>The sandbox's accuser {too}.</p>"
    if shrunk is not None:
        text += f"<p>In {counted(shrunk['steps'], 'step')}:</p><pre>{html.escape(shrunk['program'])}</pre>"
    return text


def to_json(results: Sequence[Result]) -> str:
    """The summary as a line."""
    return msgspec.json.encode(summary(results), order="deterministic").decode()


def replayed(outcome: Outcome, recording: Path) -> str:
    """What came of one schedule, as a line of JSON.

    Args:
        outcome: of it.
        recording: where its recording was written.
    """
    found = {
        "violations": outcome.violations,
        "step": outcome.step,
        "decisions": outcome.decisions,
        "blocks": outcome.blocks,
        "recording": str(recording),
    }
    return msgspec.json.encode(found, order="deterministic").decode()
