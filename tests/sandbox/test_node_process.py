"""The sandbox's node as a process: command line, files, events, signals."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from accuser._http.client import HttpClient
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.node import daemon as node_daemon
from accuser.sandbox.node.arguments import UsageError, parse
from accuser.sandbox.node.config import Config, ConfigError
from accuser.sandbox.node.store import FileStore
from accuser.sandbox.surroundings.system import OwnProcess
from tests.support.forger import activation, double_baking
from tests.support.nodes import (
    BOREAS,
    recorded_values,
    shape,
    standing,
    two_bakings,
)

# Store


def stored(path: Path) -> Chain:
    chain, store = Chain(), FileStore(path)
    store.load(chain)
    store.close()
    return chain


async def test_a_restart_finds_its_chain(tmp_path: Path) -> None:
    path = tmp_path / "store" / "blocks"
    store = FileStore(path)
    chain = Chain()
    assert store.load(chain) == 0
    async with standing(chain=chain) as stand:
        stand.node.store = store
        made = activation(chain)
        await stand.take(made, ())
        root, block, sibling, _ = await two_bakings(stand)
        operation = double_baking(block, sibling, root.hash)
        await stand.bake(operations=((), (), (operation,), ()))
    store.close()
    again = stored(path)
    assert again.head.hash == chain.head.hash
    assert again.blocks.keys() == chain.blocks.keys()
    assert again.head.state.denounced == chain.head.state.denounced
    size = path.stat().st_size
    for cut in (1, 3, 200):
        path.write_bytes(path.read_bytes()[: size - cut])
        assert stored(path).head.level == 3
        path.write_bytes(path.read_bytes() + b"\0\0")
        assert stored(path).head.level == 3
        assert stored(path).head.level == 3
    path.write_bytes(b"\xff" * 50)
    assert stored(path).head.level == 0
    assert path.stat().st_size == 0


# Process and command line


PROGRAM = [sys.executable, "-m", "accuser.sandbox", "mavkit-node"]


@pytest.mark.parametrize("module", ["node.daemon", "client.main", "accuser.daemon", "baker.daemon"])
def test_a_program_starts_without_the_library(module: str) -> None:
    code = f"import sys, accuser.sandbox.{module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    library = {"accuser._daemons", "accuser._engine", "accuser._errors", "trio.testing", "email"}
    assert not library & set(done.stdout.split())


def run_node(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--foo"], "unknown option '--foo'"),
        (["run", "--foo=1"], "unknown option '--foo'"),
        (["run", "-x"], "unknown option '-x'"),
        (["--foo"], "unknown option '--foo'"),
        (["frobnicate"], "unknown command 'frobnicate', must be one of 'config', 'identity', 'run'"),
        (
            ["config", "ini"],
            "unknown command 'ini', must be one of 'init', 'reset', 'show', 'update', 'validate'",
        ),
        (["run", "surplus"], "too many arguments, don't know what to do with 'surplus'"),
        (["identity", "generate", "0", "1"], "too many arguments, don't know what to do with '1'"),
        (["run", "--data-dir"], "option '--data-dir' needs an argument"),
        (
            ["run", "--private-mode=yes"],
            "option '--private-mode' is a flag, it cannot take the argument 'yes'",
        ),
        (["run", "--net-addr", "a:1", "--net-addr", "a:2"], "option '--net-addr' cannot be repeated"),
        (["run", "--disable-p2p"], "option '--disable-p2p' ambiguous and could be one of"),
    ],
)
def test_wrong_command_lines(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(arguments)
    assert str(caught.value).startswith(f"mavkit-node: {message}")
    assert "\nUsage: mavkit-node" in str(caught.value)


def test_command_lines_of_upstreams_tests() -> None:
    line = (
        "run --data-dir D --net-addr 127.0.0.1:1 --metrics-addr 127.0.0.1:2 --rpc-addr 127.0.0.1:3 "
        "--max-active-rpc-connections 500 --allow-all-rpc 127.0.0.1:3 --singleprocess -v -v"
    )
    parsed = parse(line.split())
    assert parsed is not None
    assert parsed.last("data-dir") == "D"
    assert parsed.values["rpc-addr"] == ["127.0.0.1:3"]
    assert parsed.values["v"] == ["", ""]
    short = parse(["identity", "generate", "-dD", "0"])
    assert short is not None
    assert (short.last("data-dir"), short.positional) == ("D", "0")
    long = parse(["run", "--synchronisation=2"])
    assert long is not None
    assert long.last("synchronisation-threshold") == "2"
    assert parse([]) is None
    assert parse(["run", "--help"]) is None


def test_configuration(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data_dir = str(tmp_path / "node")

    def run(*arguments: str) -> int:
        return node_daemon.main("mavkit-node", [*arguments, "--data-dir", data_dir])

    assert run("identity", "generate", "0") == 0
    assert run("identity", "generate", "0") == 1
    assert "Cannot implicitly overwrite the current identity file" in capfd.readouterr().err
    options = [
        "--private-mode",
        "--synchronisation-threshold",
        "0",
        "--network",
        "sandbox",
        "--expected-pow",
        "0",
    ]
    assert run("config", "init", *options) == 0
    value = json.loads((tmp_path / "node" / "config.json").read_text())
    assert value == {
        "data-dir": data_dir,
        "network": "sandbox",
        "p2p": {"expected-proof-of-work": 0.0, "private-mode": True},
        "shell": {"chain_validator": {"synchronisation_threshold": 0}},
    }
    assert "for network: sandbox." in capfd.readouterr().err
    assert run("config", "init", *options) == 1
    assert "Pre-existing configuration file" in capfd.readouterr().err
    assert run("config", "update", "--connections", "0") == 0
    assert run("config", "show") == 0
    shown = json.loads(capfd.readouterr().out)
    assert shown["shell"]["chain_validator"] == {"synchronisation_threshold": 2}
    assert run("config", "reset") == 0
    assert json.loads((tmp_path / "node" / "config.json").read_text()) == {
        "data-dir": data_dir,
        "network": "sandbox",
    }
    assert run("identity", "show") == 0
    assert run("identity", "check", "0") == 0
    assert run("identity", "check", "60") == 1
    (tmp_path / "node" / "identity.json").write_text("{}")
    assert run("identity", "show") == 1
    for options in (
        ["--network", "nowhere"],
        ["--rpc-addr", "x:y"],
        ["--media-type", "xml"],
        ["--connections", "many"],
        ["--bootstrap-threshold", "1", "--synchronisation-threshold", "1"],
    ):
        assert run("config", "update", *options) == 1
    assert run("run", "--network", "mainnet") == 1
    assert node_daemon.main("mavkit-node", ["--version"]) == 0
    assert "sandbox" in capfd.readouterr().out
    assert node_daemon.main("mavkit-node", ["run", "--nope"]) == 1
    assert "Usage: mavkit-node run" in capfd.readouterr().err


def test_custom_networks() -> None:

    upgrade = {"level": 7, "replacement_protocol": BOREAS}
    override = {"replaced_protocol": "P", "replacement_protocol": BOREAS}
    users = {"user_activated_upgrades": [upgrade], "user_activated_protocol_overrides": [override]}
    network = Config({"network": {"chain_name": "X", **users}}).network()
    assert (network.chain_name, network.upgrades, network.overrides) == ("X", {7: BOREAS}, {"P": BOREAS})
    for value in ({}, {"network": "mainnet"}, {"network": {"user_activated_upgrades": [1]}}):
        with pytest.raises(ConfigError):
            Config(value).network()


@attrs.define(eq=False)
class EventBytes:
    """What a node writes into its event pipe."""

    data: bytes = b""
    ready: trio.Event = attrs.field(factory=trio.Event)
    ended: trio.Event = attrs.field(factory=trio.Event)

    async def collect(self, reader: int) -> None:
        while True:
            await trio.lowlevel.wait_readable(reader)
            self.data += os.read(reader, 65536)
            if b"node_is_ready" in self.data:
                self.ready.set()
            if b'"bye.v0"' in self.data:
                self.ended.set()


@asynccontextmanager
async def running(
    data_dir: Path, *options: str
) -> AsyncGenerator[tuple[trio.Process, HttpClient, EventBytes]]:
    """A node process, ready."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pipe = data_dir / "events"
    if not pipe.exists():
        os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    environ = {**os.environ, "MAVRYK_EVENTS_CONFIG": f"file-descriptor-path://{pipe}?section-prefix=:debug"}
    rpc = f"127.0.0.1:{port}"
    arguments = ["run", "--data-dir", str(data_dir), "--net-addr", "127.0.0.1:0", "--rpc-addr", rpc]
    command = [*PROGRAM, *arguments, *options]
    process = await trio.lowlevel.open_process(command, env=environ, stderr=subprocess.DEVNULL)
    events = EventBytes()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(events.collect, reader)
            with trio.fail_after(20):
                await events.ready.wait()
            yield process, HttpClient(f"http://{rpc}"), events
            nursery.cancel_scope.cancel()
    finally:
        if process.poll() is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
        os.close(reader)


