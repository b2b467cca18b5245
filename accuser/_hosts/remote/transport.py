"""The way to a shell elsewhere: by SSH, into a container, into a namespace, ..."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

import attrs
import trio

from ..._errors import RunnerError
from ..._report import RunnerFault
from ..host import inherited
from ..owner.child import spawn

if TYPE_CHECKING:
    from ..._http.client import Connect

LOOPBACK: Final = "127.0.0.1"
"""Deliberately no host name (``tezt/lib_tezos/constant.ml``)."""

LAST_WORDS: Final = 2.0
"""Seconds that are given to a command that failed, to say why."""


class Shell(Protocol):
    """A shell elsewhere, which runs a script and ends with its standard input."""

    @property
    def stdin(self) -> trio.lowlevel.FdStream:
        """Its standard input."""

    @property
    def stdout(self) -> trio.abc.ReceiveStream:
        """Its standard output."""

    @property
    def stderr(self) -> trio.abc.ReceiveStream:
        """Its standard error."""

    async def wait_exited(self) -> None:
        """Wait until it has ended. Cancelling is harmless."""

    async def aclose(self) -> None:
        """Close everything of ours, which ends it; cancelled or not, in a bounded time."""


class Transport(abc.ABC):
    """A way to start shells in one place; `Runner` takes one.

    All that a new one has to say is `command`. The shell must be a POSIX shell that reads its script from its
    standard input, lead a process group of its own, and find its standard input at its end when the command
    is gone.
    """

    label: str = ""
    """The place, in messages."""
    oom_score: ClassVar[int] = 0
    """A daemon's ``oom_score_adj``, of 1000: whom Linux kills first without memory. 0 changes nothing."""

    @abc.abstractmethod
    def command(self) -> tuple[str, ...]:
        """The words of a command on this machine that starts a shell there."""

    @property
    def address(self) -> str:
        """The name or address under which this machine reaches servers there."""
        return LOOPBACK

    @property
    def listen_address(self) -> str:
        """What servers there bind to; everywhere, unless told otherwise."""
        return "0.0.0.0"

    def connect_to(self, url: str) -> Connect | None:
        """What opens connections to a server there; None for TCP to its address."""
        return None

    def meaning(self, text: str) -> RunnerFault:
        """What is wrong, by what the command wrote to standard error before it ended without a shell."""
        return RunnerFault.LOST

    def opened(self) -> AbstractAsyncContextManager[None]:
        """Hold open what shells share, for the length of a block, which may be nested; nothing, here.

        Raises `RunnerError`.
        """
        return contextlib.nullcontext()

    @property
    def alive(self) -> bool:
        """Whether shells can be started there, as far as is known."""
        return True

    @property
    def answers(self) -> bool:
        """Whether what runs there can answer, as far as is known; else nobody waits for it at the end."""
        return True

    async def is_frozen(self) -> bool:
        """Whether what runs there is known not to go on; asked when it is silent, and was told to end."""
        return False

    @trio.lowlevel.enable_ki_protection
    async def shell(self, script: str) -> Shell:
        """Start a shell there that runs ``script``."""
        return await spawn_shell(self.command(), script)

    async def fault(self, detail: str = "") -> RunnerError:
        """Why a shell ended too early.

        Args:
            detail: what it said itself, if anything.
        """
        return RunnerError(self.label, self.meaning(detail), detail.strip())

    async def refused(self, detail: str = "") -> RunnerError:
        """Why a shell ended before it answered; as `fault`, unless there is more to tell.

        Args:
            detail: what it said itself, if anything.
        """
        return await self.fault(detail)


@attrs.define(eq=False, repr=False)
class SharedTransport(Transport):
    """A transport whose shells share what the first user opens and the last one closes."""

    _users: int = attrs.field(default=0, init=False)
    _changing: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    @abc.abstractmethod
    async def _open(self) -> None:
        """Open what is shared. Raises `RunnerError`."""

    @abc.abstractmethod
    async def _close(self) -> None:
        """Close it, as far as it is open."""

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """Hold it for the length of a block; the last block closes it. Raises `RunnerError`."""
        async with self._changing:
            if self._users == 0:
                await self._open()
            self._users += 1
        try:
            yield
        finally:
            with trio.CancelScope(shield=True):
                async with self._changing:
                    self._users -= 1
                    if self._users == 0:
                        await self._close()

    async def revive(self) -> None:
        """Open it anew if it was lost. Raises `RunnerError`."""
        async with self._changing:
            if not self.alive:
                await self._close()
                await self._open()


async def spawn_shell(
    command: tuple[str, ...], script: str, environment: Mapping[str, str] | None = None
) -> Shell:
    """Start a command that is a shell, and give it its script. Raises `SpawnFailed`."""
    child = await spawn(command, inherited() if environment is None else environment)
    try:
        await child.stdin.send_all(script.encode())
    except trio.BrokenResourceError:
        # What it says of its end is read where its answer is awaited.
        pass
    except BaseException:
        await child.aclose()
        raise
    return child


async def refusal(transport: Transport, shell: Shell, said: str = "") -> RunnerError:
    """The error of a shell that has ended before it answered.

    Args:
        transport: the way to it.
        shell: what had been started; its standard error is read.
        said: what it has written to standard output.
    """
    text = b""
    with (
        trio.move_on_after(LAST_WORDS),
        contextlib.suppress(trio.ClosedResourceError, trio.BrokenResourceError),
    ):
        while len(text) < 65536 and (data := await shell.stderr.receive_some()):
            text += data
    return await transport.refused(text.decode("utf-8", "replace").strip() or said)
