"""``rpc get`` and its like: any request, the answer printed (``src/bin_client/client_rpc_commands.ml``)."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

from ..._http.client import Response
from ..._http.errors import HttpError, NodeUnreachable
from ..._mavryk.codec.binary.schema import BinaryError
from ..._mavryk.protocol import Protocol
from ..cli.json_text import pretty
from ..rpc.client import USER_AGENT
from ..rpc.error_text import describe
from ..rpc.wire import JSON, Wire, headers_and_body, understood
from .context import Context, Failure, Refusal
from .ocaml import cannot_read, json_error

GONE = "Requested data concerns a pruned block and target resource is no longer available\n"


async def request(context: Context, method: str, path: str, given: str | None) -> None:
    """Send a request and print the answer.

    Args:
        context: of the command.
        method: in capitals.
        path: with its query.
        given: the body as JSON, or ``file:PATH`` of it. By default ``{}`` for the methods that have one.

    Raises:
        RpcFailed: the node is not there, or did not understand the request.
        Failure: it has not what was asked for, or answered something that cannot be shown.
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
    headers = (*told.items(), ("user-agent", USER_AGENT))
    try:
        # Not told of by --log-requests: only typed calls are.
        response = await context.untold.request(method, path, body=data, headers=headers)
    except (NodeUnreachable, HttpError) as error:
        raise context.rpc.unreachable(method, path, error) from error
    wire = understood(context.media_type, response.media_type, method, path, Protocol.BOREAS.hash)
    if 200 <= response.status < 300 and wire is not None:
        context.message(_shown(wire, response.body))
        return
    raise _failure(context, method, path, response, wire)


def _body(given: str) -> object:
    if given.startswith("file:"):
        try:
            given = Path(given.removeprefix("file:")).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise Refusal(cannot_read(error, given.removeprefix("file:"))) from error
    try:
        return json.loads(given)
    except json.JSONDecodeError as error:
        raise Failure(f"Failed to parse the provided json: {json_error(error)}\n") from error


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


def _failure(context: Context, method: str, path: str, response: Response, wire: Wire | None) -> Exception:
    status, body = response.status, response.body
    if status == 404:
        return Failure("No service found at this URL\n")
    if status == 410:
        return Failure(GONE)
    if status == 401:
        return Failure(f"[HTTP 403] Access denied to: {context.http.url}")
    if status in (403, 409) or 200 <= status < 300:
        return Failure("Unexpected server answer\n")
    if status != 500:
        return context.rpc.refused(method, path, response)
    try:
        trace = None if wire is None else wire.read_errors(body)
    except ValueError:
        trace = None
    if isinstance(trace, list) and trace:
        lines = "\n".join(describe(error) for error in trace).replace("\n", "\n                  ")
        return Failure(f"Command failed: {lines}\n")
    return Failure("Unexpected server answer\n")