async def prepare(data_dir: Path) -> None:
    for command in (
        ["identity", "generate", "0"],
        ["config", "init", "--network", "sandbox", "--expected-pow", "0"],
    ):
        words = [*command, "--data-dir", str(data_dir)]
        assert await node_daemon.execute("mavkit-node", words, OwnProcess()) == 0


async def test_a_node_process_from_start_to_signal(tmp_path: Path) -> None:
    await prepare(tmp_path)
    chain = Chain()
    made = activation(chain)
    async with running(tmp_path, "--synchronisation-threshold", "0") as (process, client, lines):
        body = json.dumps({"data": made.to_bytes().hex(), "operations": []}).encode()
        response = await client.request("POST", "/injection/block", body=body)
        assert response.json() == made.hash
        second = run_node("run", "--data-dir", str(tmp_path))
        assert second.returncode == 1
        assert "Data directory is locked by another process" in second.stderr
        other = tmp_path / "other"
        await prepare(other)
        taken = run_node(
            "run", "--data-dir", str(other), "--net-addr", "127.0.0.1:0", "--rpc-addr", client.url[7:]
        )
        assert taken.returncode == 1
        assert "Another mavryk node is probably running" in taken.stderr
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(20):
            assert await process.wait() == 127
        with trio.fail_after(5):
            await lines.ended.wait()
    known = recorded_values("33-node-start-and-stop.events")
    names = []
    for line in lines.data.decode().splitlines():
        item = json.loads(line)["fd-sink-item.v0"]
        for name, value in item["event"].items():
            name = name.removesuffix(".v0")
            names.append(name)
            if name in known:
                assert item["section"] == known[name][0], name
                assert shape(value) == shape(known[name][1]), name
    assert names[:3] == ["uri_loaded_from_env", "read_identity", "starting_node"]
    assert names.index("node_is_ready") < names.index("set_head") < names.index("head_increment")
    assert names[-3:] == ["shutting_down_node", "shutting_down_local_rpc_server", "bye"]
    async with running(tmp_path, "--synchronisation-threshold", "0") as (process, client, _):
        assert (await client.request("GET", "/chains/main/blocks/head/hash")).json() == made.hash
        process.send_signal(signal.SIGINT)
        with trio.fail_after(20):
            assert await process.wait() == 127


