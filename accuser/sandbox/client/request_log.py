"""``--log-requests`` and ``--timings``: what the client tells of its requests.

As upstream, only typed calls are told of: those of ``rpc get`` and its like are not.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, Literal

import attrs

from ..._http.client import HttpClient, Response
from ..cli.json_text import pretty

Told = Literal["requests", "timings"]

# `http.client` has the same, and loads all that mail needs.
_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}


@attrs.define(eq=False, repr=False)
class LoggedHttp(HttpClient):
    """A client of one server that tells of each request.

    Args:
        url: as of `HttpClient`.
        what: to tell of.
        wall: seconds since the epoch.
        tell: gets the lines, without the last newline.
    """

    what: Told = attrs.field(kw_only=True)
    wall: Callable[[], float] = attrs.field(kw_only=True)
    tell: Callable[[str], object] = attrs.field(kw_only=True)
    _count: int = attrs.field(default=0, init=False)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Response:
        """Send a request and read the whole answer, as `HttpClient.request` does."""
        number, self._count = self._count, self._count + 1
        uri, start = f"{self.url}{path}", self.wall()
        if self.what == "requests":
            self.tell(f">>>>{number}: {uri}" + ("" if body is None else f"\n  {_shown(body)}"))
        response = await HttpClient.request(self, method, path, body=body, headers=headers)
        if self.what == "requests":
            status = f"{response.status} {_REASONS.get(response.status, '')}"
            self.tell(f"<<<<{number}: {status}\n  {_shown(response.body)}")
        else:
            self.tell(f"Request to {uri} succeeded in {self.wall() - start:g}s")
        return response


def _shown(body: bytes) -> str:
    try:
        return pretty(json.loads(body), column=2)
    except ValueError:
        return body.decode("utf-8", "backslashreplace")
