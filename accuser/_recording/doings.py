"""What was done to daemons, written into every recording that is open: commands, requests, steps.

They belong to no daemon. Nothing is written, and hardly any time is spent, while no recording is open.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

import attrs
import trio

from .._errors import CommandFailed, RpcError
from .._text import secrets
from .entries import Command, Done, Failure, Phase, Rpc, Step
from .writer import Recording, opened

OUTPUT: Final = 16_000
"""Characters of what a command printed, half of them from its begin and half from its end."""
BODY: Final = 2_000
"""Characters of a request or an answer, from its begin."""


def write(begun: float, entry: Callable[[float, float], Done], recording: Recording | None = None) -> None:
    """Write an entry that ``entry`` makes, given the time and when it began.

    Args:
        begun: by `time.monotonic`.
        entry: makes it.
        recording: the one that it goes to; by default all that are open.
    """
    for one in opened if recording is None else (recording,):
        one.write([entry(one.now, one.since_begin(begun))])


@attrs.define
class Told:
    """What is known of a command or a request when it has ended."""

    status: int | None = None
    said: tuple[str, str] = ("", "")


@contextmanager
def command_told(name: str, command: tuple[str, ...]) -> Generator[Told]:
    """Write down the command that the block runs; it puts what was printed into what this gives."""
    begun, told = time.monotonic(), Told()
    # It inherits them, and what it prints is written down and logged.
    secrets.learn_environment(os.environ)
    try:
        yield told
        told.status = 0
    except CommandFailed as error:
        told.status, told.said = error.status, (error.stdout, error.stderr)
        raise
    except BaseException as error:
        told.said = ("", _unended(error))
        raise
    finally:
        stdout, stderr = (_cut(text) for text in told.said)
        write(
            begun,
            lambda t, start: Command(
                t=t, begun=start, name=name, command=command, status=told.status, stdout=stdout, stderr=stderr
            ),
        )


@contextmanager
def request_told(method: str, url: str, body: str | None) -> Generator[Told]:
    """Write down the request that the block makes; it puts status and answer into what this gives."""
    begun, told = time.monotonic(), Told()
    try:
        yield told
    except BaseException as error:
        if not isinstance(error, RpcError):
            told.said = (_unended(error), "")
        raise
    finally:
        sent, answer = None if body is None else _begin_of(body), _begin_of(told.said[0])
        write(
            begun,
            lambda t, start: Rpc(
                t=t, begun=start, method=method, url=url, body=sent, status=told.status, answer=answer
            ),
        )


def phase_told(what: str, begun: float, outcome: str, recording: Recording) -> None:
    """Write down that a part of a test is over."""
    write(begun, lambda t, start: Phase(t=t, begun=start, what=what, outcome=outcome), recording)


def failure_told(error: str, message: str, place: tuple[str, ...], recording: Recording) -> None:
    """Write down what a test has failed with just now."""
    write(
        time.monotonic(),
        lambda t, _: Failure(t=t, begun=t, error=error, message=message, place=place),
        recording,
    )


@attrs.define(eq=False, repr=False)
class StepBlock:
    """A step that may be the length of a block; see `step`."""

    what: str
    _begun: float = attrs.field(factory=time.monotonic, init=False)

    def __enter__(self) -> StepBlock:
        self._begun = time.monotonic()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        cancelled = kind is not None and issubclass(kind, trio.Cancelled)
        self._write("done" if kind is None else "cancelled" if cancelled else "failed")

    async def __aenter__(self) -> StepBlock:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.__exit__(kind)

    def _write(self, outcome: str) -> None:
        write(self._begun, lambda t, begun: Step(t=t, begun=begun, what=self.what, outcome=outcome))


def step(what: str) -> StepBlock:
    """Say in a recording, in failure reports and on timelines what a test does now.

    ``step("bake two blocks")`` notes the moment; ``async with step("bake two blocks"):``, or ``with``, also
    how long the block took and whether it failed.

    Args:
        what: the step, in words. It goes into each recording that is open, as the pytest plugin's is.
    """
    block = StepBlock(what)
    if opened:
        block._write("noted")
    return block


def _cut(text: str) -> str:
    half = OUTPUT // 2
    return text if len(text) <= OUTPUT else f"{text[:half]}\n... (cut)\n{text[-half:]}"


def _begin_of(text: str) -> str:
    return text if len(text) <= BODY else f"{text[:BODY]}... (cut)"


def _unended(error: BaseException) -> str:
    return "cancelled" if isinstance(error, trio.Cancelled) else f"{type(error).__name__}: {error}"
