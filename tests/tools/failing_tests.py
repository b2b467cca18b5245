"""Failing tests, with the fact that each report must have: ``python -m tests.tools.failing_tests``.

Run as a program it writes ``docs/failures.md``: the first lines that each of them prints.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Final

from tests.support.projects import ROOT, Ended, Project, project_in

LINES: Final = 10
"""The first lines of a report, in which the fact must be."""
LONGEST: Final = 40
"""Lines of a report without ``-vv``."""

BEGIN: Final = """\
import trio

from accuser import retry, step, wait_for_any

PROCESSED = "accuser_processed_block.v0"
DENOUNCED = "double_baking_denounced.v0"

"""

# What fails, and what must be said of it.
CASES: Final = {
    "a command for an unknown delegate": (
        '(client):\n    await client.bake_for("bootstrap9")',
        "no public key hash alias named bootstrap9",
    ),
    "a command that does not exist": (
        '(client):\n    await client.command("bake", "quickly")',
        "Unrecognized command",
    ),
    "an option that the command does not have": (
        '(client):\n    await client.bake_for("bootstrap1", options=("--quickly",))',
        "--quickly",
    ),
    "a command in a list": (
        '(client):\n    await client.bake_for(["bootstrap1"])',
        "given one by one",
    ),
    "a request for what is not there": (
        '(node):\n    await node.rpc("get", "/chains/main/nothing")',
        "/chains/main/nothing returned 404",
    ),
    "a request to a node that has ended": (
        '(node):\n    await node.terminate()\n    await node.rpc("get", "/version")',
        "cannot connect to the node",
    ),
    "an event that does not come": (
        "(autojump_clock, accuser):\n    await accuser.wait_for(DENOUNCED)",
        "no double_baking_denounced.v0 within 60 s",
    ),
    "an event that had come before": (
        "(autojump_clock, client, accuser):\n    await client.bake_for()\n"
        "    await accuser.wait_for(PROCESSED, since=accuser.start_mark())\n"
        "    await accuser.wait_for(PROCESSED)",
        "it happened before the wait began",
    ),
    "a filter that takes nothing": (
        "(autojump_clock, client, accuser):\n    event = accuser.expect(PROCESSED, lambda block: None)\n"
        "    for _ in range(3):\n        await client.bake_for()\n    await event",
        "3 came, but the filter returned None for each",
    ),
    "fewer events than were wanted": (
        "(autojump_clock, client, accuser):\n    events = accuser.expect(PROCESSED, count=3)\n"
        "    await client.bake_for()\n    await events",
        "1 came, and more were waited for",
    ),
    "a filter that raises": (
        '(client, accuser):\n    event = accuser.expect(PROCESSED, lambda block: block["level"])\n'
        "    await client.bake_for()\n    await event",
        "string indices must be integers",
    ),
    "a name that is misspelled": (
        '(accuser):\n    await accuser.wait_for("double_baking_denounce.v0")',
        "did you mean double_baking_denounced.v0",
    ),
    "a line that is not printed": (
        '(autojump_clock, accuser):\n    await accuser.wait_for_line("never printed")',
        "line of stdout that matches 'never printed'",
    ),
    "a level that is not reached": (
        "(autojump_clock, node):\n    await node.wait_for_level(5)",
        "where level >= 5",
    ),
    "a sequence that breaks off": (
        "(autojump_clock, client, accuser):\n    begin = accuser.mark()\n    await client.bake_for()\n"
        "    await accuser.wait_for_sequence([PROCESSED, DENOUNCED], since=begin)",
        'step 1 was met by "B',
    ),
    "an event that was not to come": (
        "(client, accuser):\n    async with accuser.expect_no(PROCESSED, within=5):\n"
        "        await client.bake_for()",
        "accuser_processed_block.v0 happened, and was expected not to",
    ),
    "a wait that a deadline cut off": (
        "(autojump_clock, node):\n    with trio.fail_after(3):\n        await node.wait_for_level(7)",
        "trio.fail_after cut off the wait of node1: head_increment.v0",
    ),
    "a deadline without a wait": (
        "(autojump_clock, node):\n    with trio.fail_after(3):\n        await trio.sleep_forever()",
        "the time of trio.fail_after was over",
    ),
    "a coroutine that nobody awaits": (
        "(autojump_clock, node, client):\n    client.bake_for()\n    await node.wait_for_level(2)",
        "Client.bake_for was never awaited",
    ),
    "a coroutine that is kept and not awaited": (
        "(autojump_clock, node, client):\n    baking = client.bake_for()\n    await node.wait_for_level(2)",
        "Client.bake_for was never awaited",
    ),
    "a daemon that is killed": (
        "(accuser):\n    accuser.signal(9)\n    await trio.sleep_forever()",
        "accuser1 ended unasked: killed by SIGKILL",
    ),
    "a daemon that dies of its node's end": (
        "(autojump_clock, node, accuser):\n    await node.terminate()\n    await accuser.wait_for(DENOUNCED)",
        "Lost connection with the node",
    ),
    "a handler that raises": (
        '(node, client):\n    @node.on_event\n    def handler(event):\n        raise KeyError("handled")\n'
        "    await client.bake_for()\n    await trio.sleep_forever()",
        "KeyError('handled')",
    ),
    "two tasks that fail": (
        '(node):\n    async def one():\n        raise ValueError("of one")\n'
        '    async def two():\n        try:\n            await trio.sleep_forever()\n        finally:\n'
        '            raise KeyError("of two")\n'
        "    async with trio.open_nursery() as nursery:\n        nursery.start_soon(two)\n"
        "        nursery.start_soon(one)",
        "failed first: ValueError: of one",
    ),
    "a task that fails alone": (
        '(node):\n    async def one():\n        raise ValueError("of one")\n'
        "    async with trio.open_nursery() as nursery:\n        nursery.start_soon(one)\n"
        "        nursery.start_soon(trio.sleep_forever)",
        "ValueError: of one",
    ),
    "an assertion": (
        '(node):\n    head = await node.rpc("get", "/chains/main/blocks/head/header")\n'
        '    assert head["level"] == 9',
        "assert 1 == 9",
    ),
    "an option that the node does not have": (
        "(open_node):\n    await open_node(rpcport=1)",
        "did you mean 'rpc_port'",
    ),
    "an argument that the node does not have": (
        '(open_node):\n    await open_node(arguments=("--no-such-option",))',
        "--no-such-option",
    ),
    "an argument that the accuser does not have": (
        '(open_accuser, node):\n    await open_accuser(node, arguments=("--no-such-option",))',
        "Unexpected command line option --no-such-option",
    ),
    "an option that the baker does not have": (
        '(open_baker, node, client):\n    await open_baker(node, client, liquidity_vote="on")',
        "did you mean 'liquidity_baking_toggle_vote'",
    ),
    "a transfer of more than there is": (
        '(client):\n    transfer = ("transfer", "9000000000", "from", "bootstrap1", "to", "bootstrap2")\n'
        "    await client.command(*transfer)",
        "balance_too_low",
    ),
    "a wait in a deadline beside another wait": (
        "(autojump_clock, node, accuser):\n    async with trio.open_nursery() as nursery:\n"
        "        nursery.start_soon(accuser.wait_for, DENOUNCED)\n        with trio.fail_after(3):\n"
        "            await node.wait_for_level(9)",
        "trio.fail_after cut off the wait of node1: head_increment.v0",
    ),
    "none of several daemons": (
        "(autojump_clock, node, accuser):\n"
        '    await wait_for_any({node: "set_head.v0", accuser: DENOUNCED}, timeout=3)',
        "node1 / accuser1: no set_head.v0",
    ),
    "an answer that does not become good": (
        '(autojump_clock, node):\n    level = lambda: node.rpc("get", "/chains/main/blocks/head/header")\n'
        '    await retry(level, lambda head: head["level"] > 7, timeout=2, where="level > 7")',
        "the last answer was",
    ),
    "a step that fails": (
        '(client):\n    async with step("bake twice"):\n        await client.bake_for()\n'
        '        await client.bake_for("nobody")',
        "no public key hash alias named nobody",
    ),
}  # fmt: skip


def name_of(title: str) -> str:
    """The name of the test."""
    return "test_" + re.sub(r"\W+", "_", title)


def run_in(folder: Path) -> tuple[Ended, Path]:
    """Run all of them in a folder; give what was printed, and where their bundles are."""
    project: Project = project_in(folder)
    project.configure()
    tests = (f"async def {name_of(title)}{code}\n" for title, (code, _) in CASES.items())
    project.write(test_fails=BEGIN + "\n\n".join(tests))
    bundles = folder / "bundles"
    # Theirs: a fixture of a whole module may have that of another test, or the machine's.
    temporary = str(folder / "tmp")
    return project.pytest("--mavkit", "memory", "--mavryk-bundles", str(bundles), TMPDIR=temporary), bundles


def report_of(ended: Ended, title: str) -> list[str]:
    """All lines that were printed about one of them."""
    below = ended.below(name_of(title), len(ended.lines))
    end = next(n for n, line in enumerate(below) if re.fullmatch(r"_+ \w+ _+|=+ [\w ]+ =+", line))
    return below[:end]


def first_lines(ended: Ended, title: str) -> list[str]:
    """The summary of one: its first ten lines, or those to the first blank one."""
    lines = report_of(ended, title)[:LINES]
    return lines[: lines.index("")] if "" in lines else lines


def table(ended: Ended) -> str:
    """The list in Markdown; what differs from run to run is left out."""
    parts = []
    for title in CASES:
        lines = [
            line
            for line in first_lines(ended, title)
            if not line.startswith(("mavryk: ", "failure bundle: "))
        ]
        shown = "\n".join(_without_accidents(line) for line in lines)
        parts.append(f"{title[0].upper()}{title[1:]}:\n\n```console\n{shown}\n```\n")
    return "\n".join(parts)


def _without_accidents(line: str) -> str:
    line = re.sub(r"\bB[1-9A-HJ-NP-Za-km-z]{50}\b", "BL...", line)
    line = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "(time)", line)
    line = re.sub(r"\b[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d\.\d{3}", "(time)", line)
    line = re.sub(r"after \d+\.\d s", "after 0.0 s", line)
    line = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:10000", line)
    return line if len(line) <= 150 else f"{line[:147]}..."


def main() -> None:
    """Write the list."""
    page = ROOT / "docs" / "failures.md"
    with tempfile.TemporaryDirectory() as folder:
        ended, _ = run_in(Path(folder) / "project")
        begin, end = "<!-- failing tests: begin -->\n", "<!-- failing tests: end -->"
        text = page.read_text()
        before, _, rest = text.partition(begin)
        page.write_text(f"{before}{begin}\n{table(ended)}\n{end}{rest.partition(end)[2]}")


if __name__ == "__main__":
    main()
