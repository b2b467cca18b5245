"""The scenarios in one process, as in many."""

from __future__ import annotations

import contextlib
import os
import re
import threading

import pytest
import trio
from trio.testing import MockClock

from accuser import (
    SANDBOX,
    Accuser,
    CommandFailed,
    EventTimeout,
    Node,
    Protocol,
    Sandbox,
    ScenarioFailed,
    Toolchain,
    open_accuser,
    open_client,
    open_node,
    open_sandbox,
)
from accuser.scenarios import SCENARIOS
from tests.support.in_process import ALONE, nothing_of_the_system, sandbox
from tests.support.kept import remove_kept

__all__ = ["sandbox"]  # fixtures of this module

EVERY_SCENARIO = pytest.mark.parametrize(
    ("name", "protocol"),
    [
        (name, protocol)
        for name, scenario in SCENARIOS.items()
        for protocol in scenario.protocols
        if not scenario.needs_runner
    ],
    ids=lambda value: value.tag if isinstance(value, Protocol) else value,
)


def test_the_watch_sees_threads_processes_and_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket
    import subprocess

    async def in_a_thread() -> None:
        await trio.to_thread.run_sync(int)

    for use in (
        lambda: threading.Thread(target=int).start(),
        lambda: trio.run(in_a_thread),
        lambda: subprocess.run(["true"], check=True),
        lambda: socket.socket().close(),
        lambda: os.mkfifo("/nowhere"),
    ):
        with pytest.raises(AssertionError), nothing_of_the_system(monkeypatch):
            with contextlib.suppress(OSError):
                use()


# The same scenarios.


@EVERY_SCENARIO
async def test_a_scenario(autojump_clock: MockClock, sandbox: Sandbox, name: str, protocol: Protocol) -> None:
    steps: list[str] = []
    result = await SCENARIOS[name].run(sandbox.toolchain, protocol, report=steps.append)
    assert steps[0].startswith("toolchain: sandbox in this process; protocol")
    assert protocol.long_name in steps[0]
    assert len(steps) >= 5
    # Of trio's clock: a scenario has only to compute, unless bakers keep to their rounds.
    assert (result.seconds == 0.0) is (name != "two-bakers-one-key")
    assert result.outcome in {
        "denounced and included",
        "denounced, and denounced again",
        "seen, and passed over",
        "denounced, forbidden and slashed",
        "taken over, denounced and included",
        "adopted, overridden and taken over",
        "two bakers with one key were denounced for blocks and attestations",
    }


TWINS = {
    "double-baking": (
        ScenarioFailed,
        r"Double baking evidence was not found: o\w+ is not in validation pass 2 of block B\w+ of level 5, "
        r"whose operations are \['o\w+'\]\n",
    ),
    "double-attestation": (
        EventTimeout,
        r"^accuser1: no double_consensus_already_denounced.v0 / double_attestation_denounced.v0 "
        r"where it is about the injected operation within 60 s\n",
    ),
    "double-preattestation": (
        EventTimeout,
        r"double_preattestation_denounced.v0 where it is about the injected operation",
    ),
    "adaptive-issuance": (
        ScenarioFailed,
        r"bootstrap2 \(mv1\w+\) is not forbidden after block B\w+ of level 8, which was to have evidence",
    ),
    "migration": (ScenarioFailed, r"Expected the accuser to find B\w{50}, found B\w{50}\n"),
    "voting-override": (ScenarioFailed, r"Expected to find period kind cooldown but found proposal"),
    "two-bakers-one-key": (
        ScenarioFailed,
        r"the baker was held back by its watermark: (potential_double_baking|skipping_consensus_vote).v0 "
        r"at level 2, round \d+",
    ),
    "operation-too-old": (EventTimeout, r"consensus_operation_too_old.v0 where the operation is o\w+"),
    "operation-too-far-in-the-future": (
        EventTimeout,
        r"consensus_operation_too_far_in_future.v0 where the operation is o\w+",
    ),
}
"""What a user reads when a scenario fails."""


@EVERY_SCENARIO
async def test_the_twin_of_a_scenario_fails(
    autojump_clock: MockClock, sandbox: Sandbox, name: str, protocol: Protocol
) -> None:
    error, message = TWINS[name.partition("-wrong-")[0]]
    with pytest.raises(error, match=message) as caught:
        await SCENARIOS[name].run(sandbox.toolchain, protocol, twin=True)
    remove_kept(caught.value, count=len([note for note in caught.value.__notes__ if "are kept in" in note]))


async def told(toolchain: Toolchain) -> list[object]:
    """What the programs say on a chain of two blocks, but for times, ports, hashes and identities."""
    lines: list[str] = []
    names: list[str] = []

    def listen(daemon: Node | Accuser) -> None:
        daemon.on_event(lambda event: names.append(event.name))
        daemon.on_stdout(lines.append)
        daemon.on_stderr(lines.append)

    async with open_node(toolchain=toolchain, arguments=ALONE) as node, open_client(node) as client:
        # What is said until it is ready may come before or after that is known: so, once more.
        await node.terminate()
        listen(node)
        await node.restart()
        await client.activate_protocol(Protocol.BOREAS)
        async with open_accuser(Protocol.BOREAS, node) as accuser:
            await accuser.terminate()
            listen(accuser)
            await accuser.restart()
            await accuser.wait_for("daemon_start.v0", since=accuser.start_mark())
            async with accuser.expect("accuser_processed_block.v0", count=2):
                await client.bake_for("bootstrap1", count=2)
            known = await client.command("list", "known", "addresses")
            with pytest.raises(CommandFailed) as refused:
                await client.command("bake", "with", "love")
            await accuser.terminate()
        await node.terminate()
    changing = r"^\w{3} \d\d [\d:.]{12}|\bB\w{50}|\bid\w{28}|127\.0\.0\.1:\d+"
    # An accuser that has to wait for the answer says so after a while.
    shown = [
        re.sub(changing, "", line) for line in lines if not re.search("Waiting for the node|Current", line)
    ]
    facts = (node.exit_status, accuser.exit_status, known, refused.value.status, refused.value.stderr)
    return [sorted(shown), sorted(names), *facts]


def test_both_forms_tell_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    async def inside() -> list[object]:
        async with open_sandbox() as sandbox:
            return await told(sandbox.toolchain)

    ours = trio.run(inside, clock=MockClock(autojump_threshold=0))
    theirs = trio.run(told, SANDBOX)
    assert ours == theirs
    assert "TERM: triggering shutdown." in str(ours)
    assert "block_injected" not in str(ours)
