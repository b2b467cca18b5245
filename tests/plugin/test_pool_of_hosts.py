"""A pool of hosts that the tests of a user's project take places on."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from accuser._mavryk.accounts import BOOTSTRAP
from accuser.pytest import _leases
from accuser.pytest._leases import Lease, Lender, Places
from tests.support.netns import Network, network
from tests.support.projects import Project, project
from tests.support.sshd import SSHD

__all__ = ["network", "project"]  # fixtures of this module

needs_hosts = pytest.mark.skipif(
    SSHD is None or shutil.which("ip") is None or os.getuid() != 0,
    reason="needs root to make network namespaces, ip and OpenSSH's server: install iproute2, openssh-server",
)

# The first test that has its daemon on the second host cuts that host off.
SUITE = """\
import subprocess

import pytest
from accuser import Daemon, ReadyLine, open_daemon


@pytest.mark.parametrize("number", range(4))
async def test_lines(toolchain, number) -> None:
    words = ("-c", "echo ready; read forever || sleep 99")
    daemon = Daemon("sh", path="/bin/sh", arguments=words, ready=ReadyLine("ready"), toolchain=toolchain)
    async with open_daemon(daemon):
        if str(daemon.runner) == {doomed!r}:
            subprocess.run({cut!r}, check=True)
            await daemon.wait_for("never.v0")


async def test_a_block(node, client) -> None:
    await client.import_secret_key("mine", {key!r}, force=True)
    assert await client.bake_for_and_wait("bootstrap1") == 2
    assert "mine: " in await client.command("list", "known", "addresses")
