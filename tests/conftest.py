"""What every test checks when it ends: that nothing was left behind."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import accuser
from accuser._hosts.owner.forks import VARIABLE
from accuser._hosts.owner.ports import lock_file
from accuser.pytest._options import NEEDS_MAVKIT
from tests.support.containers import NEEDS_ENGINE
from tests.support.forked import FORM, scripts_are
from tests.support.guardians import wait_for_guardians
from tests.support.proc import children, descriptors

ACCEPTED = (NEEDS_MAVKIT, NEEDS_ENGINE)

# How many examples the property tests try. They differ in each run, so that few are enough in one of them.
settings.register_profile("default", max_examples=40, deadline=None)
settings.register_profile("nightly", max_examples=10_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure(config: pytest.Config) -> None:
    """Hear of signals that the shell (in the background) or ``nohup`` ignores; programs inherit that."""
    form = os.environ.get(FORM)
    if form == "executed":
        os.environ[VARIABLE] = "no"
    elif form == "forked":
        whole_run = contextlib.ExitStack()
        whole_run.enter_context(scripts_are("forked"))
        config.add_cleanup(whole_run.close)
    for signum, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, usual)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Have the tests of a browser first, so that one process has all of them, and one browser."""
    items.sort(key=lambda item: "browser" not in getattr(item, "fixturenames", ()))


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """In CI only what needs the real binaries may be skipped, or an engine that runs containers there.

    The engine of containers is installed in CI; whether the machine lets it run any is not ours to say. Then
    the reason has the engine's own words.
    """
    yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI"):
        return
    reasons = [report.longrepr[2] for report in reporter.stats.get("skipped", [])]
    if unwanted := [reason for reason in reasons if not any(accepted in reason for accepted in ACCEPTED)]:
        reporter.write_line(f"skipped in CI: {unwanted}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    accuser.reset_names()


@pytest.fixture(autouse=True, scope="session")
def _place_of_tmp_path(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Have pytest choose it before a test changes where temporary files go."""
    tmp_path_factory.getbasetemp()


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that leaves a process, a descriptor, a FIFO or a directory."""
    # A folder of its own; not tmp_path, whose name the sink could not carry.
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", None)
        before = descriptors()
        yield
        if any(Path(folder).iterdir()):
            # A daemon without a block keeps its directory until it is collected, and what a test raises and
            # catches may hold the daemon in a cycle.
            gc.collect()
            wait_for_guardians(folder)
        left = sorted(path.name for path in Path(folder).iterdir())
        new = {opened for opened in descriptors() - before if opened[1] != str(lock_file())}
        started = children()
        for pid in started:
            os.kill(pid, signal.SIGKILL)
            # So that it is not taken for what the next test leaves.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        assert (left, new, started) == ([], set(), [])
