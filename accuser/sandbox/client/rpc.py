"""``rpc get`` and its like: any request, the answer printed (``src/bin_client/client_rpc_commands.ml``)."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

from ..._errors import HttpError, NodeUnreachable
from ..._mavryk.codec.binary.schema import BinaryError
from ..._mavryk.protocol import Protocol
from ..cli.json_text import pretty
from ..rpc.client import USER_AGENT
from ..rpc.error_text import describe
from ..rpc.wire import JSON, Wire, headers_and_body, understood
from .context import Context, Failure, Refusal

GONE = "Requested data concerns a pruned block and target resource is no longer available\n"


async def request(context: Context, method: str, path: str, given: str | None) -> None:
    """Send a request and print the answer.

    Args:
        context: of the command.
        method: in capitals.
        path: with its query.
        given: the body as JSON, or ``file:PATH`` of it. By default ``{}`` for the methods that have one.

    Raises:
        RpcFailed: the node is not there.
        Failure: it refused, or answered something that cannot be shown.
        Refusal: the file cannot be read.
    """
    body: object = None if method in ("GET", "DELETE") else {}
    if given is not None:
        body = _body(given)
    path = quote(path if path.startswith("/") else f"/{path}", safe="/?&=~:;,@!$'()*+[]%#-._")
    try:
        told, data = headers_and_body(context.media_type, method, path, body)
    except BinaryError as error:
        raise Failure(f"Failed to parse the provided json: {error}\n") from error
    if context.log_requests:
        context.warning(f">>>>0: {method} {context.http.url}{path}")
    start = context.wall()
    try:
        response = await context.http.request(
            method, path, body=data, headers=(*told.items(), ("user-agent", USER_AGENT))
        )
    except (NodeUnreachable, HttpError) as error:
        raise context.rpc.unreachable(method, path, error) from error
    if context.log_requests:
        context.warning(f"<<<<0: {response.status}\n  {_text(response.body)}")
    if context.timings:
        context.warning(f"Request to {context.http.url}{path} succeeded in {context.wall() - start:g}s")
    wire = understood(context.media_type, response.media_type, method, path, Protocol.BOREAS.hash)
    if 200 <= response.status < 300 and wire is not None:
        context.message(_shown(wire, response.body))
        return
    raise _failure(context, wire, response.status, response.body)


def _body(given: str) -> object:
    if given.startswith("file:"):
        try:
            given = Path(given.removeprefix("file:")).read_text()
        except (OSError, ValueError) as error:
            raise Refusal(f"cannot read file ({error})") from error
    try:
        return json.loads(given)
    except ValueError as error:
        raise Failure(f"Failed to parse the provided json: {error}\n") from error


def _shown(wire: Wire, body: bytes) -> str:
    if not body.strip():
        return "{}"
    try:
        return pretty(wire.read(body))
    except ValueError as error:
        if wire.media_type != JSON:
            raise Failure("Unexpected server answer\n") from error
    try:
        # A stream that has ended: its values one after the other.
        return "\n".join(pretty(json.loads(line)) for line in body.splitlines() if line.strip())
    except ValueError as error:
        raise Failure("Unexpected server answer\n") from error


def _failure(context: Context, wire: Wire | None, status: int, body: bytes) -> Failure:
    if status == 404:
        return Failure("No service found at this URL\n")
    if status == 410:
        return Failure(GONE)
    if status in (401, 403):
        return Failure(f"[HTTP 403] Access denied to: {context.http.url}")
    try:
        trace = None if wire is None else wire.read_errors(body)
    except ValueError:
        trace = None
    if status == 500 and isinstance(trace, list) and trace:
        lines = "\n".join(describe(error) for error in trace).replace("\n", "\n                  ")
        return Failure(f"Command failed: {lines}\n")
    reason = _text(body).strip()
    return Failure(f"Unexpected server answer\n{f'{status}: {reason}' if reason else status}")


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")