"""

HOST = """\
[[host]]
ssh = "{address}"
places = 1
config = "{config}"
local_address = "{here}"
temp_dir = "{temp}"
lost_after = 5
connect_timeout = 2
"""


@needs_hosts
@pytest.mark.parametrize("network", [3], indirect=True)
def test_every_test_passes_when_a_host_is_cut_off(network: Network, project: Project, tmp_path: Path) -> None:
    temps = [tmp_path / f"temp{number}" for number in range(3)]
    text = ""
    for host, temp in zip(network.hosts, temps, strict=True):
        temp.mkdir()
        config = host.folder / "config"
        text += HOST.format(address=host.address, config=config, here=network.here, temp=temp)
    (project.folder / "hosts.toml").write_text(text)
    doomed = network.hosts[1].address
    cut = ["ip", "link", "set", network.links[1], "down"]
    project.write(test_accuser=SUITE.format(doomed=doomed, cut=cut, key=BOOTSTRAP[0].secret_key))
    ended = project.pytest("-n", "3", "--mavkit", "sandbox", "--mavkit-hosts", "hosts.toml")
    ended.count(passed=5)
    assert ended.status == 0
    text = ended.output
    assert f"{doomed} failed and was left out" in text, text
    assert "what it failed ran elsewhere: test_accuser.py::test_lines[" in text, text
    # What is there ends by itself, and takes its files along.
    for host in network.hosts:
        host.wait_for_the_end()
    assert [list(temp.iterdir()) for temp in temps] == [[], [], []]


def test_a_host_that_never_answers_and_one_test_that_really_fails(project: Project) -> None:
    text = '[[host]]\nssh = "127.0.0.1"\nport = 9\nplaces = 1\n\n[[host]]\nlocal = true\nplaces = 2\n'
    (project.folder / "hosts.toml").write_text(text)
    (project.folder / "pytest.ini").write_text("[pytest]\ntrio_mode = true\nmavkit_hosts = hosts.toml\n")
    project.write(
        test_accuser="from accuser import Daemon, open_daemon\n\n"
        "async def run(toolchain):\n"
        "    daemon = Daemon('sh', path='/bin/sh', arguments=('-c', 'read x'), toolchain=toolchain)\n"
        "    async with open_daemon(daemon): pass\n\n"
        "async def test_one(toolchain): await run(toolchain)\n\n"
        "async def test_two(toolchain):\n    await run(toolchain)\n    raise ValueError('of the test')\n\n"
        "def test_without_daemons(): pass\n"
    )
    ended = project.pytest("--mavkit", "sandbox")
    ended.count(passed=2, failed=1)
    assert "ValueError: of the test" in ended.output
    assert "mavryk hosts, with their places: 127.0.0.1 (1), this machine (2)" in ended.lines
    ran = "mavryk hosts, with the number of tests that ran there: 127.0.0.1 1, this machine 2"
    assert ran in ended.lines
    assert "127.0.0.1 failed and was left out: 127.0.0.1: connection refused" in ended.output


def test_no_host_is_left(project: Project) -> None:
    (project.folder / "hosts.toml").write_text('[[host]]\nssh = "127.0.0.1"\nport = 9\nplaces = 1\n')
    project.write(test_accuser="async def test_one(node): pass\n")
    ended = project.pytest("--mavkit", "sandbox", "--mavkit-hosts", "hosts.toml")
    ended.count(error=1)
    said = "no host of --mavkit-hosts is left for this test; those left out: 127.0.0.1"
    assert said in ended.output, ended.output


def test_a_file_that_does_not_say_what_it_must(project: Project) -> None:
    (project.folder / "hosts.toml").write_text('[[host]]\nssh = "127.0.0.1"\nplace = 1\n')
    project.write(test_accuser="def test_one(): pass\n")
    ended = project.pytest("--mavkit-hosts", "hosts.toml")
    assert ended.status == pytest.ExitCode.USAGE_ERROR
    path = project.folder / "hosts.toml"
    said = "host 1 (line 3): unknown key 'place'; did you mean 'places'?"
    assert f"ERROR: --mavkit-hosts: the runner configuration {path}: {said}" in ended.output


def end(lender: Lender) -> None:
    """End it when its threads have closed their connections, which leases do not wait for."""
    for thread in threading.enumerate():
        if "process_request_thread" in thread.name:
            thread.join()
    lender.close()


def test_a_place_is_waited_for_and_given_back_by_who_is_killed() -> None:
    places = Places(["one", "two"], [1, 2])
    lender = Lender.open(places)
    try:
        first, second = Lease.take(lender.address, [0]), Lease.take(lender.address, [0, 1])
        assert (first.host, second.host) == (0, 1)
        with ThreadPoolExecutor() as threads:
            waiting = threads.submit(Lease.take, lender.address, [0])
            # As by the end of the process that has it.
            first.__exit__()
            third = waiting.result()
            assert third.host == 0
            waiting = threads.submit(Lease.take, lender.address, [0])
            third.fail("it is gone", "test_x")
            fourth = waiting.result()
        assert (fourth.host, fourth.left_out) == (None, {0: "it is gone"})
        for lease in (second, third, fourth):
            lease.__exit__()
        assert places.lines() == [
            "mavryk hosts, with the number of tests that ran there: one 2, two 1",
            "  one failed and was left out: it is gone",
            "    what it failed ran elsewhere: test_x",
        ]
    finally:
        end(lender)


def test_a_host_is_left_out_before_the_next_place_is_taken() -> None:
    places = Places(["one"] * 200, [1] * 200)
    lender = Lender.open(places)
    try:
        for host in range(200):
            with Lease.take(lender.address, [host]) as lease:
                lease.fail("it is gone", "test_x")
                # On a connection of its own, which another thread of the lender serves.
                with Lease.take(lender.address, []) as after:
                    assert len(after.left_out) == host + 1
    finally:
        end(lender)


def test_tests_go_where_most_is_free() -> None:
    places = Places(["small", "large"], [2, 4])
    taken = [places.take([0, 1]) for _ in range(6)]
    assert taken == [0, 1, 1, 0, 1, 1]
    places.give(0)
    assert places.take([0, 1]) == 0


def test_a_lender_that_cannot_listen_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no descriptors")

    monkeypatch.setattr(_leases, "_Server", refuse)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(OSError, match="no descriptors"):
        Lender.open(Places(("this machine",), (1,)))
    assert list(tmp_path.iterdir()) == []
