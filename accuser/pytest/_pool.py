"""Tests on a pool of hosts: each takes a place on one, and is run again elsewhere if its host has failed.

What the workers of pytest-xdist do, they do by the leases of the process that controls them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
from _pytest.runner import runtestprotocol  # what runs a test; plugins that repeat tests have no other way

from ._leases import Lease, Lender, Places
from ._options import choice_of, hosts_of

if TYPE_CHECKING:
    from .._hosts.pool import PoolHost
    from .._hosts.toolchain import Toolchain

WORKER_KEY: Final = "mavryk_hosts"
_POOL: Final = pytest.StashKey["Pool"]()
_LEASE: Final = pytest.StashKey[Lease]()
_TOOLCHAIN: Final = pytest.StashKey["Toolchain"]()
_ERRORS: Final = pytest.StashKey[list[BaseException]]()
IN_MEMORY: Final = "memory"
MAVKIT: Final = "mavkit"


@attrs.define(eq=False, repr=False)
class Pool:
    """The hosts of a run, and the way to their places."""

    hosts: Sequence[PoolHost]
    address: str
    lender: Lender | None
    """In the process that controls the run."""

    def suiting(self, item: pytest.Item) -> list[int]:
        """The hosts for a test, by the executables that it wants."""
        every = list(range(len(self.hosts)))
        own = [host for host in every if self.hosts[host].own]
        match _wanted(item):
            case "sandbox":
                return [host for host in every if host not in own]
            case "mavkit" if choice_of(item.config).mavkit is None:
                return own or every  # where none has it, the test is skipped
        return every

    def run(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Run a test on one host after the other, until one has not failed."""
        place = (item.nodeid, item.location)
        item.ihook.pytest_runtest_logstart(nodeid=place[0], location=place[1])
        suits = self.suiting(item)
        while True:
            with Lease.take(self.address, suits) as lease:
                item.stash[_LEASE], item.stash[_ERRORS] = lease, []
                reports = runtestprotocol(item, nextitem=nextitem, log=False)
                why = self._failure(item, lease) if any(report.failed for report in reports) else None
                if lease.host is None or why is None:
                    break
                lease.fail(why, item.nodeid)
                suits.remove(lease.host)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=place[0], location=place[1])

    def _failure(self, item: pytest.Item, lease: Lease) -> str | None:
        """Why the host of a test that failed has failed; None if it has not."""
        toolchain = item.stash.get(_TOOLCHAIN, None)
        if lease.host is None or toolchain is None:
            return None
        import trio

        host = self.hosts[lease.host]
        said = (host.failed_with(error, toolchain) for error in item.stash[_ERRORS])
        told = next((why for why in said if why is not None), None)
        # Also a test that only waited in vain may owe that to its host.
        return told or trio.run(host.probe, toolchain)


def open_pool(config: pytest.Config) -> None:
    """Take the hosts of ``--mavkit-hosts``, if that was given. Raises `pytest.UsageError`."""
    given = hosts_of(config)
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is None or (worker is not None and WORKER_KEY not in worker):
        return
    from .._errors import RunnerConfigError
    from .._hosts.pool import load_hosts

    try:
        hosts = load_hosts(given)
    except RunnerConfigError as error:
        raise pytest.UsageError(f"--mavkit-hosts: {error}") from error
    if worker is not None:
        config.stash[_POOL] = Pool(hosts, worker[WORKER_KEY], None)
        return
    places = Places([host.name for host in hosts], [host.places for host in hosts])
    try:
        lender = Lender.open(places)
    except OSError as error:
        raise pytest.UsageError(f"--mavkit-hosts: its places cannot be lent: {error}") from error
    config.add_cleanup(lender.close)
    config.stash[_POOL] = Pool(hosts, lender.address, lender)


def pool_of(config: pytest.Config) -> Pool | None:
    """The pool of this run, if there is one."""
    return config.stash.get(_POOL, None)


def header(config: pytest.Config) -> list[str]:
    """Tell the hosts."""
    pool = pool_of(config)
    if pool is None:
        return []
    told = ", ".join(f"{host.name} ({host.places})" for host in pool.hosts)
    return [f"mavryk hosts, with their places: {told}"]


def summary(config: pytest.Config) -> list[str]:
    """Tell which host ran how many tests, and which ones failed."""
    pool = pool_of(config)
    return [] if pool is None or pool.lender is None else pool.lender.places.lines()


def _wanted(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get("toolchain")


def takes_place(item: pytest.Item) -> bool:
    """Whether a test has daemons that run somewhere."""
    return "toolchain" in getattr(item, "fixturenames", ()) and _wanted(item) != IN_MEMORY


def note_error(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Remember what a test failed with, in any of its phases."""
    if call.excinfo is not None and _ERRORS in item.stash:
        item.stash[_ERRORS].append(call.excinfo.value)


def brings_mavkit(item: pytest.Item) -> bool:
    """Whether the host of a test has executables of its own."""
    pool, lease = pool_of(item.config), item.stash.get(_LEASE, None)
    return pool is not None and lease is not None and lease.host is not None and pool.hosts[lease.host].own


def place_of(item: pytest.Item, usual: Toolchain) -> Toolchain:
    """The executables of a test, on its host; ``usual`` if the run has no pool, or the test no place."""
    pool = pool_of(item.config)
    lease = item.stash.get(_LEASE, None)
    if pool is None or lease is None:
        return usual
    if lease.host is None:
        out = "; ".join(f"{pool.hosts[host].name}: {why}" for host, why in lease.left_out.items())
        said = f"those left out: {out}" if out else "none has the sandbox"
        pytest.fail(f"no host of --mavkit-hosts is left for this test; {said}", pytrace=False)
    if usual.host is not None and usual.host.world is not None:
        why = "--mavkit-hosts needs executables that run there: leave `--mavkit memory` out"
        pytest.fail(why, pytrace=False)
    chosen = pool.hosts[lease.host].toolchain(usual)
    item.stash[_TOOLCHAIN] = chosen
    return chosen
