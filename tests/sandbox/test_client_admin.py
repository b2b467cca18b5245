"""What the client tells of RPCs, peers, heads and its wallet, on a node in this process."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import BOOTSTRAP
from accuser.sandbox.client.context import Context
from accuser.sandbox.node.node import Node
from accuser.sandbox.node.p2p import PeerNetwork

from ..support.clients import OTHER_SECRET, Outcome, World, bake, world

ADMIN = "mavkit-admin-client"


async def admin(w: World, *words: str) -> str:
    return await w.ok(*words, program=ADMIN)


# RPCs


async def test_the_list_of_rpcs(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        printed = await w.ok("rpc", "list", "/network")
        assert printed.startswith("\nAvailable services:\n  \n  + network/\n")
        assert "    - GET /network/version\n" in printed
        assert "\n    - DELETE /network/connections/<peer_id>\n" in printed
        assert printed.endswith("\nDynamic parameter description:\n  \n  peer_id\n  point\n\n")
        whole = await w.ok("rpc", "list")
        for line in ("- GET /version\n", "- POST /injection/block\n", "+ chains/<chain_id>/"):
            assert line in whole
        outcome = await w.run("rpc", "list", "/nosuch")
        assert (outcome.status, outcome.stdout) == (1, "")


@pytest.mark.parametrize("word", ["schema", "format"])
async def test_what_an_rpc_takes_and_gives(tmp_path: Path, word: str) -> None:
    async with world(tmp_path) as w:
        printed = await w.ok("rpc", word, "get", "/version")
        assert "output" in printed.lower()
        if word == "schema":
            assert set(json.loads(printed)) == {"output"}
            posted = json.loads(await w.ok("rpc", word, "post", "/injection/block"))
            assert set(posted) == {"input", "output"}
        else:
            assert printed.startswith("Output format:\n  ")
            refused = await w.run("rpc", word, "get", "/version", "--binary")
            assert refused.status == 1
        nothing = "No service found at this URL (but this is a valid prefix)\n\n"
        assert await w.ok("rpc", word, "post", "/version") == nothing
        assert await w.ok("rpc", word, "get", "/network") == nothing


# The admin client


async def test_statistics_of_a_node_that_is_alone(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await admin(w, "trust", "address", "127.0.0.9:9734")
        lines = (await admin(w, "p2p", "stat")).splitlines()
        traffic = r"  ↗ \d+ B \(\d+ B/s\) ↘ \d+ B \(\d+ B/s\)"
        assert lines[0] == "GLOBAL STATS"
        assert re.fullmatch(traffic, lines[1])
        assert lines[2:5] == ["CONNECTIONS", "KNOWN PEERS", "KNOWN POINTS"]
        assert re.fullmatch(r"  ⚏  127\.0\.0\.9:9734 +★", lines[5])


@asynccontextmanager
async def with_peer(w: World) -> AsyncGenerator[str]:
    """Connect the node to another one; give the other's identity."""
    async with trio.open_nursery() as nursery:
        other = Node(encode(Kind.PEER, bytes(16)), clock=w.wall)
        network = PeerNetwork(other, nursery, 9733, False)
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        nursery.start_soon(trio.serve_listeners, network.accept, [listener])  # noqa: ASYNC113 - bound already
        await admin(w, "connect", "address", f"127.0.0.1:{listener.socket.getsockname()[1]}")
        yield other.peer_id
        nursery.cancel_scope.cancel()


async def test_statistics_of_a_connection(tmp_path: Path) -> None:
    async with world(tmp_path) as w, with_peer(w) as peer:
        printed = await admin(w, "p2p", "stat")
        connection = rf"\n  ↗ {peer} 127\.0\.0\.1:\d+ \(\w+\.\d+ \(p2p: \d+\)\)\n"
        assert re.search(connection, printed)
        known = printed.partition("KNOWN PEERS\n")[2]
        assert re.match(rf"  ⚌  \d+ {peer} ↗ .* ↘ .* \n", known)
        assert re.search(rf"KNOWN POINTS\n  ⚌  127\.0\.0\.1:\d+ {peer} ", known)


async def test_peers_are_trusted_and_banned(tmp_path: Path) -> None:
    async with world(tmp_path) as w, with_peer(w) as peer:
        short = peer[:12]
        assert await admin(w, "trust", "peer", peer) == f"The peer {short} is now trusted.\n"
        assert "★" in (await admin(w, "p2p", "stat")).partition("KNOWN PEERS")[2].partition("KNOWN POINTS")[0]
        assert await admin(w, "untrust", "peer", peer) == f"The peer {short} is now untrusted.\n"
        assert await admin(w, "is", "peer", "banned", peer) == "The given peer ID is not banned\n"
        assert await admin(w, "ban", "peer", peer) == f"The peer {short} is now banned.\n"
        assert await admin(w, "is", "peer", "banned", peer) == "The given peer ID is banned\n"
        assert peer not in w.node.peers
        assert await admin(w, "unban", "peer", peer) == f"The peer {short} is now unbanned.\n"
        assert await admin(w, "is", "peer", "banned", peer) == "The given peer ID is not banned\n"
        for word in ("trust", "kick"):
            outcome = await w.run(word, "peer", "x", program=ADMIN)
            assert outcome.status == 1
            assert outcome.stderr.startswith(
                "Error:\n  Erroneous command line argument 3 (x).\n"
                '  Failed to read a b58check_encoding data (Crypto_box.Public_key_hash): "x"\n\nUsage:\n'
            )


