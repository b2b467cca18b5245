"""Secrets, which are in no recording, log, error or command line, and files that nobody else may read."""

from __future__ import annotations

import json
import logging
import os
import stat
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from accuser import (
    SANDBOX,
    Accuser,
    Client,
    CommandFailed,
    Endpoint,
    Protocol,
    Recording,
    open_client,
    open_daemon,
    open_node,
    open_sandbox,
)
from accuser._mavryk.codec.base58 import Kind, encode
from accuser._recording.entries import STRUCTURE
from accuser._recording.reader import read_entries
from accuser._text import Secrets
from accuser.testing import FaultyDaemon, event, line, ready

KEY = encode(Kind.ED25519_SEED, bytes(range(32)))


@pytest.mark.parametrize("begin", ["edsk", "edesk", "spsk", "spesk", "p2sk", "p2esk", "BLsk", "BLesk"])
def test_secret_keys_are_known_from_hashes_and_signatures(begin: str) -> None:
    secrets = Secrets()
    key = begin.ljust(54, "3")
    assert secrets.hide(f"{key} \\n{key} unencrypted:{key}") == (
        "(not shown) \\n(not shown) unencrypted:(not shown)"
    )
    block, signature = begin.ljust(51, "3"), f"sigVe{key}".ljust(99, "3")
    assert secrets.hide(f"{block} {signature}") == f"{block} {signature}"
    assert json.loads(secrets.hide_in_json(json.dumps([block, key]).encode())) == [block, "(not shown)"]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_known_is_hidden_wherever_it_occurs() -> None:
    secrets = Secrets()
    secrets.learn_environment(
        {
            "DB_PASS": "hunter2",
            "GITHUB_TOKEN": 'quo"ted\\token',
            "AUTH": "abcd",
            "GIT_AUTHOR_NAME": "somebody",
            "KEY": "abc",
            "USE_TOKEN": "true",
            "DATABASE": "postgres://me:s3cr3t@host/db",
        }
    )
    assert secrets.hide("hunter2 hunter21 -hunter2.") == "(not shown) hunter21 -(not shown)."
    assert secrets.hide("abcd abcde somebody abc true") == "(not shown) abcde somebody abc true"
    assert secrets.hide("at s3cr3t postgres://me:x@h") == "at (not shown) postgres://h"
    assert secrets.hide(f"unencrypted:{KEY}!") == "unencrypted:(not shown)!"
    assert secrets.hide("edsk asks") == "edsk asks"
    data = json.dumps({"type": "line", "text": 'say quo"ted\\token', "n": [1, "hunter2"]}).encode()
    assert json.loads(secrets.hide_in_json(data)) == {
        "type": "line",
        "text": "say (not shown)",
        "n": [1, "(not shown)"],
    }
    assert secrets.hide_in_json(b'{"text":"nothing"}') == b'{"text":"nothing"}'


def test_what_is_left_of_a_shortened_secret_is_hidden_too() -> None:
    secrets = Secrets()
    long = "a-password-of-some-length"
    secrets.learn(long, "brief1")
    assert secrets.hide(f"'{KEY[:4]}...{KEY[-12:]}' {KEY[:20]}... x...") == "'(not shown)' (not shown) x..."
    assert (
        secrets.hide(f"{long[:9]}... 'x...{long[-9:]}' {long[:8]}y...")
        == "(not shown) 'x(not shown)' (not shown)"
    )
    assert (
        secrets.hide("a-pass... brief... ...length a-password") == "a-pass... brief... ...length a-password"
    )


def test_a_secret_that_is_a_word_of_recordings_breaks_none() -> None:
    secrets = Secrets()
    secrets.learn("line", "daemon", "12345678")
    data = b'{"type":"line","daemon":"line 1","text":"a line","n":12345678}'
    assert json.loads(secrets.hide_in_json(data, STRUCTURE)) == {
        "type": "line",
        "daemon": "(not shown) 1",
        "text": "a (not shown)",
        "n": 12345678,
    }


async def test_no_recording_has_one_and_nobody_else_may_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SOME_PASSWORD", "correct-horse")
    record = tmp_path / "run.jsonl"
    record.write_text("before")
    record.chmod(0o644)
    script = (
        ready(),
        line(f"key {KEY} correct-horse"),
        event("a.v0", {"uri": f"unencrypted:{KEY}", "p": ["correct-horse", 1]}),
    )
    path = FaultyDaemon(*script).write(tmp_path)
    accuser = Accuser(
        Protocol.BOREAS,
        Endpoint("http://127.0.0.1:9"),
        path=path,
        record=record,
        arguments=("--password", "correct-horse"),
        unknown_events=True,
    )
    with caplog.at_level(logging.DEBUG, "accuser"):
        async with open_daemon(accuser):
            value = await accuser.wait_for("a.v0", since=accuser.start_mark())
            await accuser.wait_for_line("key", since=accuser.start_mark())
    assert value["uri"] == f"unencrypted:{KEY}"  # whoever waits gets what was written
    assert mode(record) == 0o600
    for text in (record.read_text(), caplog.text):
        assert "(not shown)" in text
        assert KEY not in text
        assert "correct-horse" not in text
    assert len(list(read_entries(record))) > 4


async def test_an_imported_key_is_in_the_wallet_and_nowhere_else(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    async with open_sandbox() as sandbox:
        record = Recording(tmp_path / "run.jsonl")
        async with open_node(toolchain=sandbox.toolchain, record=record) as node, open_client(node) as client:
            with caplog.at_level(logging.DEBUG, "accuser"):
                await client.import_secret_key("bob", KEY)
                assert "bob: mv1" in await client.command("list", "known", "addresses")
                with pytest.raises(CommandFailed, match="alias bob already exists") as taken:
                    await client.import_secret_key("bob", KEY)
                with pytest.raises(CommandFailed) as wrong:
                    await client.import_secret_key("eve", KEY[:-1] + "1")
                await client.import_secret_key("bob", KEY, force=True)
            wallet = client.base_dir
            assert KEY in (wallet / "secret_keys").read_text()
            for name in ("secret_keys", "public_keys", "public_key_hashs"):
                assert mode(wallet / name) == 0o600
    for text in (
        caplog.text,
        record.path.read_text(),
        *(repr(e.value) + str(e.value) for e in (taken, wrong)),
    ):
        assert KEY[:-1] not in text
    assert KEY not in taken.value.stderr


async def test_a_key_is_in_no_command_line_of_this_machine() -> None:
    seen: list[bytes] = []

    async def look() -> None:
        while True:
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    seen.append((folder / "cmdline").read_bytes())
                except OSError:
                    continue
            await trio.lowlevel.checkpoint()

    client = Client(Endpoint("http://127.0.0.1:9"), toolchain=SANDBOX)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            await client.import_secret_key("bob", KEY)
            # A command may be over before it is looked at.
            while not any(b"known" in words for words in seen):
                assert "bob" in await client.command("list", "known", "addresses")
            nursery.cancel_scope.cancel()
    finally:
        client.remove()
    assert not any(KEY.encode() in words for words in seen)
    assert os.environ.get("KEY") != KEY
