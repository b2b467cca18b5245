"""A small HTTP server for one page, in tasks of its own: what it serves never holds up the rest.

Invariant: nothing that a client sends or does ends anything but its own connection.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import attrs
import h11
import trio

PATH: Final = "/metrics"

PATIENCE: Final = 30.0
"""Seconds that a client may take to ask, and then to take its answer."""

CONNECTIONS: Final = 32
"""How many are served at a time; the others wait in the kernel."""

_TEXT: Final = "text/plain; charset=utf-8"


@attrs.frozen
class Page:
    """An answer."""

    body: bytes
    content_type: str = _TEXT
    status: int = 200


Render = Callable[[str], Awaitable[Page]]
"""Makes the page at ``/metrics`` for a value of the header ``Accept``."""


async def serve(listeners: list[trio.SocketListener], render: Render) -> None:
    """Answer ``GET /metrics`` until cancelled, which closes the listeners and every connection."""
    limiter = trio.CapacityLimiter(CONNECTIONS)
    await trio.serve_listeners(partial(_connection, render, limiter), listeners)


async def _connection(render: Render, limiter: trio.CapacityLimiter, stream: trio.SocketStream) -> None:
    connection = h11.Connection(h11.SERVER)
    try:
        async with limiter:
            while True:
                with trio.fail_after(PATIENCE):
                    await _exchange(stream, connection, render)
                if connection.states != {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
                    break
                connection.start_next_cycle()
    except (trio.BrokenResourceError, trio.TooSlowError, h11.LocalProtocolError, OSError):
        pass
    finally:
        await trio.aclose_forcefully(stream)


async def _exchange(stream: trio.SocketStream, connection: h11.Connection, render: Render) -> None:
    method, page = b"", None
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some(4096)))
            elif isinstance(event, h11.ConnectionClosed):
                connection.send(h11.ConnectionClosed())
                return
            elif isinstance(event, h11.Request):
                method = event.method
                page = await _page(event, render)
    except h11.RemoteProtocolError as error:
        page = Page(f"{error}\n".encode(), status=error.error_status_hint)
    assert page is not None
    fields = [("content-type", page.content_type), ("content-length", str(len(page.body)))]
    data = connection.send(h11.Response(status_code=page.status, headers=fields)) or b""
    if method != b"HEAD":
        data += connection.send(h11.Data(data=page.body)) or b""
    data += connection.send(h11.EndOfMessage()) or b""
    await stream.send_all(data)


async def _page(request: h11.Request, render: Render) -> Page:
    if request.target.partition(b"?")[0] != PATH.encode():
        return Page(f"the metrics are at {PATH}\n".encode(), status=404)
    if request.method not in (b"GET", b"HEAD"):
        return Page(b"only GET and HEAD are answered\n", status=405)
    accepted = ",".join(value.decode("latin-1") for name, value in request.headers if name == b"accept")
    try:
        return await render(accepted)
    except Exception:
        # Whoever looks at a daemon must not end it.
        logging.getLogger("accuser").exception("the metrics could not be made")
        return Page(b"the metrics could not be made; the log tells why\n", status=500)
