"""How daemons are started: command line, environment, and mistakes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio

from accuser import (
    Accuser,
    Protocol,
    open_accuser,
)
from accuser.testing import NO_NODE, ScriptedDaemon
from tests.support.kept import remove_kept

# Command line and environment.


async def test_the_command_line_and_environment_are_upstreams(tmp_path: Path) -> None:
    body = """
        import json
        ready()
        event("seen.v0", json.dumps([sys.argv[1:], os.environ["MAVRYK_EVENTS_CONFIG"], os.environ["KEPT"]]))
        until_term()
    """
    os.environ["KEPT"] = "yes"
    try:
        async with ScriptedDaemon(body).open(folder=tmp_path, preserved_levels=3) as accuser:
            argv, sink, kept = await accuser.wait_for("seen.v0", since=accuser.start_mark())
            base_dir = str(accuser.base_dir)
            assert argv == ["-E", NO_NODE.url, "--base-dir", base_dir, "run", "--preserved-levels", "3"]
            assert sink == f"file-descriptor-path://{accuser.event_pipe}?section-prefix=:info"
            assert kept == "yes"
            assert accuser.event_pipe.name == "accuser1-event-pipe"
            assert accuser.base_dir.name == "accuser1"
            assert accuser.node_rpc_port == 9
    finally:
        del os.environ["KEPT"]


async def test_the_event_level_of_a_run_holds_for_a_restart(tmp_path: Path) -> None:
    body = """
        import json
        ready()
        event("seen.v0", json.dumps(os.environ["MAVRYK_EVENTS_CONFIG"].partition("?")[2]))
        until_term()
    """
    path = ScriptedDaemon(body).write(tmp_path)
    async with open_accuser(
        Protocol.BOREAS, NO_NODE, path=path, event_level="debug", unknown_events=True
    ) as accuser:
        for _ in range(2):
            assert await accuser.wait_for("seen.v0", since=accuser.start_mark()) == "section-prefix=:debug"
            await accuser.restart()


async def test_the_last_section_level_given_comes_first_in_the_query(tmp_path: Path) -> None:
    body = """
        import json
        ready()
        event("seen.v0", json.dumps(os.environ["MAVRYK_EVENTS_CONFIG"].partition("?")[2]))
        until_term()
    """
    accuser = Accuser(
        Protocol.BOREAS, NO_NODE, path=ScriptedDaemon(body).write(tmp_path), unknown_events=True
    )

    async def run(task_status: trio.TaskStatus[None]) -> None:
        await accuser.run(event_sections_levels=(("s1", "debug"), ("s2", "none")), task_status=task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        query = await accuser.wait_for("seen.v0", since=accuser.start_mark())
        assert query == "section-prefix=s2:none&section-prefix=s1:debug&section-prefix=:info"
        await accuser.terminate()


def test_names_and_colors_cycle_and_given_ones_take_no_place() -> None:
    accusers = [Accuser(Protocol.BOREAS, NO_NODE, name=name) for name in (None, "mine", None, None)]
    assert [accuser.name for accuser in accusers] == ["accuser1", "mine", "accuser2", "accuser3"]
    assert [accuser.color for accuser in accusers] == [
        "\033[43m\033[30m",
        "\033[43m\033[37m",
        "\033[43m\033[34m",
        "\033[43m\033[30m",
    ]


async def test_standard_input_stays_open(tmp_path: Path) -> None:
    body = """
        import select
        ready()
        event("input.v0", "true" if select.select([0], [], [], 0)[0] else "false")
        until_term()
    """
    async with ScriptedDaemon(body).open(folder=tmp_path) as accuser:
        assert await accuser.wait_for("input.v0", since=accuser.start_mark()) is False


class Reported:
    """A status that was reported already, as trio's is when `started` was called before."""

    def started(self, value: None = None) -> None:
        raise RuntimeError("it was reported already")


async def test_a_start_that_was_reported_already_leaves_no_daemon(tmp_path: Path) -> None:
    accuser = Accuser(Protocol.BOREAS, NO_NODE, path=ScriptedDaemon("ready()\nuntil_term()").write(tmp_path))
    with pytest.raises(RuntimeError, match="reported already") as caught:
        await accuser.run(task_status=Reported())
    assert (accuser.running, accuser.exit_status) == (False, None)
    remove_kept(caught.value)
