"""What daemons do wrong, and what must come of it: the rows of the table in docs/testing.md.

Each fault is met by one session: a block around a daemon that plays it, and what is done in the block.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, Literal

import attrs
import trio
import trio.testing

from accuser import Accuser, Event
from accuser._daemons.accuser import AccuserOptions
from accuser.testing import (
    READY_LINE,
    Step,
    await_go,
    await_sigterm,
    big_event,
    close_pipe,
    delay,
    die_by,
    event,
    exit_with,
    flood,
    fork,
    go,
    ignore_sigterm,
    line,
    open_pipe,
    port_taken,
    raw,
    ready,
    stop_itself,
    truncated_event,
)
from tests.support.proc import wait_for_state

STOPPED: Final = 127
KILLED: Final = -signal.SIGKILL
SHORT: Final = 0.05
"""Seconds for what is to time out."""

Block = Callable[[Accuser], Awaitable[object]]


@attrs.frozen(kw_only=True)
class Fault:
    """One row of the table."""

    what: str
    """What the daemon does, in words."""
    steps: Callable[[Random], tuple[Step, ...]]
    block: Block
    """What is done with the daemon, in its block."""
    done: str
    """The same in words."""
    error: str = "-"
    """The class of what the block ends with."""
    status: int | None = STOPPED
    """None where nobody got a handle to ask."""
    may_exit: bool = False
    options: AccuserOptions = attrs.field(factory=lambda: AccuserOptions())

    @property
    def row(self) -> str:
        """The row of the table."""
        return f"| {self.what} | {self.done} | {self.error} | {'-' if self.status is None else self.status} |"


# What is done in the blocks.


async def leave(accuser: Accuser) -> None:
    """Leave the block at once."""


async def sleep(accuser: Accuser) -> None:
    await trio.sleep_forever()


async def end(accuser: Accuser) -> None:
    await accuser._session.ended.wait()


async def wait(accuser: Accuser) -> None:
    await accuser.wait_for("never.v0", timeout=None)


async def wait_shortly(accuser: Accuser) -> None:
    await accuser.wait_for("never.v0", timeout=SHORT)


async def see(accuser: Accuser) -> None:
    await accuser.wait_for("after.v0", since=accuser.start_mark())


async def see_malformed(accuser: Accuser) -> None:
    await see(accuser)
    assert accuser.malformed == 1


async def see_big(accuser: Accuser) -> None:
    value = await accuser.wait_for("big.v0", since=accuser.start_mark())
    assert set(value) == {"x"}
    await see(accuser)


async def go_and_see(accuser: Accuser) -> None:
    async with accuser.expect("after.v0"):
        go(accuser)


async def go_and_see_line(accuser: Accuser) -> None:
    async with accuser.expect_line("^alive$"):
        go(accuser)


async def terminate_shortly(accuser: Accuser) -> None:
    await accuser.terminate(timeout=SHORT)


async def terminate_and_see(accuser: Accuser) -> None:
    async with accuser.expect("after.v0"):
        await accuser.terminate()


async def terminate_the_stopped(accuser: Accuser) -> None:
    await wait_for_state(accuser.pid, "T")
    await accuser.terminate()


async def crash_and_restart(accuser: Accuser) -> None:
    for _ in range(3):
        go(accuser)
        await end(accuser)
        await accuser.restart()
    await accuser.kill()


async def restart_shortly(accuser: Accuser) -> None:
    await accuser.restart(timeout=SHORT)
    await accuser.kill()


async def cancel(accuser: Accuser) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await accuser.wait_for("never.v0")


async def handle_badly(accuser: Accuser) -> None:
    def handler(_: Event) -> None:
        raise ValueError("mine")

    accuser.on_event(handler)
    go(accuser)
    await trio.sleep_forever()


def _always(*steps: Step) -> Callable[[Random], tuple[Step, ...]]:
    return lambda random: steps


def _half(random: Random) -> Step:
    return truncated_event("a.v0", size=random.randint(1, 60))


def _garbage(random: Random) -> Step:
    # Its first byte begins no JSON, and no line end is in it but the last.
    noise = random.randbytes(random.randint(1, 10_000))
    return raw(b"\0" + noise.replace(b"\n", b"\r").replace(b"{", b"[") + b"\n")


AFTER: Final = event("after.v0", 1)
HELD: Final[tuple[Literal["stdout", "stderr", "pipe"], ...]] = ("stdout", "stderr", "pipe")
FLOODED: Final[tuple[Literal["events", "stdout", "stderr"], ...]] = ("events", "stdout", "stderr")
NOT_OPENED: Final = line(READY_LINE.format(protocol="002-PtBoreas"))

FAULTS: Final = (
    Fault(
        what="nothing wrong",
        steps=_always(ready(), AFTER),
        block=see,
        done="awaits an event",
    ),
    Fault(
        what="half an item, then others",
        steps=lambda random: (
            ready(),
            truncated_event("a.v0", size=random.randint(1, 60)),
            raw(b"\n"),
            AFTER,
        ),
        block=see_malformed,
        done="awaits a later event",
    ),
    Fault(
        what="exits inside an item",
        steps=lambda random: (ready(), _half(random), exit_with(3)),
        block=sleep,
        done="goes on",
        error="DaemonExited",
        status=3,
    ),
    Fault(
        what="an item of megabytes",
        steps=lambda random: (ready(), big_event("big.v0", random.randint(10**5, 10**7)), AFTER),
        block=see_big,
        done="awaits it",
    ),
    Fault(
        what="garbage",
        steps=lambda random: (ready(), _garbage(random), AFTER),
        block=see_malformed,
        done="awaits a later event",
    ),
    Fault(
        what="broken JSON, `strict=True`",
        steps=_always(ready(), raw(b'{"fd-sink-item.v0":{"event"\n')),
        block=sleep,
        done="goes on",
        error="MalformedEvent",
        options=AccuserOptions(strict=True),
    ),
    Fault(
        what="never opens its pipe",
        steps=_always(NOT_OPENED),
        block=wait_shortly,
        done="awaits an event for a while",
        error="EventTimeout",
    ),
    Fault(
        what="opens its pipe late",
        steps=_always(NOT_OPENED, await_go(), open_pipe(), AFTER),
        block=go_and_see,
        done="awaits an event",
    ),
    Fault(
        what="closes its pipe and goes on",
        steps=_always(ready(), close_pipe(), await_go(), line("alive")),
        block=go_and_see_line,
        done="awaits a line",
    ),
    Fault(
        what="starts slowly",
        steps=lambda random: (delay(random.random() / 5), ready(), AFTER),
        block=see,
        done="awaits an event",
    ),
    Fault(
        what="is never ready",
        steps=_always(await_go()),
        block=leave,
        done="does not begin",
        error="EventTimeout",
        status=None,
        options=AccuserOptions(wait_timeout=SHORT),
    ),
    Fault(
        what="says that it is ready without a line end",
        steps=_always(ready(end=""), AFTER),
        block=see,
        done="awaits an event",
    ),
    Fault(
        what="ignores SIGTERM",
        steps=_always(ignore_sigterm(), ready()),
        block=terminate_shortly,
        done="`terminate(timeout=0.05)`",
        status=KILLED,
    ),
    Fault(
        what="ignores SIGTERM, is restarted",
        steps=_always(ignore_sigterm(), ready()),
        block=restart_shortly,
        done="`restart(timeout=0.05)`, `kill()`",
        status=KILLED,
    ),
    Fault(
        what="writes an event when it gets SIGTERM",
        steps=_always(ready(), await_sigterm(), AFTER, exit_with(STOPPED)),
        block=terminate_and_see,
        done="`terminate()`, awaits the event",
    ),
    Fault(
        what="leaves a child that holds its output or its pipe",
        steps=lambda random: (
            ready(),
            fork(*random.sample(HELD, random.randint(0, 3)), daemonise=random.random() < 0.5),
            AFTER,
        ),
        block=see,
        done="awaits an event",
    ),
    Fault(
        what="exits before it is ready",
        steps=_always(line("why", "stderr"), exit_with(4)),
        block=leave,
        done="does not begin",
        error="DaemonExited",
        status=4,
    ),
    Fault(
        what="finds its port taken",
        steps=_always(port_taken()),
        block=leave,
        done="does not begin",
        error="PortTaken",
        status=1,
    ),
    Fault(
        what="exits",
        steps=_always(ready(), exit_with(0)),
        block=sleep,
        done="goes on",
        error="DaemonExited",
        status=0,
    ),
    Fault(
        what="exits, and an event was awaited",
        steps=_always(ready(), await_go(), exit_with(5)),
        block=lambda accuser: _go_and(accuser, wait),
        done="awaits an event",
        error="TerminatedBeforeEvent",
        status=5,
    ),
    Fault(
        what="exits, `may_exit=True`",
        steps=_always(ready(), exit_with(6)),
        block=end,
        done="goes on",
        status=6,
        may_exit=True,
    ),
    Fault(
        what="dies by a signal",
        steps=_always(ready(), die_by(signal.SIGSEGV)),
        block=sleep,
        done="goes on",
        error="DaemonExited",
        status=-signal.SIGSEGV,
    ),
    Fault(
        what="crashes again and again, `may_exit=True`",
        steps=_always(ready(), await_go(), die_by()),
        block=crash_and_restart,
        done="restarts it each time",
        status=KILLED,
        may_exit=True,
    ),
    Fault(
        what="floods",
        steps=lambda random: (
            ready(),
            *(flood(what, random.randint(1, 5000)) for what in FLOODED),
            AFTER,
        ),
        block=see,
        done="awaits an event after it",
    ),
    Fault(
        what="floods while it is terminated",
        steps=_always(ready(), await_sigterm(), flood("events", 5000), flood("stderr", 5000), AFTER),
        block=terminate_and_see,
        done="`terminate()`, awaits the event after it",
    ),
    Fault(
        what="floods without end and ignores SIGTERM",
        steps=lambda random: (
            ignore_sigterm(),
            ready(),
            flood(random.choice(FLOODED)),
        ),
        block=terminate_shortly,
        done="`terminate(timeout=0.05)`",
        status=KILLED,
    ),
    Fault(
        what="stops itself with SIGSTOP",
        steps=_always(ready(), stop_itself()),
        block=terminate_the_stopped,
        done="`terminate()`",
    ),
    Fault(
        what="nothing wrong, and the block is cancelled",
        steps=_always(ready()),
        block=cancel,
        done="is cancelled",
    ),
    Fault(
        what="nothing wrong, and a handler raises",
        steps=_always(ready(), await_go(), AFTER),
        block=handle_badly,
        done="goes on",
        error="HandlerFailed",
    ),
)


async def _go_and(accuser: Accuser, then: Block) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(then, accuser)
        await trio.testing.wait_all_tasks_blocked()
        go(accuser)
