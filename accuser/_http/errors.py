"""What goes wrong between a client and a server of HTTP."""

from __future__ import annotations

import attrs

from .._text import AccuserError


@attrs.define(eq=False, str=False, repr=False, slots=False)
class NodeUnreachable(AccuserError):
    """No connection to a node could be opened."""

    url: str
    reason: str

    def __str__(self) -> str:
        why = f"cannot connect to the node at {self.url}: {self.reason}"
        return f"{why}. Is it running, and is this its RPC address?"


class HttpError(AccuserError):
    """A connection broke during a request, or the peer does not speak HTTP."""


# As in `_errors`: tracebacks show the names under which users import them.
HttpError.__module__ = NodeUnreachable.__module__ = "accuser"
