"""What the client does with accounts: balances, transfers, and what it tells of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import trio
import trio.testing

from accuser._mavryk.codec.crypto import BOOTSTRAP

from ..support.clients import World, bake, world

ONE, TWO = BOOTSTRAP[0], BOOTSTRAP[1]


async def _balance(w: World, who: str) -> str:
    return await w.ok("get", "balance", "for", who)


async def test_balances_by_alias_hash_and_kind(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        w.node.synchronisation.is_bootstrapped = True
        assert await _balance(w, "bootstrap1") == "3800000 ṁ\n"
        for text in (ONE.pkh, f"text:{ONE.pkh}", "alias:bootstrap1", "key:bootstrap1"):
            assert await _balance(w, text) == "3800000 ṁ\n"
        outcome = await w.run("get", "balance", "for", "nobody")
        assert outcome.status == 1
        for reading in ("bad contract notation", "no contract or key named nobody"):
            assert f"  {reading}\n" in outcome.stderr


async def _transferred(w: World, *wait: str, blocks: int) -> str:
    """What a transfer prints while as many blocks are baked as it needs to end, and no more."""
    outcomes = []

    async def transfer() -> None:
        outcomes.append(await w.run(*wait, "transfer", "1.5", "from", "bootstrap1", "to", "bootstrap2"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(transfer)
        while not w.pending() and not outcomes:
            await trio.testing.wait_all_tasks_blocked()
        for _ in range(blocks):
            assert outcomes == []
            await bake(w, "bootstrap3", "--minimal-timestamp")
            await trio.testing.wait_all_tasks_blocked()
    (outcome,) = outcomes
    assert (outcome.status, outcome.stderr) == (0, "")
    return outcome.stdout


@pytest.mark.parametrize("wait", [(), ("-w", "0")])
async def test_a_transfer_is_simulated_injected_and_awaited(
    tmp_path: Path, wait: tuple[str, ...], autojump_clock: trio.testing.MockClock
) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        w.node.synchronisation.is_bootstrapped = True
        branch = w.head.hash
        printed = await _transferred(w, *wait, blocks=1)
        lines = printed.splitlines()
        assert lines[0] == "Node is bootstrapped."
        assert lines[1].startswith("Estimated gas: ")
        assert "Waiting for the operation to be included..." in lines
        assert any(line.startswith(f"Operation found in block: {w.head.hash} (pass: 3") for line in lines)
        assert "      Amount: ṁ1.5" in lines
        ((operation,),) = w.head.operations[3:]
        assert printed.endswith(
            "\n\nThe operation has only been included 0 blocks ago.\nWe recommend to wait more.\n"
            "Use command\n"
            f"  mavkit-client wait for {operation.hash} to be included --confirmations 1 --branch {branch}\n"
            "and/or an external block explorer.\n"
        )
        assert await _balance(w, "bootstrap2") == "3800001.5 ṁ\n"
        assert (await _balance(w, "bootstrap1")).startswith("3799998.49")


async def test_a_transfer_is_final_after_one_more_block(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        w.node.synchronisation.is_bootstrapped = True
        printed = await _transferred(w, "-w", "4", blocks=2)
        needless = "Tenderbake needs at most 1 confirmations for finality (4 given). Using 1 confirmations.\n"
        assert needless in printed
        assert f"Operation received 1 confirmations as of block: {w.head.hash}\n" in printed
        assert printed.endswith("The operation was included in a block 1 blocks ago.\n")


async def test_a_configuration_file_may_want_no_wait(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        w.node.synchronisation.is_bootstrapped = True
        (w.base_dir / "config").write_text(json.dumps({"base_dir": str(w.base_dir)}))
        printed = await w.ok("transfer", "1", "from", "bootstrap1", "to", "bootstrap2")
        assert "NOT waiting for the operation to be included.\n" in printed


async def test_a_transfer_that_is_too_old_is_not_awaited(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate(max_operations_time_to_live=3)
        w.node.synchronisation.is_bootstrapped = True
        outcomes = []

        async def transfer() -> None:
            outcomes.append(await w.run("transfer", "1", "from", "bootstrap1", "to", "bootstrap2"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(transfer)
            while not w.pending() and not outcomes:
                await trio.testing.wait_all_tasks_blocked()
            await trio.testing.wait_all_tasks_blocked()
            while not outcomes:
                assert w.head.level < 10
                await bake(w, "bootstrap3", "--minimal-timestamp", "--ignore-node-mempool")
                await trio.testing.wait_all_tasks_blocked()
        (outcome,) = outcomes
        assert outcome.status == 1
        assert outcome.stderr.startswith("Fatal error:\n  The operation o")
        assert " is outdated and may never be included in the chain.\n" in outcome.stderr


async def test_a_transfer_waits_for_its_node_and_says_so(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        words = ("-w", "none", "transfer", "1", "from", "bootstrap1", "to", "bootstrap2")
        with trio.move_on_after(3600) as hour:
            await w.run(*words)
        assert hour.cancelled_caught
        assert w.pending() == []
        outcomes = []

        async def transfer() -> None:
            outcomes.append(await w.ok(*words))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(transfer)
            await trio.sleep(1)
            await bake(w, "--minimal-timestamp")
            await trio.sleep(1)
            w.node.synchronisation.is_bootstrapped = True
            w.node.feeds.bootstrapped()
        first, second, third, *_ = outcomes[0].splitlines()
        assert first == "Waiting for the node to be bootstrapped..."
        assert re.fullmatch(r"Current head: BL\w{10} \(timestamp: 20.*, validation: 20.*\)", second)
        assert third == "Node is bootstrapped."


async def test_signing_leaves_no_lock(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        await bake(w, "--minimal-timestamp")
        names = {path.name for path in w.base_dir.iterdir()}
        assert names == {
            *("public_key_hashs", "public_keys", "secret_keys", "parameters.json"),
            "NetXXAAR1wWQh_highwatermarks",
        }
        # A real client has left its own, which it does not make again.
        (w.base_dir / "wallet_lock").touch()
        await bake(w, "--minimal-timestamp")
        assert (w.base_dir / "wallet_lock").exists()


async def test_a_transfer_need_not_be_awaited(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        w.node.synchronisation.is_bootstrapped = True
        printed = await w.ok("-w", "none", "transfer", "1", "from", "bootstrap1", "to", TWO.pkh)
        assert "NOT waiting for the operation to be included.\n" in printed
        (operation,) = w.pending()
        assert operation.content.body.amount == 1_000_000
        assert f"Operation hash is '{operation.hash}'\n" in printed


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("4000000", "--burn-cap", "1"), "Fatal error:\n  transfer simulation failed\n"),
        (("1", "--fee", "0.000001"), "are lower than the fee that baker expect"),
        (("1", "--fee", "2"), "are higher than the configured fee cap (ṁ1)"),
        (("1.0000001",), "Invalid ṁ notation in parameter qty: '1.0000001'"),
        (("1", "--counter", "-1"), "Invalid counter, must be a non-negative number."),
    ],
)
async def test_transfers_that_are_refused(tmp_path: Path, words: tuple[str, ...], complaint: str) -> None:
    amount, *options = words
    async with world(tmp_path) as w:
        await w.activate()
        w.node.synchronisation.is_bootstrapped = True
        outcome = await w.run("transfer", amount, "from", "bootstrap1", "to", "bootstrap2", *options)
        assert outcome.status == 1
        assert complaint in outcome.stderr
        assert w.pending() == []


async def test_a_new_account_is_burned_for_and_reveals_itself(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        w.node.synchronisation.is_bootstrapped = True
        await w.ok("gen", "keys", "fresh")
        outcome = await w.run("transfer", "10", "from", "bootstrap1", "to", "fresh")
        assert "will burn ṁ0.06425 which is higher than the configured burn cap (ṁ0)" in outcome.stderr
        paid = ("transfer", "10", "from", "bootstrap1", "to", "fresh", "--burn-cap", "0.06425")
        await w.ok("-w", "none", *paid)
        await bake(w, "--minimal-timestamp")
        assert await _balance(w, "fresh") == "10 ṁ\n"
        back = await w.ok("-w", "none", "transfer", "1", "from", "fresh", "to", "bootstrap1")
        assert "  Revelation of manager public key:\n" not in back.split("Manager")[0]
        assert "Revelation of manager public key:\n" in back
        await bake(w, "--minimal-timestamp")
        assert (await _balance(w, "fresh")).startswith("8.99")


async def test_the_time_of_the_head(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        w.node.synchronisation.is_bootstrapped = True
        assert await w.ok("get", "timestamp") == "2025-08-14T11:35:03Z\n"
        assert await w.ok("get", "timestamp", "--seconds") == "1755171303\n"
