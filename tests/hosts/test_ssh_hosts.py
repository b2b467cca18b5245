"""Two other hosts, as network namespaces with an OpenSSH server each, and what crosses the network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from accuser import SANDBOX, Protocol, RunnerError, RunnerFault
from accuser.scenarios import double_baking
from accuser.testing import ScriptedDaemon
from tests.support.netns import Network, network
from tests.support.proc import wait_for_exit
from tests.support.scripts import FOLLOWS_SIGTERM
from tests.support.sshd import SSHD

__all__ = ["network"]  # a fixture of this module

pytestmark = [
    pytest.mark.skipif(SSHD is None, reason="needs OpenSSH's server: install openssh-server"),
    pytest.mark.skipif(shutil.which("ip") is None, reason="needs ip: install iproute2"),
    pytest.mark.skipif(os.getuid() != 0, reason="needs root to make network namespaces"),
]


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
