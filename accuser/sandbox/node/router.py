"""From a request to the handler of its path, and from what that returns or raises to an answer."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from inspect import isawaitable
from typing import Final, TypeVar

import attrs

from ..._http.server import (
    Answer,
    Feed,
    HttpFailure,
    Request,
    dump,
)
from ..._mavryk.codec.base58 import Base58Error, Kind, decode
from ..._mavryk.codec.fields import ForgeError
from ..chain.chain import UnknownBlock
from ..chain.trace import NodeError
from ..sink.descriptor import say

T = TypeVar("T")

_BOOLEANS: Final = {
    **dict.fromkeys(("", "yes", "true", "1"), True),
    **dict.fromkeys(("no", "false", "0"), False),
}


@attrs.frozen
class Call:
    """A request and the variable parts of its path."""

    request: Request
    variables: dict[str, str]

    def flag(self, name: str, default: bool = False) -> bool:
        """A query field that is a truth value; ``yes`` and ``no`` in upstream's words."""
        return self.field(name, lambda text: _BOOLEANS[text.lower()], default)

    def field(self, name: str, convert: Callable[[str], T], default: T) -> T:
        """A query field that may be absent. Raises ``HttpFailure`` 400 if it is no such thing."""
        values = self.fields(name, convert)
        return values[0] if values else default

    def fields(self, name: str, convert: Callable[[str], T]) -> list[T]:
        """A query field that may be repeated. Raises ``HttpFailure`` 400."""
        try:
            return [convert(text) for text in self.request.query.get(name, [])]
        except (ValueError, LookupError) as error:
            raise HttpFailure(400, f"Failed to parse the query string: {name}: {error}\n") from error

    def version(self, *known: str, default: int) -> int:
        """The query field ``version``. Raises ``HttpFailure`` 400 for an unknown one."""

        def convert(text: str) -> int:
            if text not in known:
                raise ValueError(f"Unsupported version {text} (supported versions {', '.join(known)})")
            return int(text)

        return self.field("version", convert, default)


Handle = Callable[[Call], object]
"""Returns a JSON value, a `Feed` or an `Answer`, or something to await for it."""


def to_stderr(text: str) -> None:
    """Write on standard error of the process what it takes at once."""
    say(2, text)


@attrs.define(eq=False)
class Router:
    """The RPCs of a server, by method and path; a path part such as ``{block}`` is variable.

    ``complain`` is told of what goes wrong in an RPC, and must not wait.
    """

    complain: Callable[[str], object] = to_stderr
    _routes: list[tuple[str, tuple[str, ...], Handle]] = attrs.field(init=False, factory=list)

    def add(self, method: str, path: str, handle: Handle) -> None:
        """Serve a path. Of several that match, the first one added is taken."""
        self._routes.append((method, tuple(part for part in path.split("/") if part), handle))

    async def __call__(self, request: Request) -> Answer | Feed:
        """Answer a request; the handler of an HTTP server."""
        allowed = []
        for method, pattern, handle in self._routes:
            variables = _match(pattern, request.path)
            if variables is None:
                continue
            if method == request.method:
                return await _answer(handle, Call(request, variables), self.complain)
            allowed.append(method)
        if allowed:
            raise HttpFailure(405, f"Allowed here: {', '.join(sorted(set(allowed)))}.\n")
        return Answer(404, b"")


def check_chain(chain_id: str, text: str) -> bool:
    """Whether ``text`` names the chain of that id. Raises ``HttpFailure`` 400 if it names none at all."""
    if text in ("main", chain_id):
        return True
    if text != "test":
        try:
            decode(Kind.CHAIN, text)
        except Base58Error as error:
            raise HttpFailure(400, f"Cannot parse chain identifier: {error}\n") from error
    return False


def _match(pattern: tuple[str, ...], path: tuple[str, ...]) -> dict[str, str] | None:
    if len(pattern) != len(path):
        return None
    variables = {}
    for wanted, part in zip(pattern, path, strict=True):
        if wanted.startswith("{"):
            variables[wanted[1:-1]] = part
        elif wanted != part:
            return None
    return variables


async def _answer(handle: Handle, call: Call, complain: Callable[[str], object]) -> Answer | Feed:
    try:
        value = handle(call)
        if isawaitable(value):
            value = await value
    except NodeError as error:
        return Answer(500, dump(list(error.trace)))
    except UnknownBlock:
        return Answer(404, b"")
    except ForgeError as error:
        raise HttpFailure(400, f"Failed to parse the request body: {error}\n") from error
    except HttpFailure:
        raise
    except Exception as error:
        # Whatever a request makes an RPC stumble over, the node lives on, and does not wait for a
        # reader of its standard error.
        complain(traceback.format_exc())
        return Answer(500, dump([{"kind": "generic", "error": repr(error)}]))
    return value if isinstance(value, Answer | Feed) else Answer(200, dump(value))
