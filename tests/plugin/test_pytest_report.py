"""What the plugin's reports say, from recordings that were made up."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from accuser import DaemonExited, EventTimeout, TerminatedBeforeEvent
from accuser.pytest._facts import LAST_EVENTS, LAST_LINES, DaemonFacts, facts_of
from accuser.pytest._text import section, summary
from tests.support.projects import Project, project
from tests.support.recordings import parsed

__all__ = ["project"]  # a fixture of this module


def facts_of_parsed(entries: Iterable[dict[str, Any]]) -> list[DaemonFacts]:
    return facts_of(parsed(entries))


def entry(kind: str, daemon: str = "accuser1", /, **fields: Any) -> dict[str, Any]:
    return {"t": 5.0, "type": kind, "daemon": daemon, "session": 1, **fields}


def start(daemon: str = "accuser1", pid: int = 7) -> dict[str, Any]:
    return entry("start", daemon, kind="accuser", protocol=None, command=["run", "a b"], pid=pid)


def event(name: str, value: object) -> dict[str, Any]:
    return entry("event", item={"fd-sink-item.v0": {"time_stamp": 1.5, "event": {name: value}}})


def wait(outcome: str, what: str = "x.v0") -> dict[str, Any]:
    return entry("wait", what=what, where="y > 1", begun=1.5, outcome=outcome)


def test_the_last_session_counts_and_all_waits() -> None:
    (facts,) = facts_of_parsed(
        [
            {"t": 0.0, "type": "recording", "version": 1},
            start(),
            wait("timed out"),
            entry("line", stream="stdout", text="of the first session"),
            entry("exit", status=3),
            start(pid=8),
            wait("satisfied"),
            entry("ready"),
            entry("line", stream="stderr", text="of the second"),
            entry("malformed", reason="not JSON", raw="00"),
            entry("a type of later", anything=1),
        ]
    )
    assert (facts.pid, facts.sessions, facts.ready, facts.status) == (8, 2, True, None)
    assert list(facts.lines) == ["of the second"]
    assert list(facts.events) == ["malformed: not JSON"]
    assert [str(one) for one in facts.waits] == ["accuser1: x.v0 where y > 1, timed out after 3.5 s"]
    assert facts.end == "no exit was seen"


def test_only_the_last_words_are_kept() -> None:
    events = [event(f"e{n}.v0", n) for n in range(100)]
    lines = [entry("line", stream="stdout", text=f"line {n}") for n in range(100)]
    (facts,) = facts_of_parsed([start(), *events, *lines])
    assert (len(facts.events), facts.events[-1]) == (LAST_EVENTS, "e99.v0 99")
    assert (len(facts.lines), facts.lines[-1]) == (LAST_LINES, "line 99")


def test_who_ended_a_daemon() -> None:
    def ended(*signals: str, status: int) -> tuple[bool, list[str], str]:
        sent = [entry("signal", signal=name) for name in signals]
        (facts,) = facts_of_parsed([start(), *sent, entry("exit", status=status)])
        return facts.ended_unasked, facts.stopped_with, facts.end

    assert ended(status=-9) == (True, [], "killed by SIGKILL, without a signal from here")
    assert ended("SIGTERM", "SIGCONT", status=127) == (
        False,
        ["SIGTERM", "SIGCONT"],
        "exit status 127, after SIGTERM from here",
    )
    assert ended("SIGUSR1", status=1)[0]
    # A test's own SIGKILL is no part of the stop.
    assert ended("SIGKILL", "SIGTERM", status=-9)[1] == ["SIGTERM"]
    assert ended("SIGTERM", "SIGKILL", status=-9)[1] == ["SIGTERM", "SIGKILL"]


def test_a_summary_has_ten_lines_at_the_most_and_begins_with_the_cause() -> None:
    daemons = facts_of_parsed(
        [
            item
            for name in ("accuser1", "accuser2", "accuser3")
            for item in (
                {**start(), "daemon": name},
                {**wait("cancelled"), "daemon": name},
                {**wait("failed"), "daemon": name},
                {**entry("exit", status=1), "daemon": name},
            )
        ]
    )
    end = DaemonExited("accuser1", 1, tuple(f"line {n}" for n in range(12)))
    timeout = EventTimeout("accuser2", "x.v0", None, 5.0)
    waited = TerminatedBeforeEvent("accuser1", "x.v0")
    waited.__cause__ = end
    for error in (
        end,
        timeout,
        waited,
        AssertionError("a\nb\nc\nd\ne"),
        AssertionError(),
        ExceptionGroup("group", [timeout, ValueError("v\nw"), ExceptionGroup("inner", [end])]),
    ):
        lines = summary(error, daemons, "mavryk: sandbox (chosen), boreas", "/a/bundle")
        assert len(lines) <= 10
        assert lines[-2:] == ["mavryk: sandbox (chosen), boreas", "failure bundle: /a/bundle"]
        assert "accuser2: exit status 1, without a signal from here" in lines
    assert lines[:5] == [
        "DaemonExited: accuser1 ended unasked: exit status 1",
        "  line 9",
        "  line 10",
        "then EventTimeout: accuser2: no x.v0 within 5 s",
        "and 1 more",
    ]
    assert summary(waited, [], "", "")[1:3] == [
        "because accuser1 ended unasked: exit status 1",
        "  line 11",
    ]
    both = summary(ExceptionGroup("", [ValueError("v\nw"), KeyError("k")]), [], "", "")
    assert both[:3] == ["failed first: ValueError: v", "w", "then KeyError: 'k'"]
    assert summary(AssertionError(), [], "", "")[0] == "AssertionError"


def test_the_section_tells_of_each_daemon() -> None:
    silent = {**start("node1", 9), "kind": "node"}
    text = section(
        facts_of_parsed([start(), event("e.v0", {"n": 1}), entry("ready"), silent]), "mavryk: sandbox"
    )
    assert text.splitlines() == [
        "mavryk: sandbox",
        "",
        "accuser1 (process 7): no exit was seen",
        "  command: run 'a b'",
        "  last events:",
        '    e.v0 {"n": 1}',
        "",
        "node1 (process 9): no exit was seen",
        "  command: run 'a b'",
        "  it was never ready",
        "  it has written no event",
    ]


def test_a_bundle_that_cannot_be_written_does_not_hide_the_failure(project: Project) -> None:
    project.write(test_it="async def test_fails(open_node):\n    await open_node()\n    assert 1 == 2\n")
    ended = project.pytest("--mavryk-bundles=/dev/null/bundles")
    ended.count(failed=1)
    first = ended.below("test_fails", 10)
    assert first[0] == "AssertionError: assert 1 == 2"
    (bundle,) = project.bundles
    assert any(line.startswith(f"failure bundle: {bundle} is incomplete: ") for line in first)
    assert (bundle / "run.jsonl").exists()
    assert "node1 (process " in ended.output


LONG = "test_that_who_bakes_twice_at_one_level_and_round_is_denounced_by_the_accuser"


@pytest.mark.parametrize(("width", "told"), [("80", True), ("200", False)])
def test_what_decides_is_told_where_pytest_has_no_room_for_it(
    project: Project, width: str, told: bool
) -> None:
    event = "double_baking_denounced.v0"
    project.write(
        test_it=f"async def {LONG}(autojump_clock, accuser):\n    await accuser.wait_for('{event}')\n\n"
        f"async def test_short(autojump_clock, accuser):\n    await accuser.wait_for('{event}')\n"
    )
    ended = project.pytest("--mavkit", "memory", COLUMNS=width, CI="", BUILD_NUMBER="")
    start = next(n for n, line in enumerate(ended.lines) if "short test summary" in line)
    line, short = (line for line in ended.lines[start:] if line.startswith("FAILED"))
    assert f" - no {event} within" in short
    assert (event in line) is not told
    above = ended.lines[start - 3 : start]
    assert ("no room for" in above[0] and above[1:] == [LONG, f"  no {event} within 60 s: accuser1"]) is told


def test_no_report_has_a_secret_in_a_variable_or_in_part(project: Project) -> None:
    key = "edsk3VeZ4Bss" + "a5BN7jsKHbngB1yCUX9qTFy9yY13q9" + "h4Ujk6E86Eu7"
    project.write(
        test_it="async def test_it(node):\n    parts = ['edsk3VeZ4Bss', 'a5BN7jsKHbngB1yCUX9qTFy9yY13q9', "
        "'h4Ujk6E86Eu7']\n    key = ''.join(parts)\n    parts = url = 'http://me:pass' + 'word@127.0.0.1:1'\n"
        "    assert {'key': key} == {'key': url}\n"
    )
    for options in ((), ("-l", "-vv", "--full-trace")):
        ended = project.pytest("--mavkit", "memory", *options)
        ended.count(failed=1)
        # The lines of the test itself have the parts.
        shown = [line for line in ended.lines if "parts = " not in line and "'h4Ujk6E86Eu7']" not in line]
        assert [line for line in shown if key[:12] in line or key[-8:] in line or "password" in line] == []
    for bundle in project.bundles:
        assert key[-8:] not in (bundle / "report.txt").read_text().replace("'h4Ujk6E86Eu7']", "")


BLOCKS = """\
from accuser import MEMORY, Protocol, init_with_protocol, open_node


