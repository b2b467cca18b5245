"""The plugin, in projects that use it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from tests.support.projects import Project, project

__all__ = ["project"]  # a fixture of this module


# A user's project, all of it.
PYPROJECT = """\
[project]
name = "my-tests"
version = "1"
dependencies = ["accuser[sandbox,pytest]"]

[tool.pytest.ini_options]
trio_mode = true
"""


NOXFILE = """\
import nox


@nox.session
def tests(session):
    session.install("accuser[sandbox,pytest]")
    session.run("pytest", *session.posargs)
"""


TEST = """\
from accuser import Accuser, Client, Node


async def test_the_accuser_processes_what_is_baked(node: Node, client: Client, accuser: Accuser) -> None:
    before = node.level
    processed = accuser.expect("accuser_processed_block.v0")
    level = await client.bake_for_and_wait("bootstrap1")
    assert level == before + 1
    head = await node.rpc("get", "/chains/main/blocks/head/header")
    assert head["level"] == level
    assert await processed == head["hash"]
"""


TWIN = TEST.replace("    level = ", "    accuser.signal(9)\n    await processed\n    level = ", 1)


TITLE = "test_the_accuser_processes_what_is_baked"


def test_a_project_made_from_nothing_passes(project: Project) -> None:
    assert len(TEST.splitlines()) <= 12
    (project.folder / "pytest.ini").unlink()
    (project.folder / "pyproject.toml").write_text(PYPROJECT)
    project.write(noxfile=NOXFILE, test_accuser=TEST)
    # Nothing is installed and no environment made: there is no network.
    ended = project.run(sys.executable, "-m", "nox", "--no-venv", "--no-install", "-s", "tests")
    assert ended.status == 0, ended.output
    assert "mavryk: sandbox (auto: no mavkit-node in MAVKIT_BIN_DIR and PATH), boreas" in ended.lines
    assert any(re.fullmatch(r"  sandbox of accuser .* sha256 [0-9a-f]{12}", line) for line in ended.lines)
    assert project.bundles == []


def test_its_failing_twin_tells_the_cause_first(project: Project) -> None:
    project.write(test_accuser=TWIN)
    ended = project.pytest("-vv", A_NEW_VARIABLE="of pytest", MAVRYK_THING="told")
    assert ended.status == 1
    first = ended.below(TITLE, 10)
    # The wait or the daemon's end, whichever the test hears of first: the cause is told in both.
    assert any("accuser1 ended unasked: killed by SIGKILL" in line for line in first[:2]), first
    (bundle,) = project.bundles
    assert f"failure bundle: {bundle}" in first
    for said in (
        "accuser1 (process ",
        "mavkit-accuser-PtBoreas -E http://127.0.0.1:",
        ": killed by SIGKILL, after SIGKILL from here",
        "accuser1: accuser_processed_block.v0, ",
        "    Accuser ",
        "    daemon_start.v0 ",
        ": exit status 127, after SIGTERM from here",
    ):
        assert said in ended.output
    files = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert files >= {
        *("run.jsonl", "report.txt", "environment.txt", "timeline.html"),
        *("node1/config.json", "node1-stderr.log", "accuser1-stdout.log"),
    }
    environment = (bundle / "environment.txt").read_text()
    assert "MAVRYK_THING=told" in environment
    assert "A_NEW_VARIABLE" not in environment
    assert not list(Path(project.environment.get("TMPDIR", "/tmp")).glob("accuser-*"))


HARD = """\
import os
import signal

import pytest
import trio


def die(accuser):
    os.kill(accuser.pid, signal.SIGKILL)


async def test_catches(accuser):
    die(accuser)
    try:
        await accuser.wait_for("never.v0", unknown=True)
    except Exception:
        pass
    await trio.sleep_forever()


async def test_swallows_its_cancellation(accuser):
    die(accuser)
    try:
        await trio.sleep_forever()
    except BaseException:
        pass


async def test_has_a_deadline(accuser):
    with trio.fail_after(60):
        die(accuser)
        await trio.sleep_forever()


async def test_has_ended(accuser):
    die(accuser)


async def test_has_ended_with_a_signal(accuser):
    accuser.signal(signal.SIGKILL)


async def test_expects_it_in_vain(accuser):
    from accuser import DaemonExited

    with pytest.raises(DaemonExited):
        die(accuser)
        await trio.sleep_forever()


async def test_of_two_daemons(node, accuser):
    die(accuser)
    die(node)
    await trio.sleep_forever()


async def test_handles_badly(node, client):
    @node.on_event
    def handler(event):
        raise KeyError(event.name)

    await client.bake_for()
    await trio.sleep_forever()


