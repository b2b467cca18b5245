"""Containers that end, stand still or lose their folder while daemons run in them."""

from __future__ import annotations

import logging
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
import trio

from accuser import (
    ContainerRunner,
    Daemon,
    Restart,
    RestartPolicy,
    RunnerError,
    RunnerFault,
    TerminatedBeforeEvent,
    open_container,
    open_daemon,
)
from accuser._hosts import container
from tests.support.cli import accuser
from tests.support.containers import IMAGE, TestEngine, engine, engine_of_the_run

__all__ = ["engine", "engine_of_the_run"]  # fixtures of this module

AT_ONCE = RestartPolicy(first_delay=0)


def shell(runner: ContainerRunner, restart: RestartPolicy | None = None) -> Daemon:
    """A daemon that says that it is up, and stays."""
    words = ("-c", "echo up; exec sleep 99")
    return Daemon("sh", runner=runner, arguments=words, restart=restart, stop_grace=1)


async def up_again(daemon: Daemon) -> None:
    with trio.fail_after(60):
        while not daemon.last_lines or daemon.restarts == 0:  # noqa: ASYNC110 - a session is gone, the next one may fail
            await trio.sleep(0.05)


@pytest.mark.parametrize("way", ["rm", "kill"])
async def test_supervised_daemons_come_back_in_a_new_container(engine: TestEngine, way: str) -> None:
    heard: list[Restart] = []
    async with open_container(IMAGE, pull="never") as runner:
        one, other = shell(runner, AT_ONCE), shell(runner, AT_ONCE)
        async with open_daemon(one), open_daemon(other):
            first, folder = runner.container, runner.folder()
            for daemon in (one, other):
                daemon.on_restart(heard.append)
                await daemon.wait_for_line("up", since=daemon.start_mark())
            engine.run(*((way, "--force", first) if way == "rm" else (way, first)))
            await up_again(one)
            await up_again(other)
            assert runner.container != first
            assert engine.containers().count(runner.container) == 1
            assert runner.folder() == folder
    assert heard[0].status is None
    assert f"container {first}: the container has ended" in str(heard[0].reason)


async def test_a_folder_that_was_removed_makes_a_new_container(engine: TestEngine) -> None:
    async with open_container(IMAGE, pull="never") as runner:
        async with open_daemon(shell(runner)) as one:
            await one.wait_for_line("up", since=one.start_mark())
            first = runner.container
            shutil.rmtree(runner.folder())
        async with open_daemon(shell(runner)) as other:
            await other.wait_for_line("up", since=other.start_mark())
            assert runner.container != first
            assert first not in engine.containers()


async def test_a_folder_that_is_removed_while_daemons_run(engine: TestEngine) -> None:
    async with open_container(IMAGE, pull="never") as runner:
        async with open_daemon(shell(runner, AT_ONCE)) as one:
            await one.wait_for_line("up", since=one.start_mark())
            first = runner.container
            shutil.rmtree(runner.folder().parent)
            with pytest.raises(RunnerError) as caught:
                async with open_daemon(shell(runner)):
                    raise AssertionError
            assert caught.value.reason is RunnerFault.FOLDER_REMOVED
            assert str(caught.value).startswith(
                f"container {first}: the folder that it shares with this machine was removed; keep "
            )
            # Whoever comes next gets a new container, and so does who was in the old one.
            async with open_daemon(shell(runner)) as other:
                await other.wait_for_line("up", since=other.start_mark())
                await up_again(one)
                assert runner.container != first


async def test_a_paused_container_is_removed_by_force(
    engine: TestEngine, caplog: pytest.LogCaptureFixture
) -> None:
    began = trio.current_time()
    with trio.CancelScope() as scope:
        async with open_container(IMAGE, pull="never", lost_after=5) as runner:
            async with open_daemon(shell(runner)) as daemon:
                await daemon.wait_for_line("up", since=daemon.start_mark())
                engine.run("pause", runner.container)
                scope.cancel()
    assert trio.current_time() - began < 30
    assert runner.container not in engine.containers()
    assert not list(Path(tempfile.gettempdir()).glob("accuser-container-*"))
    (said,) = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    where = f"container {runner.container}: the container is paused"
    assert f"it could not be stopped in order: {where}; it is given up, and removed by force" in said


async def test_who_is_lost_in_a_paused_container_is_told_so(engine: TestEngine) -> None:
    async with open_container(IMAGE, pull="never", lost_after=5) as runner:
        async with open_daemon(shell(runner, AT_ONCE)) as daemon:
            heard: list[Restart] = []
            daemon.on_restart(heard.append)
            await daemon.wait_for_line("up", since=daemon.start_mark())
            first, pending = runner.container, daemon.expect("never.v0")
            engine.run("pause", first)
            with pytest.raises(TerminatedBeforeEvent):
                await pending
            await up_again(daemon)
            assert first not in engine.containers()
            await daemon.kill()
    assert f"container {first}: the container is paused" in str(heard[0].reason)


async def test_an_accuser_run_that_fails_leaves_no_folder(engine: TestEngine) -> None:
    words = (
        "--toolchain",
        f"image:{IMAGE}",
        "--endpoint",
        "http://127.0.0.1:9",
        "--restarts",
        "0",
        "--",
        "--nonsense",
    )
    done = await accuser("run", *words)
    assert done.returncode == 3, done.stderr
    assert not list(Path(tempfile.gettempdir()).glob("accuser-container-*"))


def asked_of_an_engine(folder: Path, script: str, body: str, *words: str) -> list[str]:
    """Run a script whose owner is gone; return what it asks of the engine."""
    fake, log = folder / "engine", folder / "log"
    fake.write_text(f'#!/bin/sh\necho "$1 $2" >>{log}\n{body}')
    fake.chmod(0o755)
    path = Path(container.__file__).parent / script
    subprocess.run(["sh", str(path), str(fake), *words], stdin=subprocess.DEVNULL, check=False, timeout=60)
    return log.read_text().splitlines()


def test_a_removal_that_a_signal_ended_is_tried_again(tmp_path: Path) -> None:
    body = f'[ "$1" != rm ] || [ -e {tmp_path}/tried ] || {{ touch {tmp_path}/tried; exit 143; }}\n'
    asked = asked_of_an_engine(
        tmp_path, "lifeline.sh", body, "name", str(tmp_path), str(tmp_path / "engine"), "run"
    )
    assert asked == ["run ", "inspect --type", "rm --force", "inspect --type", "rm --force"]


def test_a_network_whose_making_a_signal_ended_is_removed(tmp_path: Path) -> None:
    asked = asked_of_an_engine(tmp_path, "network.sh", '[ "$2" != create ] || exit 143\n', "name")
    assert asked == ["network create", "network rm"]
