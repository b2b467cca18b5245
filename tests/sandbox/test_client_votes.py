"""The client's votes: what it checks itself, what it tries on the node, and what it tells.

Whole outputs are compared under a clock that stands still while anything is computed: a client whose node is
slow says that it waits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from trio.testing import MockClock

from accuser._mavryk.codec.crypto import ACTIVATOR, BOOTSTRAP
from tests.support.clients import Outcome, World, bake, world

DEMO: Final = "ProtoDemoCounterDemoCounterDemoCounterDemoCou4LSpdT"
OTHER: Final = "ProtoDemoNoopsDemoNoopsDemoNoopsDemoNoopsDemo6XBoYp"
UNKNOWN: Final = "PtParisBxoLz5gzMmn3d9WBQNoPSZakgnkMC2VNuQ3KXfUtUQeZ"
ONE: Final = BOOTSTRAP[0].pkh
SHORT: Final = {"blocks_per_cycle": 4, "cycles_per_voting_period": 1, "nonce_revelation_threshold": 3}


@asynccontextmanager
async def voting(tmp_path: Path, **constants: object) -> AsyncIterator[World]:
    async with world(tmp_path) as w:
        await w.activate(**{**SHORT, **constants})
        w.node.synchronisation.is_bootstrapped = True
        yield w


async def propose(w: World, *proposals: str, delegate: str = "bootstrap1") -> Outcome:
    return await w.run("submit", "proposals", "for", delegate, *proposals)


def failed(stdout: str, complaint: str) -> Outcome:
    return Outcome(1, stdout, f"Fatal error:\n  {complaint}\n")


async def test_proposals_are_tried_injected_and_not_awaited(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with voting(tmp_path) as w:
        branch = w.head.hash
        outcome = await propose(w, DEMO, OTHER)
        (operation,) = w.pending()
        assert outcome == Outcome(
            0,
            "All proposals are valid.\n"
            "Node is bootstrapped.\n"
            "Operation successfully injected in the node.\n"
            f"Operation hash is '{operation.hash}'\n"
            "NOT waiting for the operation to be included.\n"
            "Use command\n"
            f"  mavkit-client wait for {operation.hash} to be included --confirmations 1 --branch {branch}\n"
            "and/or an external block explorer to make sure that it has been included.\n"
            "This sequence of operations was run:\n"
            "  Proposals:\n"
            f"    From: {ONE}\n"
            "    Period: 0\n"
            "    Protocols:\n"
            f"      {DEMO}\n"
            f"      {OTHER}\n\n",
            "",
        )


async def test_proposals_that_the_client_refuses(tmp_path: Path) -> None:
    async with voting(tmp_path) as w:
        complaint = "Submission failed because of invalid proposals."
        one = "There is an issue with the submission:\n"
        many = "There are issues with the submission:\n"
        assert await propose(w) == failed(f"{one}* Empty proposal list.\n\n", complaint)
        twice = f"* There is a duplicate proposal:\n  {DEMO}.\n"
        assert await propose(w, DEMO, DEMO) == failed(f"{one}{twice}\n", complaint)
        unknown = f"* Protocol {UNKNOWN} is not a known\n  proposal.\n"
        powerless = (
            f"* Public-key-hash `{ACTIVATOR.pkh}` from account\n"
            "  `activator` does not appear to have voting rights.\n"
        )
        outcome = await propose(w, UNKNOWN, delegate="activator")
        assert outcome == failed(f"{many}{powerless}{unknown}\n", complaint)
        outcome = await propose(w, *[DEMO] * 21)
        assert "* Too many proposals: 21 > 20.\n\n" in outcome.stdout
        assert w.pending() == []


async def test_proposals_that_the_node_refuses(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with voting(tmp_path) as w:
        await propose(w, DEMO)
        await bake(w, "bootstrap1", "--minimal-timestamp")
        outcome = await propose(w, DEMO)
        assert outcome.stderr == "Fatal error:\n  Failed to submit proposals\n"
        head, found, trace = outcome.stdout.partition("Node is bootstrapped.\nError:\nError:\n  ")
        assert (head, bool(found)) == ("All proposals are valid.\n", True)
        assert "already" in trace
        assert trace.endswith("\n\n")
        assert w.pending() == []


async def test_what_is_forced_is_told_and_tried(tmp_path: Path) -> None:
    async with voting(tmp_path) as w:
        outcome = await w.run("submit", "proposals", "for", "bootstrap1", UNKNOWN, "--force")
        assert "\nSome proposals are not valid, but `--force` was used.\n" in outcome.stdout
        assert (outcome.status, len(w.pending())) == (0, 1)


async def test_ballots(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with voting(tmp_path) as w:
        ballot = ("submit", "ballot", "for")
        early = "Not in Exploration or Promotion period"
        assert await w.run(*ballot, "bootstrap1", DEMO, "yay") == failed("", early)
        await propose(w, DEMO)
        for _ in range(3):
            await bake(w, "bootstrap1", "--minimal-timestamp")
        outcome = await w.run(*ballot, "bootstrap1", OTHER, "yay")
        assert outcome == failed("", f"Unexpected proposal, expected: {DEMO}")
        outcome = await w.run(*ballot, "activator", DEMO, "yay")
        rights = "does not appear to have voting rights."
        assert outcome == failed("", f"Public-key-hash `{ACTIVATOR.pkh}` from account `activator` {rights}")
        tried = await w.ok(*ballot, "bootstrap1", DEMO, "nay", "--dry-run")
        assert w.pending() == []
        shown = f'Ballot:\n    From: {ONE}\n    Period: 1\n    Protocol: {DEMO}\n    Vote: "nay"\n'
        assert tried.endswith(f"Simulation result:\n  {shown}\n")
        printed = await w.ok(*ballot, "bootstrap1", DEMO, "yea")
        assert "NOT waiting for the operation to be included.\n" in printed
        assert '    Vote: "yay"\n' in printed
        assert len(w.pending()) == 1
        await bake(w, "bootstrap1", "--minimal-timestamp")
        outcome = await w.run(*ballot, "bootstrap1", DEMO, "yay")
        assert (outcome.status, outcome.stdout) == (1, "Node is bootstrapped.\n")
        assert outcome.stderr.startswith("Error:\n  ")