async def test_wants_it(accuser):
    async with accuser.expect_exit():
        die(accuser)


async def test_tolerates_it(open_node):
    node = await open_node(may_exit=True)
    die(node)
    await node.terminate()


async def test_fails_while_it_opens(open_node):
    from accuser import BinaryNotFound

    with pytest.raises(BinaryNotFound):
        await open_node(toolchain=__import__("accuser").installed("/nowhere"))
"""


def test_an_exit_that_nobody_asked_for_fails_the_test_whatever_it_does(project: Project) -> None:
    project.write(test_hard=HARD)
    ended = project.pytest("-rA", PATH="/nowhere")
    ended.count(failed=8, passed=3)
    for title in (
        *(
            "test_catches",
            "test_swallows_its_cancellation",
            "test_has_a_deadline",
            "test_has_ended",
            "test_has_ended_with_a_signal",
        ),
        *("test_expects_it_in_vain", "test_of_two_daemons"),
    ):
        assert any("accuser1 ended unasked: killed by SIGKILL" in line for line in ended.below(title, 10)), (
            title
        )
    assert any("node1 ended unasked" in line for line in ended.below("test_of_two_daemons", 10))
    assert ended.below("test_handles_badly", 1)[0].startswith("HandlerFailed: handler ")
    assert len(project.bundles) == 8


NODE_DIES = """\
import signal
import time


async def test_it(node):
    node.signal(signal.SIGKILL)


async def test_it_later(node):
    node.signal(signal.SIGKILL)
    time.sleep(0.05)  # it is gone, and nothing has seen it
"""


def test_the_files_of_a_node_that_died_when_the_test_had_ended_are_kept(project: Project) -> None:
    project.write(test_node=NODE_DIES)
    ended = project.pytest()
    ended.count(failed=2)
    assert "error 1 of 2" not in ended.output
    assert len(project.bundles) == 2
    for bundle in project.bundles:
        assert (bundle / "node1" / "node1" / "version.json").is_file()


BAKES = """\
async def test_lives(node, baker, accuser):
    await node.wait_for_level(4)
    assert [event["level"] for event in [await baker.wait_for("block_injected.v0")]]


async def test_shares(node, client, open_baker):
    for names in (["bootstrap1", "bootstrap2"], ["bootstrap3", "bootstrap4", "bootstrap5"]):
        await open_baker(node, client, delegates=names)
    await node.wait_for_level(3)
"""


def test_a_chain_that_lives_by_itself(project: Project) -> None:
    project.write(test_bakes=BAKES)
    project.pytest().count(passed=2)


ORDER = """\
async def test_order(open_node, open_accuser, open_client, node, client, accuser):
    second = await open_node(arguments=("--connections 0", "--synchronisation-threshold 0"))
    await (await open_client(second)).activate_protocol(__import__("accuser").Protocol.ALPHA)
    await open_accuser(second, __import__("accuser").Protocol.ALPHA)
    await open_accuser(node)
    raise ValueError("to be seen")


async def test_waits(node):
    import trio

    with trio.fail_after(0.01):
        await node.wait_for_level(99)
"""


def test_the_last_daemon_is_the_first_to_go(project: Project) -> None:
    project.write(test_order=ORDER)
    bundles = project.folder / "bundles"
    ended = project.pytest(f"--mavryk-bundles={bundles}")
    ended.count(failed=2)
    assert ended.below("test_order", 1) == ["ValueError: to be seen"]
    exits = []
    for line in (bundles / "test_order-test_order" / "run.jsonl").read_text().splitlines():
        if (entry := json.loads(line))["type"] == "exit":
            assert entry["status"] == 127
            exits.append(entry["daemon"])
    assert exits == ["accuser3", "accuser2", "node2", "accuser1", "node1"]
    assert ended.below("test_waits", 1)[0].startswith(
        "TooSlowError: trio.fail_after cut off the wait of node1: head_increment.v0 / branch_switch.v0 "
        "where level >= 99, cancelled after"
    )
    assert project.bundles == []


def test_it_works_in_several_processes(project: Project) -> None:
    project.write(test_one=TEST, test_two=TWIN)
    ended = project.pytest("-n", "2")
    ended.count(passed=1, failed=1)
    assert "accuser1 ended unasked: killed by SIGKILL" in "\n".join(ended.below(TITLE, 10))
    assert "mavryk: sandbox (auto: no mavkit-node in MAVKIT_BIN_DIR and PATH), boreas" in ended.lines
    assert len(project.bundles) == 1
