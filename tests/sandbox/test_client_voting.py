"""The client proposes and votes, and keeps a wallet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from accuser._mavryk.codec.crypto import (
    ACTIVATOR,
    BOOTSTRAP,
    CHAIN_ID,
    key_of_secret,
    verify,
    watermark,
)
from accuser._mavryk.codec.operations import Consensus
from accuser.sandbox.client.wallet import Wallet, WalletError
from tests.support.clients import (
    OTHER_SECRET,
    STARTED,
    Outcome,
    bake,
    world,
)

# Proposing


async def test_propose_at_the_next_level(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        await bake(w, "bootstrap1", "--minimal-timestamp")
        previous = w.head
        outcome = await w.run("propose", "for", "bootstrap1", "--minimal-timestamp")
        assert w.head.level == 3
        assert outcome.stdout == f"Proposed block at round {w.head.round} on top of {previous.hash} \n"
        assert w.head.operations[0] == ()


async def test_propose_again_when_votes_are_missing(tmp_path: Path) -> None:
    now = STARTED + 86400.0
    async with world(tmp_path, lambda: now) as w:
        await w.activate(consensus_threshold=256)
        await bake(w, "--minimal-timestamp")
        first = w.head
        now = float(first.header.shell.timestamp)
        outcome = await w.run("propose", "for")
        assert outcome.stderr == (
            "Fatal error:\n  Cannot propose: there's already a valid proposal for the current round 0\n"
        )
        now += 1.5
        outcome = await w.run("propose", "for")
        assert outcome.stdout == "Reproposed block at level 2 on round 1\n"
        assert (w.head.level, w.head.round) == (2, 1)
        assert w.head.header.shell.predecessor == first.header.shell.predecessor


# Voting


@pytest.mark.parametrize("kind", ["attestation", "preattestation"])
async def test_votes_for_the_head(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    verb = kind.replace("ation", "")
    async with world(tmp_path) as w:
        await w.activate()
        await bake(w, "bootstrap1", "--minimal-timestamp")
        await bake(w, "bootstrap1", "--minimal-timestamp")
        head, key = w.head, BOOTSTRAP[1]
        outcome = await w.run(verb, "for", "bootstrap2", "--force")
        assert outcome == Outcome(0, f"{verb.capitalize()}ing for:\n  bootstrap2 ({key.pkh})\n", "")
        (operation,) = w.pending()
        content = operation.content
        slot = head.state.calendar.slots(3)[key.pkh][0]
        assert content == Consensus(kind, slot, 3, head.round, w.data.payload_hash)  # type: ignore[arg-type]  # a kind, by a parameter
        mark = watermark(content.watermark, CHAIN_ID)
        signed = operation.unsigned_bytes()
        assert verify(key.public_key, operation.signature, signed, watermark=mark)
        # One block below the predecessor, which may still be replaced.
        assert operation.branch == w.node.chain.resolve("head~2").hash
        assert operation.hash in capfd.readouterr().err


async def test_a_vote_is_given_once(tmp_path: Path) -> None:
    now = STARTED + 86400.0
    async with world(tmp_path, lambda: now) as w:
        await w.activate()
        await bake(w, "--minimal-timestamp")
        now = w.head.header.shell.timestamp + 0.5
        await w.ok("attest", "for", "bootstrap2")
        (first,) = w.pending()
        await w.ok("attest", "for", "bootstrap2")
        assert w.pending() == [first]


async def test_votes_only_for_the_current_round(tmp_path: Path) -> None:
    now = STARTED + 86400.0
    async with world(tmp_path, lambda: now) as w:
        await w.activate()
        await bake(w, "bootstrap1", "--minimal-timestamp")
        outcome = await w.run("attest", "for", "bootstrap2")
        assert outcome == Outcome(1, "", "Fatal error:\n  Cannot attest an outdated proposal\n")
        now = float(STARTED)
        outcome = await w.run("preattest", "for", "bootstrap2")
        assert outcome == Outcome(1, "", "Fatal error:\n  Cannot preattest an invalid proposal\n")
        assert w.pending() == []


async def test_a_refused_vote_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        await bake(w, "bootstrap1", "--minimal-timestamp")
        w.node.use_mempool = False
        outcome = await w.run("attest", "for", "bootstrap2", "--force")
        assert outcome.status == 0
        text = " ".join(line.split(": ", 1)[-1].strip() for line in capfd.readouterr().err.splitlines())
        assert "failed to inject attestation for bootstrap2" in text


# The wallet


async def test_import_and_list(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        key = key_of_secret(OTHER_SECRET)
        printed = await w.ok("import", "secret", "key", "alice", f"unencrypted:{OTHER_SECRET}")
        assert printed == f"Mavryk address added: {key.pkh}\n"
        listed = await w.ok("list", "known", "addresses")
        assert f"alice: {key.pkh} (unencrypted sk known)\n" in listed
        assert len(listed.splitlines()) == 7
        shown = await w.ok("show", "address", "alice", "--show-secret")
        assert shown == (
            f"Hash: {key.pkh}\nPublic Key: {key.public_key}\nSecret Key: unencrypted:{OTHER_SECRET}\n"
        )
        assert "Secret" not in await w.ok("show", "address", "alice")
        outcome = await w.run("import", "secret", "key", "alice", f"unencrypted:{ACTIVATOR.secret_key}")
        assert outcome.status == 1
        assert "The secret_key alias alice already exists.\n" in outcome.stderr
        await w.ok("import", "secret", "key", "alice", f"unencrypted:{ACTIVATOR.secret_key}", "--force")
        assert Wallet(w.base_dir).address("alice") == ACTIVATOR.pkh


async def test_what_cannot_be_imported(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        for secret, complaint in (
            ("ledger://x", "The sandbox has no keys of the scheme ledger"),
            ("nowhere:x", "No matching plugin for key scheme nowhere"),
            (BOOTSTRAP[0].secret_key, "SK_URI needs a scheme"),
            ("unencrypted:edskNo", '(Signature.Secret_key): "edskNo"'),
            (f"unencrypted:{BOOTSTRAP[0].secret_key}", "this public_key is already aliased as bootstrap1"),
        ):
            outcome = await w.run("import", "secret", "key", "alice", secret)
            assert outcome.status == 1
            assert complaint in outcome.stderr
        assert "alice" not in await w.ok("list", "known", "addresses")
        outcome = await w.run("show", "address", "alice")
        assert (outcome.status, outcome.stdout) == (1, "")
        wrong = (
            "Error:\n  Erroneous command line argument 3 (alice).\n  no public key hash alias named alice\n"
        )
        assert outcome.stderr.startswith(f"{wrong}\nUsage:")


def test_marks_never_go_down(tmp_path: Path) -> None:
    wallet, (one, two) = Wallet(tmp_path), (BOOTSTRAP[0].pkh, BOOTSTRAP[1].pkh)
    assert wallet.may_sign(CHAIN_ID, "blocks", [one], 5, 1) == [one]
    assert wallet.may_sign(CHAIN_ID, "blocks", [one, two], 5, 1) == [two]
    assert wallet.may_sign(CHAIN_ID, "attestations", [one], 5, 1) == [one]
    assert wallet.may_sign(CHAIN_ID, "blocks", [one], 4, 9, force=True) == [one]
    assert wallet.may_sign(CHAIN_ID, "blocks", [one], 5, 0) == []
    assert wallet.may_sign(CHAIN_ID, "blocks", [one], 5, 2) == [one]
    marks = json.loads((tmp_path / "NetXXAAR1wWQh_highwatermarks").read_text())
    assert marks["blocks"][0] == {"delegate": one, "highwatermark": {"round": 2, "level": 5}}
    assert marks["preattestations"] == []


@pytest.mark.parametrize("content", ["{", '[{"name": 1}]', "[3]"])
def test_a_spoilt_wallet_is_said_to_be_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "public_key_hashs").write_text(content)
    with pytest.raises(WalletError, match="alias file"):
        Wallet(tmp_path).address("bootstrap1")
