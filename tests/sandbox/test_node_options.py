"""Options of the sandbox's node: what it logs and where, and its sandbox mode."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

from accuser._mavryk.codec.crypto import ACTIVATOR, BOOTSTRAP
from accuser.sandbox.chain.block import Network
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.node import daemon as node_daemon
from accuser.sandbox.node.arguments import UsageError, parse
from accuser.sandbox.node.config import Config, ConfigError
from accuser.sandbox.node.log_config import sinks
from accuser.sandbox.node.points import Point
from accuser.sandbox.node.sandbox_mode import DEFAULT_ACTIVATOR, listening, sandboxed
from accuser.sandbox.sink.uri import Level
from accuser.sandbox.sink.uri import parse as parse_uri
from accuser.sandbox.surroundings.system import OwnProcess
from tests.sandbox.test_node_process import prepare, running
from tests.support.forger import activation

# Glued short flags


@pytest.mark.parametrize(
    ("words", "verbosity", "data_dir"),
    [
        (["-vv"], 2, None),
        (["-vvv"], 3, None),
        (["-v", "-vv"], 3, None),
        (["-vd", "D"], 1, "D"),
        (["-vvdD"], 2, "D"),
        (["-dvv"], 0, "vv"),
    ],
)
def test_short_flags_may_be_glued(words: list[str], verbosity: int, data_dir: str | None) -> None:
    parsed = parse(["run", *words])
    assert parsed is not None
    assert len(parsed.values.get("v", ())) == verbosity
    assert parsed.last("data-dir") == data_dir


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-vx"], "unknown option '-x'"),
        (["-vvd"], "option '-d' needs an argument"),
        (["--sandbox", "/no/such/file"], "option '--sandbox': no '/no/such/file' file"),
        (["--sandbox", "/"], "option '--sandbox': '/' is a directory"),
    ],
)
def test_what_is_glued_is_checked(words: list[str], complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(["run", *words])
    assert complaint in str(caught.value)


# Logs


@pytest.mark.parametrize(
    ("value", "verbosity", "environ", "target", "level", "colors"),
    [
        ({}, 0, {}, "file-descriptor-stderr", Level.NOTICE, True),
        ({}, 1, {}, "file-descriptor-stderr", Level.INFO, True),
        ({}, 2, {}, "file-descriptor-stderr", Level.DEBUG, True),
        ({}, 5, {}, "file-descriptor-stderr", Level.DEBUG, True),
        ({"output": "stdout", "level": "error"}, 0, {}, "file-descriptor-stdout", Level.ERROR, True),
        ({"level": "error", "colors": False}, 1, {}, "file-descriptor-stderr", Level.INFO, False),
    ],
)
def test_the_log(
    value: Any, verbosity: int, environ: dict[str, str], target: str, level: Level, colors: bool
) -> None:
    (uri,) = sinks(Config({"log": value} if value else {}), verbosity, environ)
    parsed = parse_uri(uri)
    assert (parsed.target.value, parsed.default, parsed.colors) == (target, level, colors)


def test_a_log_in_a_file_whose_name_needs_escapes() -> None:
    (uri,) = sinks(Config({"log": {"output": "/tmp/a b?c.log"}}), 0, {})
    assert parse_uri(uri).path == "/tmp/a%20b%3Fc.log"


def test_rules_of_sections() -> None:
    log = {"rules": "node.main -> fatal; p2p->debug ;; * -> info"}
    (uri,) = sinks(Config({"log": log}), 0, {})
    parsed = parse_uri(uri)
    assert not parsed.takes(("node", "main"), Level.ERROR)
    assert parsed.takes(("p2p", "x"), Level.DEBUG)
    assert parsed.takes(("other",), Level.INFO)
    (uri,) = sinks(Config({"log": log}), 0, {"MAVRYK_LOG": "warning", "LWT_LOG": "debug"})
    assert not parse_uri(uri).takes(("p2p", "x"), Level.NOTICE)
    (uri,) = sinks(Config({}), 0, {"LWT_LOG": "p2p -> error"})
    assert parse_uri(uri).takes(("other",), Level.NOTICE)
    assert not parse_uri(uri).takes(("p2p",), Level.NOTICE)


@pytest.mark.parametrize("rules", ["-> debug", "p2p ->", "p2p -> loud", "a -> b -> debug"])
def test_rules_that_are_none(rules: str) -> None:
    with pytest.raises(ConfigError, match="Incorrect log rules defined in environment variable MAVRYK_LOG"):
        sinks(Config({}), 0, {"MAVRYK_LOG": rules})
    with pytest.raises(ConfigError, match="Incorrect log rules defined in configuration file"):
        sinks(Config({"log": {"rules": rules}}), 0, {})


def test_internal_events_take_the_place_of_the_log() -> None:
    for name in ("active_sinks", "activate"):
        config = Config({"internal-events": {name: ["file-descriptor-path:///x"]}, "log": {"level": "debug"}})
        assert sinks(config, 2, {}) == ("file-descriptor-path:///x",)
    assert sinks(Config({"internal-events": {}}), 0, {}) == ()


@pytest.mark.parametrize(
    "value",
    [
        {"log": 1},
        {"log": {"loud": True}},
        {"log": {"level": "loud"}},
        {"log": {"colors": "yes"}},
        {"internal-events": ["x"]},
        {"internal-events": {"active_sinks": [1]}},
        {"internal-events": {"active_sinks": [], "activate": []}},
    ],
)
def test_configurations_of_logs_that_cannot_be(value: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        sinks(Config(value), 0, {})


async def test_the_options_of_logs_go_into_the_configuration_file(tmp_path: Path) -> None:
    words = ["--network", "sandbox", "--log-output", "stdout", "--log-coloring", "false"]
    words += ["--data-dir", str(tmp_path)]
    assert await node_daemon.execute("mavkit-node", ["config", "init", *words], OwnProcess()) == 0
    value = json.loads((tmp_path / "config.json").read_text())
    assert value["log"] == {"output": "stdout", "colors": False}


# Sandbox mode


@pytest.mark.parametrize(
    ("content", "activator"),
    [
        ({"genesis_pubkey": BOOTSTRAP[0].public_key, "other": 1}, BOOTSTRAP[0].public_key),
        ({}, DEFAULT_ACTIVATOR),
        ({"genesis_pubkey": 3}, DEFAULT_ACTIVATOR),
        ({"genesis_pubkey": "edpk"}, DEFAULT_ACTIVATOR),
        ([], DEFAULT_ACTIVATOR),
    ],
)
def test_the_activator_of_a_sandbox_file(tmp_path: Path, content: object, activator: str) -> None:
    file = tmp_path / "sandbox.json"
    file.write_text(json.dumps(content))
    network = sandboxed(Network(), Config({"network": "sandbox"}), file)
    assert (network.activator_key, network.chain_name) == (activator, "SANDBOXED_MAVRYK")
    assert network.chain_id == Network().chain_id
    custom = Config({"network": {"sandboxed_chain_name": "MINE"}})
    assert sandboxed(Network(), custom, file).chain_name == "MINE"
    file.write_text("{")
    with pytest.raises(ConfigError, match="is not a valid JSON sandbox file"):
        sandboxed(Network(), custom, file)


@pytest.mark.parametrize(
    ("host", "listens"), [("::", False), ("127.0.0.1", True), ("10.0.0.1", True), ("::1", True), ("h", True)]
)
def test_addresses_of_a_sandboxed_node(host: str, listens: bool) -> None:
    assert listening(Point(host, 9732)) == ([Point(host, 9732)] if listens else [])


@pytest.mark.parametrize("host", ["8.8.8.8", "0.0.0.0", "2606:4700::1111"])
def test_public_addresses_of_a_sandboxed_node(host: str) -> None:
    with pytest.raises(ConfigError, match=r"listen on a public address .*--sandbox"):
        listening(Point(host, 9732))


async def test_a_sandboxed_node(tmp_path: Path) -> None:
    await prepare(tmp_path)
    file, log = tmp_path / "sandbox.json", tmp_path / "node.log"
    file.write_text(json.dumps({"genesis_pubkey": BOOTSTRAP[0].public_key}))
    chain = Chain(attrs.evolve(Network(), activator_key=BOOTSTRAP[0].public_key))
    made = activation(chain, key=BOOTSTRAP[0])
    refused = activation(chain, key=ACTIVATOR)
    options = ("--sandbox", str(file), "--log-output", str(log), "-vv")
    async with running(tmp_path, *options) as (_, client, _):
        version = (await client.request("GET", "/version")).json()
        assert version["network_version"]["chain_name"] == "SANDBOXED_MAVRYK"
        for header, status in ((refused, 500), (made, 200)):
            body = json.dumps({"data": header.to_bytes().hex(), "operations": []}).encode()
            assert (await client.request("POST", "/injection/block", body=body)).status == status
    text = log.read_text()
    assert "starting the Mavkit node" in text
    assert "disabled local peer discovery" in text
