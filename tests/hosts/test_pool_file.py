"""The file that tells the hosts of a test suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from accuser import SANDBOX, ContainerRunner, RunnerConfigError, SSHRunner, installed
from accuser._hosts.pool import load_hosts

GOOD = """\
[[host]]
local = true
places = 2

[[host]]
ssh = "192.0.2.7"
places = 8
name = "big"
user = "ci"
bin_dir = "/opt/mavkit"
lost_after = 5

[[host]]
image = "registry.example/mavkit:22"
places = 1
memory = "2g"
cpus = 1.5
mounts = ["/data"]
"""


def test_hosts_are_read(tmp_path: Path) -> None:
    path = tmp_path / "hosts.toml"
    path.write_text(GOOD)
    here, there, image = load_hosts(path)
    assert [(host.name, host.places, host.own) for host in (here, there, image)] == [
        ("this machine", 2, False),
        ("big", 8, True),
        ("registry.example/mavkit:22", 1, True),
    ]
    assert here.toolchain(SANDBOX) is SANDBOX
    chosen = there.toolchain(SANDBOX)
    assert isinstance(chosen.host, SSHRunner)
    assert (chosen.host.user, chosen.host.lost_after) == ("ci", 5)
    assert chosen.command("mavkit-node") == ("/opt/mavkit/mavkit-node",)
    runner = image.toolchain(installed()).host
    assert isinstance(runner, ContainerRunner)
    assert (runner.image, runner.memory, runner.cpus, runner.mounts) == (
        *("registry.example/mavkit:22", "2g", 1.5, ["/data"]),
    )


def test_the_sandbox_on_another_machine_is_what_it_is_here(tmp_path: Path) -> None:
    path = tmp_path / "hosts.toml"
    path.write_text('[[host]]\nssh = "192.0.2.7"\nplaces = 1\n')
    (host,) = load_hosts(path)
    assert host.toolchain(SANDBOX).command("mavkit-node") == SANDBOX.command("mavkit-node")
    assert host.toolchain(installed()).command("mavkit-node") == ("mavkit-node",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it needs a table for each host"),
        ("x =", "it is no TOML: Invalid value (at end of document)"),
        ("host = 3", "it needs a table for each host"),
        ("host = [3]", "host 1: it must be a table"),
        ("hosts = []", "unknown key 'hosts'; there are only tables [[host]]"),
        (
            "[[host]]\nplaces = 1",
            "host 1 (line 1): it must have one of local, ssh, image, and has none",
        ),
        (
            "[[host]]\nssh = 'a'\nimage = 'b'",
            "it must have one of local, ssh, image, and has ssh and image",
        ),
        ("[[host]]\nlocal = true", "host 1 (line 1): it needs places"),
        ("[[host]]\nlocal = false\nplaces = 1", "host 1 (line 2): local must be true, and is False"),
        ("[[host]]\nlocal = true\nplaces = 0", "(line 3): places must be a whole number above 0, and is 0"),
        ("[[host]]\nlocal = true\nplaces = true", "places must be a whole number above 0, and is True"),
        (
            "\n\n[[host]]\nlocal = true\nuser = 'x'",
            "host 1 (line 5): unknown key 'user'; there are local",
        ),
        ("[[host]]\nssh = 'a'\nplaces = 1\nuse = 'x'", "(line 4): unknown key 'use'; did you mean 'user'?"),
        ("[[host]]\nssh = ''\nplaces = 1", "(line 2): ssh must be a text that is not empty, and is ''"),
        ("[[host]]\nssh = '-x'\nplaces = 1", "host 1 (line 1): '-x' is no name of a host"),
        ("[[host]]\nssh = 'x'\nplaces = 1\nlost_after = 1", "host 1 (line 1): 'lost_after' must be >= 5"),
        (
            "[[host]]\nimage = 'x'\nplaces = 1\npull = 'no'",
            "(line 4): pull must be one of missing, always",
        ),
        ("[[host]]\nimage = 'x'\nplaces = 1\nmounts = [1]", "(line 4): mounts must be a list of texts"),
        ("[[host]]\nimage = 'x'\nplaces = 1\nnetwork = 'none'", "host 1 (line 1): without a network"),
        (
            "[[host]]\nssh = 'x'\nplaces = 1\n[[host]]\nssh = 'x'\nplaces = 2",
            "host 2 (line 4): two hosts",
        ),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "hosts.toml"
    path.write_text(text)
    with pytest.raises(RunnerConfigError) as caught:
        load_hosts(path)
    assert reason in str(caught.value)


def test_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(RunnerConfigError, match="there is no such file"):
        load_hosts(tmp_path / "none.toml")
    with pytest.raises(RunnerConfigError, match="it cannot be read: Is a directory"):
        load_hosts(tmp_path)
