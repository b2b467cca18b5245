"""Waits for the first of several daemons, and for what is asked again until it is good."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import trio

from .._checks import check_seconds
from .._engine.explain import short
from .._engine.waits import Expectation, limited
from .._errors import AccuserError, EventTimeout, TerminatedBeforeEvent
from .._unwrap import plain_errors
from .observed import Observed
from .waits import WAIT_TIMEOUT

T = TypeVar("T")
D = TypeVar("D", bound=Observed)


async def wait_for_any(waits: Mapping[D, Any], *, timeout: float | None = WAIT_TIMEOUT) -> tuple[D, Any]:
    """Wait for the first of several daemons; return which one it was, and what it gave.

    ``await wait_for_any({node: "head_increment.v0", accuser: accuser.expect("daemon_start.v0")})``

    Args:
        waits: for each daemon the name or the class of an event, or several of them, to be waited for
            from now on; or an expectation of it, which has begun already.
        timeout: seconds for all of them together, 60 by default; None for no limit.

    Raises:
        EventTimeout: none came in time; the error is that of the first of them.
        TerminatedBeforeEvent: all of them have ended.
        ValueError: there is none to wait for.

    Of two that had come before, the first one in the order of ``waits`` counts.
    """
    expectations = {
        daemon: what if isinstance(what, Expectation) else daemon.expect(what, timeout=None)
        for daemon, what in waits.items()
    }
    if not expectations:
        raise ValueError("give at least one daemon to wait for")
    found: list[tuple[D, Any]] = []
    ends: list[TerminatedBeforeEvent] = []

    async def wait(daemon: D, expectation: Expectation[Any]) -> None:
        try:
            value = await expectation
        except TerminatedBeforeEvent as error:
            ends.append(error)
        else:
            found.append((daemon, value))
            nursery.cancel_scope.cancel(reason=f"{daemon.name} was the first")

    with limited(timeout) as limit, plain_errors():
        async with trio.open_nursery() as nursery:
            for daemon, expectation in expectations.items():
                nursery.start_soon(wait, daemon, expectation)
    if found:
        order = list(expectations)
        return min(found, key=lambda one: order.index(one[0]))
    if not limit.cancelled_caught:
        raise ends[0]
    assert timeout is not None
    late = next(iter(expectations.values())).timed_out(timeout)
    late.daemon = " / ".join(daemon.name for daemon in expectations)
    raise late


async def retry(
    ask: Callable[[], Awaitable[T]],
    until: Callable[[T], object] | None = None,
    *,
    timeout: float | None = WAIT_TIMEOUT,
    interval: float = 0.1,
    where: str | None = None,
) -> T:
    """Ask again and again until there is an answer, and a good one; return it.

    For what comes back by itself, as a node that was restarted:
    ``await retry(lambda: node.rpc("get", "/chains/main/blocks/head/hash"), lambda head: head != before)``

    Args:
        ask: an asynchronous function without arguments. What it raises of `AccuserError` is no answer yet.
        until: says of an answer whether it is good, by anything that counts as true; by default any is.
        timeout: seconds, 60 by default; None for no limit.
        interval: seconds between the end of one attempt and the begin of the next one.
        where: what is wanted, in words, for messages.

    Raises:
        EventTimeout: there was none in time. Its cause is the error of the last attempt; a note tells the
            last answer.

    Every other exception of ``ask`` and ``until`` reaches the caller. An attempt that is under way when the
    time is over is cancelled.
    """
    check_seconds(interval, "interval")
    failure: AccuserError | None
    attempts, failure, said = 0, None, "there was no answer"
    with limited(timeout):
        while True:
            attempts += 1
            try:
                answer = await ask()
            except AccuserError as error:
                failure, said = error, f"the last attempt failed: {error}"
            else:
                failure = None
                if until is None or until(answer):
                    return answer
                said = f"the last answer was {short(answer)}"
            await trio.sleep(interval)
    assert timeout is not None
    name = getattr(ask, "__qualname__", repr(ask)).rpartition("<locals>.")[2]
    over = EventTimeout(f"retry of {name}", "good answer", where, timeout)
    over.add_note(f"{attempts} attempt{'s'[: attempts > 1]}; {said}")
    raise over from failure
