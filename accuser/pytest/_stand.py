"""The daemons of one test, opened one after the other and stopped in the opposite order.

Invariants:
1. Each is held open by a task of its own in the fixture's nursery: a nursery must be left by the
   task that entered it, and the test's task, which asks for daemons, ends before they do.
2. The error of one stops none of the others: they go in their order, once the test has.
3. What ends a daemon unasked is raised by the fixture, whatever the test does with its own
   cancellation; also when the test had ended, and the death was not noticed before the stop.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar, Unpack

import attrs
import trio

from .._daemons.accuser import Accuser, AccuserOptions, open_accuser
from .._daemons.baker import Baker, BakerOptions, open_baker
from .._daemons.client import Client, ClientOptions, open_client
from .._daemons.daemon import Daemon
from .._daemons.endpoint import Endpoint
from .._daemons.node import Node, NodeOptions, open_node
from .._daemons.options import DaemonOptions, EventLevel
from .._errors import AccuserError, DaemonExited
from .._hosts.toolchain import Toolchain
from .._mavryk.protocol import Protocol
from ._bundle import Bundle

T = TypeVar("T")


@attrs.define(eq=False, repr=False)
class _Place:
    release: trio.Event = attrs.field(factory=trio.Event)
    empty: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False, repr=False)
class Stand:
    """Where the daemons of a test are."""

    toolchain: Toolchain
    protocol: Protocol
    bundle: Bundle
    _nursery: trio.Nursery
    _test: trio.CancelScope
    """Cancelling it cancels the test."""
    _places: list[_Place] = attrs.field(factory=list, init=False)
    errors: list[Exception] = attrs.field(factory=list, init=False)

    def __repr__(self) -> str:
        return "<the daemons of this test>"

    async def open_node(
        self,
        *,
        event_level: EventLevel | None = None,
        may_exit: bool = False,
        **options: Unpack[NodeOptions],
    ) -> Node:
        self._complete(options)
        return await self._keep(open_node(event_level=event_level, may_exit=may_exit, **options))

    async def open_accuser(
        self,
        node: Node | Endpoint | str,
        protocol: Protocol | str | None = None,
        *,
        event_level: EventLevel | None = None,
        may_exit: bool = False,
        **options: Unpack[AccuserOptions],
    ) -> Accuser:
        self._complete(options)
        opening = open_accuser(
            protocol or self.protocol, node, event_level=event_level, may_exit=may_exit, **options
        )
        return await self._keep(opening)

    async def open_baker(
        self,
        node: Node | Endpoint | str,
        client: Client,
        protocol: Protocol | str | None = None,
        *,
        event_level: EventLevel | None = None,
        may_exit: bool = False,
        **options: Unpack[BakerOptions],
    ) -> Baker:
        self._complete(options)
        opening = open_baker(
            protocol or self.protocol, node, client, event_level=event_level, may_exit=may_exit, **options
        )
        return await self._keep(opening)

    async def open_client(self, node: Node | Endpoint | str, **options: Unpack[ClientOptions]) -> Client:
        if not isinstance(node, Node):
            options.setdefault("toolchain", self.toolchain)
        return await self._keep(open_client(node, **options))

    async def close(self) -> None:
        """Stop all, the newest first; each has ended before the next is asked."""
        while self._places:
            place = self._places.pop()
            place.release.set()
            await place.empty.wait()

    @property
    def _has_failed(self) -> bool:
        return bool(self.errors) or self.bundle.story.failure is not None

    def _complete(self, options: DaemonOptions) -> None:
        if options.get("toolchain") is None:
            options["toolchain"] = self.toolchain
        if options.get("record") is None:
            options["record"] = self.bundle.recording

    async def _keep(self, opening: AbstractAsyncContextManager[T]) -> T:
        opened: T = await self._nursery.start(self._hold, opening)
        return opened

    async def _was_killed(self, daemon: Daemon) -> bool:
        """Stop a daemon, in its block; whether it had died already, and its files are kept."""
        await daemon.terminate()
        if killed := self.bundle.was_killed(daemon):
            daemon.keep_directory()
        return killed

    async def _hold(self, opening: AbstractAsyncContextManager[T], task_status: trio.TaskStatus[T]) -> None:
        place, holder, killed = None, None, False
        try:
            async with opening as opened:
                place = _Place()
                holder = opened if isinstance(opened, Daemon) else None
                self._places.append(place)
                task_status.started(opened)
                try:
                    await place.release.wait()
                    killed = holder is not None and holder.running and await self._was_killed(holder)
                finally:
                    if isinstance(opened, Node):
                        self.bundle.keep_files_of(opened)
                    if isinstance(opened, Node | Client) and self._has_failed:
                        self.bundle.keep_volume_of(opened)
            if killed and holder is not None:
                # Behind the block, which raises the same where the daemon's own end has told of it.
                assert holder.exit_status is not None
                raise DaemonExited(holder.name, holder.exit_status, holder.last_lines)
        except Exception as error:
            if place is None:
                raise  # to whoever asked for it
            if holder is not None:
                self.bundle.take_folder_of(holder, error)
            self.errors.append(error)
            self._test.cancel(reason=f"a daemon of it failed: {error!r}")
        finally:
            if place is not None:
                place.empty.set()


@asynccontextmanager
async def open_stand(toolchain: Toolchain, protocol: Protocol, bundle: Bundle) -> AsyncGenerator[Stand]:
    """Give a stand; its end stops what is on it.

    Raises what ended a daemon unasked, or what a handler raised; the block was cancelled.
    """
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as test:  # noqa: ASYNC100 - the test runs within
            stand = Stand(toolchain, protocol, bundle, nursery, test)
            yield stand
        await stand.close()
    for error in stand.errors:
        if isinstance(error, AccuserError):
            # It says all that there is to say; where in the engine it comes from is noise.
            error.__traceback__ = None
    if len(stand.errors) == 1:
        raise stand.errors[0]
    if stand.errors:
        raise ExceptionGroup("several daemons failed", stand.errors)
