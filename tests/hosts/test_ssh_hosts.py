"""Two other hosts, as network namespaces with an OpenSSH server each, and what crosses the network."""

from __future__ import annotations

import ipaddress
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import attrs
import pytest

from accuser import SANDBOX, Protocol, RunnerError, RunnerFault
from accuser._hosts.owner.ports import reserve_port
from accuser.scenarios import double_baking
from accuser.testing import ScriptedDaemon
from tests.support.scripts import FOLLOWS_SIGTERM
from tests.support.sshd import (
    SSHD,
    Server,
    serve,
    wait_for_exit,
)

pytestmark = [
    pytest.mark.skipif(SSHD is None, reason="needs OpenSSH's server: install openssh-server"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="needs ip: install iproute2"),
    pytest.mark.skipif(os.getuid() != 0, reason="needs root to make network namespaces"),
]


@attrs.frozen
class Network:
    """A bridge here, and two hosts on it."""

    here: str
    hosts: tuple[Server, Server]
    links: tuple[str, str]

    def cut(self, host: int) -> None:
        """Take the link of a host down; nobody is told."""
        ip("link", "set", self.links[host], "down")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    # A port that nobody else has makes names and addresses that nobody else has, of the range that is
    # for tests alone (RFC 2544).
    number = reserve_port()
    subnet = ipaddress.ip_address("198.18.0.0") + number % 16384 * 8
    bridge = f"acb{number}"
    with ExitStack() as stack:
        ip("link", "add", bridge, "type", "bridge")
        stack.callback(ip, "link", "del", bridge)
        ip("addr", "add", f"{subnet + 1}/29", "dev", bridge)
        ip("link", "set", bridge, "up")
        hosts, links = [], []
        for index in (2, 3):
            space, link = f"ac{number}-{index}", f"ac{number}h{index}"
            ip("netns", "add", space)
            stack.callback(ip, "netns", "del", space)
            ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
            stack.callback(ip, "link", "del", link)
            ip("link", "set", link, "master", bridge, "up")
            for device in ("lo", "eth0"):
                ip("-n", space, "link", "set", device, "up")
            ip("-n", space, "addr", "add", f"{subnet + index}/29", "dev", "eth0")
            folder = tmp_path / f"host{index}"
            folder.mkdir()
            inside = ("ip", "netns", "exec", space)
            hosts.append(stack.enter_context(serve(folder, str(subnet + index), inside)))
            links.append(link)
        yield Network(str(subnet + 1), (hosts[0], hosts[1]), (links[0], links[1]))


async def test_a_link_that_goes_down_is_noticed_on_both_sides(network: Network, tmp_path: Path) -> None:
    temp = tmp_path / "there"
    temp.mkdir()
    runner = network.hosts[0].runner(lost_after=5, temp_dir=str(temp))
    with pytest.raises(RunnerError) as caught:
        async with ScriptedDaemon(FOLLOWS_SIGTERM).open(folder=tmp_path, runner=runner) as accuser:
            pid = accuser.pid
            network.cut(0)
            await accuser.wait_for("never.v0")
    assert caught.value.reason is RunnerFault.LOST
    assert pid is not None
    wait_for_exit(pid)
    network.hosts[0].wait_for_the_end()
    assert list(temp.iterdir()) == []


async def test_double_baking_with_the_accuser_and_its_node_on_two_hosts(network: Network) -> None:
    one, two = (host.runner(local_address=network.here) for host in network.hosts)
    result = await double_baking(SANDBOX, Protocol.BOREAS, accuser_runner=one, node_runner=two)
    assert result.included.level == 5
