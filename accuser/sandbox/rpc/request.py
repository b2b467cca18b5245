"""A request to a node, and the ways in which it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs


class Undecodable(ValueError):
    """An answer is not what it should be; ``str()`` is upstream's complaint."""


class RpcFailed(Exception):
    """A request failed.

    ``trace`` is the node's, or the client's own: JSON objects, the outermost first. ``text`` is
    the message of its first error.
    """

    def __init__(self, trace: list[Any], text: str) -> None:
        self.trace: Final = trace
        self.text: Final = text
        super().__init__(text)


@attrs.frozen
class Request:
    """A call of the node."""

    method: str
    path: str
    decode: Callable[[object], Any]
    """Gives what the answer means. Raises `Undecodable`."""
    body: object = None
