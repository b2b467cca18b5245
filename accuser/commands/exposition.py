"""The metrics at `PATH` and the health at `HEALTH`, served in tasks of their own: what is asked never holds
up the rest.

The server is `_http.server`, which the sandbox's node has too; here is what is otherwise: any media type
may be asked for, patience is short, and idle clients keep nobody out.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import trio

from .._http.server import Answer, Handler, Request, serve_connection

PATH: Final = "/metrics"

HEALTH: Final = "/healthz"

PATIENCE: Final = 30.0
"""Seconds that a client may take to ask, and then to take its answer."""

CONNECTIONS: Final = 32
"""How many are open at a time. One more closes the oldest, so that idle clients keep nobody out."""

MAX_BODY: Final = 64 * 1024
"""Bytes of a request's body, of which nothing is read."""

_TEXT: Final = "text/plain; charset=utf-8"

Render = Callable[[str], Awaitable[Answer]]
"""Makes the page at ``/metrics`` for a value of the header ``Accept``."""


Trouble = Callable[[], str | None]
"""Tells why what is kept is of no use at the moment; None if it is."""


async def serve(listeners: list[trio.SocketListener], render: Render, trouble: Trouble | None = None) -> None:
    """Answer what is asked until cancelled, which closes the listeners and every connection.

    ``/metrics`` has what ``render`` gives. With ``trouble`` there are ``/healthz``, which is answered by
    200, or by 503 with the reason, and ``/``, which names both.
    """
    opened: dict[trio.CancelScope, None] = {}
    await trio.serve_listeners(partial(_serve_one, partial(_answer, render, trouble), opened), listeners)


async def _serve_one(
    handler: Handler, opened: dict[trio.CancelScope, None], stream: trio.SocketStream
) -> None:
    with trio.CancelScope() as scope:
        if len(opened) >= CONNECTIONS:
            # Many may come before the closed one has left.
            oldest = next(iter(opened))
            del opened[oldest]
            oldest.cancel(reason="others ask too")
        opened[scope] = None
        try:
            await serve_connection(
                stream,
                handler,
                max_body=MAX_BODY,
                idle_timeout=PATIENCE,
                send_timeout=PATIENCE,
            )
        finally:
            opened.pop(scope, None)


async def _answer(render: Render, trouble: Trouble | None, request: Request) -> Answer:
    if trouble is not None and request.path in ((), (HEALTH.strip("/"),)):
        if request.method not in ("GET", "HEAD"):
            return Answer(405, b"only GET and HEAD are answered\n", _TEXT)
        if not request.path:
            return Answer(200, f"{PATH}\n{HEALTH}\n".encode(), _TEXT)
        reason = trouble()
        return Answer(200, b"ok\n", _TEXT) if reason is None else Answer(503, f"{reason}\n".encode(), _TEXT)
    if request.path != (PATH.strip("/"),):
        return Answer(404, f"the metrics are at {PATH}\n".encode(), _TEXT)
    if request.method not in ("GET", "HEAD"):
        return Answer(405, b"only GET and HEAD are answered\n", _TEXT)
    try:
        return await render(request.headers.get("accept", ""))
    except Exception:
        # Whoever looks at a daemon must not end it.
        logging.getLogger("accuser").exception("the metrics could not be made")
        return Answer(500, b"the metrics could not be made; the log tells why\n", _TEXT)
