"""Which pages of other origins a browser may let at the node (``resto``'s ``cors.ml``)."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import attrs

Headers = tuple[tuple[str, str], ...]

DEFAULT_HEADERS: Final = ("Content-Type",)
"""What pages may send unless the configuration says other things."""


_PRIVATE: Final = ("localhost", "local", "internal", "test", "arpa")
"""Last parts of names that nobody can register for a page."""


def is_rebound(host: str) -> bool:
    """Whether a page whose name was made to lead here asks, by the header ``Host``.

    Its browser asks for the page's own name. Addresses, names without a dot and names of networks that are
    nobody's on the internet are asked for by those who mean this node. Not upstream's: a node of theirs is
    to be protected by what is before it.
    """
    name = host.strip().lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    if _is_address(name):
        return False
    parts = name.rstrip(".").split(".")
    return len(parts) > 1 and parts[-1] not in _PRIVATE and name != socket.gethostname().lower()


@lru_cache(maxsize=64)
def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_of_a_page(request: Mapping[str, str]) -> bool:
    """Whether a browser sent a request for a page, which cannot keep it from saying so.

    Args:
        request: its headers, by names in lower case.
    """
    return "origin" in request or "sec-fetch-site" in request


@attrs.frozen
class Cors:
    """The origins that are let in, ``*`` for all, and the headers that their pages may send."""

    origins: Sequence[str] = ()
    headers: Sequence[str] = DEFAULT_HEADERS

    @classmethod
    def of(cls, origins: Sequence[str], headers: Sequence[str]) -> Cors:
        """From a configuration; without headers, the default ones."""
        return cls(tuple(origins), tuple(headers) or DEFAULT_HEADERS)

    def refuses(self, request: Mapping[str, str]) -> bool:
        """Whether a request is for a host that is none of the origins, where there are origins at all.

        Args:
            request: its headers, by names in lower case.
        """
        return bool(self.origins) and self._matching(request.get("host", "")) is None

    def allow_origin(self, request: Mapping[str, str]) -> Headers:
        """The headers of an answer."""
        origin = request.get("origin")
        allowed = None if origin is None else self._matching(origin)
        return () if allowed is None else (("access-control-allow-origin", allowed),)

    def preflight(self, request: Mapping[str, str], methods: Sequence[str]) -> Headers:
        """The headers of an answer to ``OPTIONS``, for a path that has these methods."""
        return (
            ("access-control-allow-methods", ",".join(methods)),
            ("access-control-allow-headers", ",".join(self.headers)),
            *self.allow_origin(request),
        )

    def _matching(self, origin: str) -> str | None:
        """The longest of the allowed origins that this one is, or is below."""
        found = [one for one in self.origins if one in ("*", origin) or origin.startswith(one + "/")]
        named = [one for one in found if one != "*"]
        return max(named, key=len) if named else ("*" if found else None)
