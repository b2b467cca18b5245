"""Who holds the temporary directories elsewhere, and who opens connections for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from accuser import Client, Endpoint, Toolchain, Transport, TransportRunner
from accuser._hosts.remote.transport import Shell
from accuser._hosts.remote.warden import Warden


@attrs.define(eq=False)
class Here(Transport):
    """A shell of this machine, and what is asked of the way to it."""

    label: str = "here"
    opened_now: int = 0
    openings: int = 0
    unheld: list[str] = attrs.field(factory=list)
    """Shells that were started while nobody held the connection."""
    hangs: bool = False
    """Whether it answers nothing any more."""

    def command(self) -> tuple[str, ...]:
        """As told."""
        return ("sleep", "1000") if self.hangs else ("sh", "-s")

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """Count it."""
        self.openings += 1
        self.opened_now += 1
        try:
            yield
        finally:
            self.opened_now -= 1

    async def shell(self, script: str) -> Shell:
        """Note those that nobody closes."""
        if not self.opened_now:
            self.unheld.append(script)
        return await super().shell(script)


def client_there(folder: Path, program: str, base_dir: Path | None = None) -> tuple[Client, Here]:
    there = folder / "there"
    there.mkdir()
    binary = folder / "mavkit-client"
    binary.write_text(program)
    binary.chmod(0o755)
    transport = Here()
    runner = TransportRunner(transport, temp_dir=str(there))
    toolchain = attrs.evolve(Toolchain("mavkit", folder), host=runner)
    return Client(Endpoint("http://127.0.0.1:1"), toolchain=toolchain, base_dir=base_dir), transport


async def test_a_client_that_did_nothing_opens_nothing(tmp_path: Path) -> None:
    client, transport = client_there(tmp_path, "#!/bin/sh\n")
    await client.aclose()
    assert transport.openings == 0


async def test_a_wallet_in_a_place_that_answers_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("accuser._hosts.remote.runner.LEAVE", 0.1)
    client, transport = client_there(tmp_path, "#!/bin/sh\necho done\n")
    assert await client.command("list") == "done\n"
    (left,) = (tmp_path / "there").iterdir()
    transport.hangs = True
    with trio.move_on_after(0):
        await client.aclose()
    assert f"its wallet may be left there, in {left}: no answer within 0.1 s" in caplog.text


async def test_commands_of_a_client_elsewhere_hold_the_connection(tmp_path: Path) -> None:
    client, transport = client_there(tmp_path, "#!/bin/sh\necho done\n")
    assert await client.command("list") == "done\n"
    await client.activate_protocol("boreas")
    await client.aclose()
    assert transport.unheld == []
    assert list((tmp_path / "there").iterdir()) == []


async def test_beside_a_wallet_of_the_users_nothing_is_written(tmp_path: Path) -> None:
    client, _ = client_there(tmp_path, "#!/bin/sh\n", base_dir=tmp_path / "mine" / "wallet")
    await client.activate_protocol("boreas")
    await client.aclose()
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["wallet"]
    assert list((tmp_path / "there").iterdir()) == []


@attrs.define(eq=False)
class Slow(Warden):
    """Holds a directory only when it may."""

    go_on: trio.Event = attrs.field(factory=trio.Event)
    dropped: list[Path] = attrs.field(factory=list)

    async def hold(self, path: Path) -> None:
        """Wait."""
        await self.go_on.wait()

    def drop(self, path: Path) -> None:
        """Note it."""
        self.dropped.append(path)


async def test_a_directory_that_a_keeper_got_meanwhile_stays_with_it(tmp_path: Path) -> None:
    runner = TransportRunner(Here(), temp_dir=str(tmp_path))
    workspace = runner.workspace("accuser")
    path = workspace.path
    warden = runner._warden = Slow(runner.transport, 30)
    left: list[str] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(runner._hold_all)
        await trio.testing.wait_all_tasks_blocked()
        workspace.when_kept(lambda: left.append("by the keeper"))
        warden.go_on.set()
    assert left == []
    assert warden.dropped == [path]