async def test_command():
    async with open_node(toolchain=MEMORY, arguments=("--synchronisation-threshold 0",)) as node:
        client = await init_with_protocol(node, Protocol.BOREAS)
        await client.bake_for("bootstrap9")


async def test_assertion():
    async with open_node(toolchain=MEMORY) as node:
        assert node.level == 3
"""


def test_daemons_by_blocks_have_short_reports_too(project: Project) -> None:
    project.write(test_blocks=BLOCKS, test_apart="async def test_apart(): raise ValueError('apart')\n")
    ended = project.pytest("-rf", TMPDIR=str(project.folder / "tmp"))
    ended.count(failed=3)
    assert "  no public key hash alias named bootstrap9" in "\n".join(ended.below("test_command", 10))
    assert "assert 0 == 3" in "\n".join(ended.below("test_assertion", 7))
    assert "accuser/_daemons" not in ended.output
    assert (
        "FAILED test_blocks.py::test_command - Erroneous command line argument 3 (bootstrap9)" in ended.output
    )
    # A module that has nothing of this package is left to pytest-trio.
    assert ended.output.count("Exception Group Traceback") == 1
    assert "Exception Group Traceback" in "\n".join(ended.below("test_apart", 3))


def test_reports_are_made_without_a_terminal_too(project: Project) -> None:
    told = (
        "def pytest_runtest_logreport(report):\n"
        "    if report.failed:\n"
        "        open('told', 'a').write(f'{report.longrepr.reprcrash.message}\\n')\n"
    )
    fixture = "async def test_it(node):\n    assert node.level == 3\n"
    project.write(conftest=told, test_blocks=BLOCKS, test_fixture=fixture)
    ended = project.pytest("--mavkit", "memory", "-p", "no:terminal", TMPDIR=str(project.folder / "tmp"))
    assert ended.status == pytest.ExitCode.TESTS_FAILED, ended.output
    assert len((project.folder / "told").read_text().splitlines()) == 3