async def test_the_heads_that_a_node_knows(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        assert await admin(w, "list", "heads") == f"{w.head.hash}\n"
        file = tmp_path / "heads"
        assert await admin(w, "list", "heads", "-o", str(file)) == ""
        assert file.read_text() == f"{w.head.hash}\n"


async def test_blocks_that_were_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world(tmp_path) as w:
        assert await admin(w, "list", "rejected", "blocks") == "No invalid blocks.\n"
        block = w.head.hash

        async def answer(self: Context, path: str) -> object:  # noqa: RUF029 - of the type that is wanted
            # The sandbox's own node forgets what it has refused.
            assert path == "/chains/main/invalid_blocks"
            errors = [{"kind": "permanent", "id": "proto.002-PtBoreas.invalid_fitness"}]
            return [{"block": block, "level": 7, "errors": errors}]

        monkeypatch.setattr(Context, "get", answer)
        printed = await admin(w, "list", "rejected", "blocks")
        assert printed == f"Hash: {block}\n  Level: 7\n  Error:\n    Invalid fitness\n"


# The wallet


def entries(w: World, name: str) -> list[tuple[str, object]]:
    return [(one["name"], one["value"]) for one in json.loads((w.base_dir / name).read_text())]


async def test_the_newest_is_first_and_for_its_owner_alone(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        (w.base_dir / "public_keys").unlink()
        (w.base_dir / "secret_keys").unlink()
        (w.base_dir / "public_key_hashs").unlink()
        for key in BOOTSTRAP[:2]:
            await w.ok("import", "secret", "key", key.alias, f"unencrypted:{key.secret_key}")
        await w.ok("gen", "keys", "fresh")
        for name in ("public_keys", "secret_keys", "public_key_hashs"):
            assert [alias for alias, _ in entries(w, name)] == ["fresh", "bootstrap2", "bootstrap1"]
            assert (w.base_dir / name).stat().st_mode & 0o777 == 0o600
        public = dict(entries(w, "public_keys"))
        text = BOOTSTRAP[0].public_key
        assert public["bootstrap1"] == {"locator": f"unencrypted:{text}", "key": text}
        printed = await w.ok("list", "known", "addresses")
        names = [line.partition(":")[0] for line in printed.splitlines()]
        assert names == ["fresh", "bootstrap2", "bootstrap1"]
        assert f"bootstrap1: {BOOTSTRAP[0].pkh} (unencrypted sk known)\n" in printed
        assert {path.name for path in w.base_dir.iterdir()} == {
            "public_keys",
            "secret_keys",
            "public_key_hashs",
        }


async def refused(w: World, *words: str) -> Outcome:
    outcome = await w.run(*words)
    assert (outcome.status, outcome.stdout) == (1, "")
    return outcome


async def test_addresses_are_forgotten(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        before = entries(w, "secret_keys")
        kept = await refused(w, "forget", "address", "bootstrap5")
        complaint = "secret or public key present for bootstrap5, use --force to delete"
        assert kept.stderr == f"Error:\n  {complaint}\n"
        assert entries(w, "secret_keys") == before
        assert await w.ok("forget", "address", "bootstrap5", "--force") == ""
        for name in ("public_keys", "secret_keys", "public_key_hashs"):
            assert "bootstrap5" not in dict(entries(w, name))
            assert "bootstrap4" in dict(entries(w, name))
        unforced = await refused(w, "forget", "all", "keys")
        assert unforced.stderr == "Error:\n  this can only be used with option --force\n"
        await w.ok("forget", "all", "keys", "--force")
        for name in ("public_keys", "secret_keys", "public_key_hashs"):
            assert entries(w, name) == []
        await w.ok("import", "secret", "key", "other", f"unencrypted:{OTHER_SECRET}")
        assert [alias for alias, _ in entries(w, "secret_keys")] == ["other"]


async def test_known_contracts_are_those_of_the_file_and_the_accounts(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        originated = "KT1BEqzn5Wx8uJrZNvS9DVHSEtg1swdFAhZS"
        contracts = [{"name": "bootstrap1", "value": originated}]
        (w.base_dir / "contracts").write_text(json.dumps(contracts))
        lines = (await w.ok("list", "known", "contracts")).splitlines()
        assert lines[0] == f"bootstrap1: {originated}"
        assert f"key:bootstrap1: {BOOTSTRAP[0].pkh}" in lines
        assert f"bootstrap2: {BOOTSTRAP[1].pkh}" in lines


# Lines of a bake


async def test_a_bake_misses_the_dal_and_tells_of_new_heads(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with world(tmp_path) as w:
        await w.activate()
        await bake(w, "--minimal-timestamp")
        assert "DAL" not in capfd.readouterr().err
        before = w.head.hash
        await bake(w, "--minimal-timestamp", "-n", "3")
        printed = re.sub(r"\n\w{3} \d\d [\d:.]{12}:   ", " ", capfd.readouterr().err)
        texts = [line.partition(": ")[2] for line in printed.splitlines()]
        missed = "DAL feature enabled, but no DAL node specified: cannot fetch attestations"
        assert texts[0] == missed
        heads = [text for text in texts if text.startswith("received new head ")]
        blocks = w.node.chain.blocks
        second = blocks[w.head.predecessor]
        first = blocks[second.predecessor]
        assert first.predecessor == before
        assert heads == [
            f"received new head {one.hash} at level {one.level}, round {one.round}" for one in (first, second)
        ]
        await bake(w, "--minimal-timestamp", "--dal-node", "http://127.0.0.1:9")
        assert missed not in capfd.readouterr().err


async def test_a_connection_that_nobody_takes_is_told_in_words(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
        port = listener.socket.getsockname()[1]
        await listener.aclose()
        outcome = await w.run("connect", "address", f"127.0.0.1:{port}", program="mavkit-admin-client")
        text = "Error:\n  TCP connection failed (refused or no route to host.\n"
        assert (outcome.status, outcome.stdout, outcome.stderr) == (1, "", text)
