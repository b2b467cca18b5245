"""Other hosts, as network namespaces with an OpenSSH server each."""

from __future__ import annotations

import ipaddress
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import attrs
import pytest

from accuser._hosts.owner.ports import reserve_port
from tests.support.sshd import Server, serve


@attrs.frozen
class Network:
    """A bridge here, and hosts on it."""

    here: str
    hosts: tuple[Server, ...]
    links: tuple[str, ...]

    def cut(self, host: int) -> None:
        """Take the link of a host down; nobody is told."""
        ip("link", "set", self.links[host], "down")


def ip(*words: str) -> None:
    """Run a command of ``ip``."""
    subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Network]:
    """Two hosts, or as many as the parameter says, up to five."""
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
        for index in range(2, 2 + getattr(request, "param", 2)):
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
        yield Network(str(subnet + 1), tuple(hosts), tuple(links))
