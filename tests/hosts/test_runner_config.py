"""Upstream's file about another machine, and the scenario that needs one."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from accuser import SANDBOX, Protocol, RunnerConfigError, ScenarioFailed, SSHRunner, load_runner_config
from accuser.commands import cli
from accuser.scenarios import double_baking_remote
from tests.support.kept import remove_kept
from tests.support.proc import command_of
from tests.support.sshd import SSHD, Server, serve

NEEDS_SSHD = pytest.mark.skipif(SSHD is None, reason="no OpenSSH server is installed")

FULL = {
    "ip_address": "192.0.2.7",
    "ssh_alias": "lab",
    "ssh_user": "me",
    "ssh_port": 2222,
    "ssh_id": "/keys/lab",
    "node_path": "/opt/mavkit/mavkit-node",
}


def test_the_keys_of_upstreams_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "lab.json"
    file.write_text(json.dumps({**FULL, "ssh_config": None}))
    monkeypatch.setenv("TEZT_RUNNER_CONFIG", str(file))
    for config in (load_runner_config(file), load_runner_config()):
        runner = config.runner
        assert (runner.address, runner.alias, runner.user) == ("192.0.2.7", "lab", "me")
        assert (runner.port, runner.identity, runner.config) == (2222, "/keys/lab", None)
        assert config.node_path == "/opt/mavkit/mavkit-node"
    monkeypatch.delenv("TEZT_RUNNER_CONFIG")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runner_config.json").write_text('{"ip_address": "192.0.2.8"}')
    config = load_runner_config()
    assert (config.runner.address, config.runner.port, config.node_path) == ("192.0.2.8", None, None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; TEZT_RUNNER_CONFIG may name another one$"),
        ("{", "it is no JSON: .*line 1"),
        ("[]", "it must be an object, as in "),
        ({}, 'it needs "ip_address", the name or IP address of the other machine$'),
        ({"ip_address": 7}, "'ip_address' must be a text that is not empty, and is 7$"),
        ({"ip_address": ""}, "must be a text that is not empty"),
        ({"ip_address": "h", "ssh_port": "22"}, "'ssh_port' must be a number, and is '22'$"),
        ({"ip_address": "h", "ssh_port": True}, "'ssh_port' must be a number, and is True$"),
        ({"ip_address": "h", "ssh_usr": "me"}, "unknown key 'ssh_usr'; did you mean 'ssh_user'"),
        ({"ip_address": "h", "zzz": "me"}, "unknown key 'zzz'; there are ip_address, ssh_alias"),
        ({"ip_address": "h", "node_path": "mavkit-node"}, "must be absolute: 'mavkit-node' is not$"),
        ({"ip_address": "-oProxyCommand=x"}, "'-oProxyCommand=x' is no name of a host$"),
    ],
)
def test_a_file_that_does_not_say_what_it_must(content: Any, message: str, tmp_path: Path) -> None:
    file = tmp_path / "runner.json"
    if content is not None:
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(RunnerConfigError, match=message) as caught:
        load_runner_config(file)
    assert caught.value.path == file
    assert str(caught.value).startswith(f"the runner configuration {file}: ")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(RunnerConfigError, match="it cannot be read: Is a directory"):
        load_runner_config(tmp_path)


def test_the_demo_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEZT_RUNNER_CONFIG", raising=False)
    without = CliRunner().invoke(cli, ["demo", "--scenario", "double-baking-remote"])
    assert isinstance(without.exception, RunnerConfigError)
    assert "runner_config.json: there is no such file" in str(without.exception)
    needless = CliRunner().invoke(cli, ["demo", "--runner-config", "x.json"])
    assert needless.exit_code == 2
    assert "the scenario double-baking runs on this machine alone" in needless.output


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "ssh"
    folder.mkdir()
    with serve(folder) as running:
        yield running


@pytest.fixture
def runner(server: Server, tmp_path: Path) -> Iterator[SSHRunner]:
    file = tmp_path / "runner.json"
    values = {
        "ip_address": server.address,
        "ssh_user": getpass.getuser(),
        "ssh_port": server.port,
        "ssh_id": str(server.folder / "user"),
        "ssh_config": str(server.folder / "config"),
    }
    file.write_text(json.dumps(values))
    yield load_runner_config(file).runner
    server.wait_for_the_end()


@NEEDS_SSHD
async def test_double_baking_with_its_nodes_elsewhere(server: Server, runner: SSHRunner) -> None:
    there: dict[str, list[str]] = {}

    def look(step: str) -> None:
        there[step] = []
        for pid in server.processes():
            there[step] += [word for word in command_of(pid) if "mavkit-" in word]

    result = await double_baking_remote(SANDBOX, Protocol.ATLAS, runner=runner, report=look)
    assert (result.protocol, result.included.level) == ("001-PtAtLas", 5)
    first, *_, last = there
    assert (first, there[first]) == (f"the nodes run on {server.address}", [])
    assert last.startswith("the evidence is in block")
    assert there[last] == ["mavkit-node"] * 3


@NEEDS_SSHD
async def test_without_the_evidence_it_fails_there_too(runner: SSHRunner) -> None:
    with pytest.raises(ScenarioFailed, match="Double baking evidence was not found") as caught:
        await double_baking_remote(SANDBOX, runner=runner, twin=True)
    remove_kept(caught.value, count=4)