async def test_an_identity_is_made_where_there_is_none(tmp_path: Path) -> None:
    await prepare(tmp_path)
    (tmp_path / "identity.json").unlink()
    async with running(tmp_path) as (process, client, lines):
        response = await client.request("GET", "/network/self")
        assert response.json() == json.loads((tmp_path / "identity.json").read_text())["peer_id"]
        assert b"identity_generated" in lines.data
        process.kill()
        await process.wait()


async def test_a_wrong_event_configuration(tmp_path: Path) -> None:
    await prepare(tmp_path)
    environ = {**os.environ, "MAVRYK_EVENTS_CONFIG": "no-such-scheme:///x"}
    command = [*PROGRAM, "run", "--data-dir", str(tmp_path)]
    done = await trio.run_process(command, env=environ, capture_stderr=True, check=False)
    assert done.returncode == 1
    assert b"URI scheme not registered" in done.stderr


async def test_a_signal_ends_a_node_whose_complaints_nobody_reads(tmp_path: Path) -> None:
    await prepare(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--net-addr", "127.0.0.1:0", "--rpc-addr", f"127.0.0.1:{port}"]
    command = [*PROGRAM, "run", "--data-dir", str(tmp_path), *options]
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    process = await trio.lowlevel.open_process(
        command,
        stderr=writer,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)),
    )
    os.close(writer)
    clients = []
    try:
        with trio.fail_after(20):
            seen = b""
            while b"now running" not in seen:
                await trio.lowlevel.wait_readable(reader)
                seen += os.read(reader, 4096)
            # More clients than descriptors, for as long as complaints need to fill the pipe.
            for _ in range(60):
                clients.append(await trio.open_tcp_stream("127.0.0.1", port))
            await trio.sleep(1)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 127
    finally:
        process.kill()
        os.close(reader)
        for client in clients:
            await trio.aclose_forcefully(client)


async def test_a_signal_ends_a_node_whose_event_pipe_nobody_reads(tmp_path: Path) -> None:
    await prepare(tmp_path)
    pipe = tmp_path / "events"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    try:
        while True:
            os.write(reader, b"x" * 4096)
    except BlockingIOError:
        os.read(reader, 16384)
    # Room for the first events only: the start never gets to its end.
    environ = {**os.environ, "MAVRYK_EVENTS_CONFIG": f"file-descriptor-path://{pipe}?section-prefix=:debug"}
    fill = b"y" * 15000
    os.write(reader, fill)
    command = [*PROGRAM, "run", "--data-dir", str(tmp_path), "--net-addr", "127.0.0.1:0"]
    process = await trio.lowlevel.open_process(command, env=environ, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        with trio.fail_after(20):
            seen = b""
            while b"starting the Mavkit node" not in seen:
                seen += await process.stderr.receive_some()
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 127
    finally:
        process.kill()
        os.close(reader)
