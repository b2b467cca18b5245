"""Direct requests to a node's RPC server, and nodes that somebody else runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from .._engine.waits import DEFAULT, Default, limited
from .._errors import EventTimeout, RpcError
from .._http.errors import HttpError
from .._recording.doings import request_told
from .._stream.nesting import MAX_DEPTH, too_deep
from .._text import without_any_credentials, without_credentials
from .waits import WAIT_TIMEOUT

if TYPE_CHECKING:
    from .._http.client import Connect


def _without_slash(url: str) -> str:
    return url.rstrip("/")


async def call_rpc(
    url: str,
    method: str,
    path: str,
    data: object = None,
    *,
    connect: Connect | None = None,
    timeout: float | Default | None = DEFAULT,
) -> Any:
    """Send one request to the node at ``url``, by TCP or ``connect``; return the decoded JSON answer.

    As upstream's harness (``tezt/lib_tezos/RPC_core.ml``): no Accept header, and a content type
    when there is a body. An empty answer gives None.

    Raises:
        NodeUnreachable: nothing listens there.
        RpcError: any status but a 2xx one, or an answer that is not JSON, or nested too deeply.
        HttpError: the connection broke, the answer is larger than 256 MiB, or not whole within ``timeout``
            seconds, 60 by default; None for no limit.
    """
    seconds = WAIT_TIMEOUT if isinstance(timeout, Default) else timeout
    with limited(seconds):
        return await _call_rpc(url, method, path, data, connect)
    shown = without_credentials(url + path)
    raise HttpError(f"{method.upper()} {shown}: no whole answer within {seconds:g} s")


async def _call_rpc(url: str, method: str, path: str, data: object, connect: Connect | None) -> Any:
    from .._http.client import HttpClient  # h11 costs what many programs never use

    body = None if data is None else json.dumps(data).encode()
    headers = () if data is None else (("content-type", "application/json"),)
    shown, sent = without_credentials(url + path), None if body is None else body.decode()
    with request_told(method.upper(), shown, sent) as told:
        response = await HttpClient(url, connect=connect).request(
            method.upper(), path, body=body, headers=headers
        )
        text = response.body.decode("utf-8", "replace")
        told.status, told.said = response.status, (text, "")
    if not 200 <= response.status < 300:
        raise RpcError(method.upper(), shown, response.status, text)
    if not text.strip():
        return None
    unreadable = RpcError(method.upper(), shown, response.status, text)
    if too_deep(response.body):
        unreadable.add_note(f"the answer is nested in more than {MAX_DEPTH} levels")
        raise unreadable
    try:
        return response.json()
    except ValueError as error:
        unreadable.add_note(f"the answer is no JSON: {error}")
        raise unreadable from error


@attrs.frozen
class Endpoint:
    """A node that somebody else runs, by the URL of its RPC server.

    A user name and a password in it, as in ``https://user:password@host``, are sent as Basic
    authentication and shown nowhere but in the command lines of daemons, which need them.

    Takes the place of a `Node` wherever only its RPC is needed.
    """

    _given: str = attrs.field(converter=_without_slash, alias="url", repr=without_credentials)

    @_given.validator
    def _check(self, _: object, url: str) -> None:
        try:
            parts = urlsplit(url)
            port_fits = parts.port is None or parts.port > 0
        except ValueError:
            port_fits = False
        if not port_fits or parts.scheme not in ("http", "https") or not parts.hostname:
            shown = without_any_credentials(url)
            raise ValueError(f"{shown!r} is no URL of an RPC server; one looks like http://127.0.0.1:8732")

    @property
    def url(self) -> str:
        """The URL, without the user name and password that may have been given in it."""
        return without_credentials(self._given)

    @property
    def rpc_endpoint(self) -> str:
        """The endpoint itself: it stands where a `Node` may."""
        return self.url

    def rpc_endpoint_from(self, runner: object) -> str:
        """The URL as it was given, which is what daemons are told wherever they run."""
        return self._given

    @property
    def rpc_port(self) -> int:
        """The port of the URL, or the default one of its scheme."""
        parts = urlsplit(self.url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    async def wait_for_ready(self, *, timeout: float | Default | None = DEFAULT) -> None:
        """Wait until the node says that it is bootstrapped, by the end of ``/monitor/bootstrapped``.

        Args:
            timeout: seconds, 60 by default; None for no limit.

        Raises:
            NodeUnreachable: nothing listens there.
            RpcError: it answers with an error.
            EventTimeout: it is not bootstrapped in time.
        """
        from .._http.client import HttpClient

        seconds = WAIT_TIMEOUT if isinstance(timeout, Default) else timeout
        path = "/monitor/bootstrapped"
        with limited(seconds) as scope:
            async with HttpClient(self._given).stream("GET", path) as response:
                body = b"".join([chunk async for chunk in response.chunks])
                if response.status != 200:
                    raise RpcError("GET", self.url + path, response.status, body.decode("utf-8", "replace"))
        if scope.cancelled_caught:
            assert seconds is not None
            raise EventTimeout(self.url, "end of /monitor/bootstrapped", None, seconds)

    async def rpc(
        self, method: str, path: str, data: object = None, *, timeout: float | Default | None = DEFAULT
    ) -> Any:
        """Send one request; see `Node.rpc`.

        Args:
            timeout: seconds, 60 by default; None for no limit.

        Raises:
            HttpError: also if the whole answer has not come in time.
        """
        return await call_rpc(self._given, method, path, data, timeout=timeout)
