"""What an accuser and its node say to each other: a door of the node, which one accuser goes through.

A door writes down every request and its answer, and fails those that a schedule wants to fail.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import attrs
import trio

from .._http.server import Answer, Feed, Handler, Request, dump, serve_connection
from ..sandbox.node.media import Voice
from .schedule import Answer as Fault

_IN_JSON: Final = {"accept": "application/json", "content-type": "application/json"}
_FAILURE: Final = [{"kind": "generic", "error": "the node of an exploration was told to fail here"}]


@attrs.frozen
class Call:
    """A request of an accuser that was answered at once."""

    method: str
    path: str
    """Without the query."""
    query: dict[str, list[str]]
    body: Any
    status: int
    answer: Any
    """Decoded; None for an empty one."""


@attrs.frozen
class Opened:
    """A stream that an accuser has open."""

    path: str
    query: dict[str, list[str]]


@attrs.define(eq=False, repr=False)
class Door:
    """The way of one accuser to its node.

    Args:
        handler: gives the node's present RPCs; they change when it is restarted.
    """

    handler: Callable[[], Handler]
    port: int = attrs.field(default=0, init=False)
    """Where it is; 0 before the first time that it is opened."""
    served: int = attrs.field(default=0, init=False)
    """How many requests were ever made."""
    calls: list[Call] = attrs.field(factory=list, init=False)
    """Since somebody last took them."""
    streams: dict[Feed, Opened] = attrs.field(factory=dict, init=False)
    faults: dict[Fault, int] = attrs.field(factory=dict, init=False)
    """How many requests of a kind are to fail."""
    opened: list[Opened] = attrs.field(factory=list, init=False)
    """Streams, since somebody last took them."""
    _scope: trio.CancelScope | None = attrs.field(default=None, init=False)
    _shut: trio.Event = attrs.field(factory=trio.Event, init=False)

    async def serve(
        self, listeners: list[trio.SocketListener], *, task_status: trio.TaskStatus[list[trio.SocketListener]]
    ) -> None:
        """Serve until the door is shut."""
        self._shut = trio.Event()
        try:
            with trio.CancelScope() as self._scope:
                await trio.serve_listeners(self._one, listeners, task_status=task_status)
        finally:
            self._shut.set()

    async def _one(self, stream: trio.abc.Stream) -> None:
        await serve_connection(stream, self.answer)

    async def shut(self) -> None:
        """End every connection at once, and take no more."""
        if self._scope is not None:
            self._scope.cancel(reason="the node is down")
            self._scope = None
        self.faults.clear()
        await self._shut.wait()

    def has_open(self, path: str) -> Opened | None:
        """The stream of that path that is open, if one is; the last of several."""
        return next((each for each in reversed(self.streams.values()) if each.path == path), None)

    def push(self, path: str, item: object) -> None:
        """Put one more item into the open stream of that path."""
        for feed, opened in reversed(self.streams.items()):
            if opened.path == path:
                feed.push(item)
                return

    async def answer(self, request: Request) -> Answer | Feed:
        """Answer a request as the node does, or not."""
        self.served += 1
        path = "/" + "/".join(request.path)
        if "monitor" in request.path or "monitor_operations" in request.path:
            answer = await self.handler()(request)
            if isinstance(answer, Feed):
                self._keep(answer, Opened(path, request.query))
            return answer
        # The node is asked in JSON, whatever the accuser speaks, so that what they say can be read here.
        voice = Voice.of(request)
        body = voice.hear(request).json() if request.body else None
        fault = self._fault(request)
        status: int = 500
        told: Any = _FAILURE
        if fault is None or fault in _ALTERED:
            plain = attrs.evolve(request, headers=_IN_JSON, body=b"" if body is None else dump(body))
            answer = await self.handler()(plain)
            assert isinstance(answer, Answer)
            if answer.status not in (200, 500):
                self.calls.append(Call(request.method, path, request.query, body, answer.status, None))
                return answer
            status, told = answer.status, json.loads(answer.body) if answer.body.strip() else None
        if fault in _ALTERED and status == 200:
            told = _ALTERED[fault](told)
        self.calls.append(Call(request.method, path, request.query, body, status, told))
        return voice.say(told) if status == 200 else voice.refuse(told)

    def _keep(self, feed: Feed, opened: Opened) -> None:
        self.streams[feed] = opened
        self.opened.append(opened)

        def forget() -> None:
            self.streams.pop(feed, None)

        feed.on_close.append(forget)

    def _fault(self, request: Request) -> Fault | None:
        wanted = next((each for each in _KINDS.get(_kind(request), ()) if self.faults.get(each, 0) > 0), None)
        if wanted is not None:
            self.faults[wanted] -= 1
        return wanted


def _kind(request: Request) -> str:
    match request.path:
        case ("chains", _, "blocks", _):
            return "block"
        case ("chains", _, "blocks", _, "helpers", "validators"):
            return "validators"
        case ("chains", _, "blocks", _, "helpers", "forge", "operations"):
            return "forge"
        case ("chains", _, "blocks", _, "header" | "hash" as last):
            return last
        case ("injection", "operation") | ("private", "injection", "operation"):
            return "inject"
    return ""


_KINDS: Final[dict[str, tuple[Fault, ...]]] = {
    "block": ("block", "pruned", "bare"),
    "validators": ("validators", "nobody"),
    "forge": ("forge",),
    "header": ("header",),
    "hash": ("hash",),
    "inject": ("inject",),
}
"""Of the faults, those that a request may meet."""


def _pruned(block: dict[str, Any]) -> dict[str, Any]:
    operations = [
        [{name: value for name, value in each.items() if name != "metadata"} for each in passed]
        for passed in block["operations"]
    ]
    return {name: value for name, value in block.items() if name != "metadata"} | {"operations": operations}


_ALTERED: Final[dict[str, Callable[[Any], Any]]] = {
    "pruned": _pruned,
    "bare": lambda block: {**block, "operations": []},
    "nobody": lambda rights: [],
}
"""What the answer is instead, where there still is one."""
