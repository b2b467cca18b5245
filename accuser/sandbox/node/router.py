"""From a request to the handler of its path, and from what that returns or raises to an answer.

A `Route` says everything about one RPC: its path, the parameters of its query with their types, and
what serves it. The paths form a tree; variable parts are read on the way down it, by the types of
`PATH_TYPES`, so a part that cannot be read is refused whatever would follow (``resto_directory.ml``).
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs

from ..._http.server import (
    Answer,
    Feed,
    HttpFailure,
    Request,
)
from ..._mavryk.codec.fields import ForgeError
from ..chain.chain import UnknownBlock
from ..chain.trace import NodeError
from ..sink.descriptor import say
from . import query
from .cors import Cors, is_rebound
from .media import Voice
from .query import Parameter, Type, Unreadable

PATH_TYPES: Final[Mapping[str, Type]] = {
    "chain": query.CHAIN,
    "block": query.BLOCK,
    "hash": query.BLOCK_HASH,
    "protocol": query.PROTOCOL_HASH,
    "pkh": query.KEY_HASH,
    "other_pkh": query.KEY_HASH,
    "contract": query.CONTRACT,
    "entrypoint": query.TEXT,
    "prefix": query.TEXT,
    "level": query.LEVEL,
    "pass": query.PASS,
    "index": query.INDEX,
    "big_map": query.BIG_MAP,
    "script_expr": query.SCRIPT_EXPR,
    "sapling": query.SAPLING,
    "rollup": query.ROLLUP,
    "commitment": query.COMMITMENT,
    "peer": query.PEER,
    "point": query.POINT,
    "address": query.ADDRESS,
}
"""The types of the variable parts of paths, by their names."""


_METHODS: Final = ("DELETE", "GET", "PATCH", "POST", "PUT")


@attrs.frozen
class Call:
    request: Request
    variables: Mapping[str, Any]
    """The variable parts of the path, read."""
    query: Mapping[str, Any] = attrs.field(factory=dict)
    """The parameters of the route, read; see `query.parse` for absent ones."""


Handle = Callable[[Call], object]
"""Returns a JSON value, a `Feed` or an `Answer`, or something to await for it."""


@attrs.frozen
class Route:
    """One RPC.

    A part of the path such as ``{block}`` is variable, of the type in `PATH_TYPES`; ``*`` at the end
    stands for any parts that may follow.
    """

    method: str
    path: str
    handle: Handle
    parameters: tuple[Parameter, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        return _parts(self.path)


@functools.cache  # each node has the same few hundred
def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part)


def get(path: str, handle: Handle, *parameters: Parameter) -> Route:
    return Route("GET", path, handle, parameters)


def post(path: str, handle: Handle, *parameters: Parameter) -> Route:
    return Route("POST", path, handle, parameters)


@attrs.define(eq=False, repr=False)
class Directory:
    """What is below one place in the tree of paths: names, or one variable part."""

    routes: dict[str, Route] = attrs.field(factory=dict)
    """By method."""
    names: dict[str, Directory] = attrs.field(factory=dict)
    variable: str | None = None
    below: Directory | None = None
    """What follows the variable part."""
    is_tail: bool = False
    """Whether the routes take whatever parts may follow."""


def to_stderr(text: str) -> None:
    """Write on standard error of the process what it takes at once."""
    say(2, text)


@attrs.define(eq=False, repr=False)
class Router:
    """The RPCs of a server. ``complain`` is told of what goes wrong in an RPC, and must not wait."""

    complain: Callable[[str], object] = to_stderr
    cors: Cors = attrs.field(factory=Cors)
    root: Directory = attrs.field(init=False, factory=Directory)

    def serve(self, routes: Iterable[Route]) -> None:
        """Serve these, each in place of one of the same method and path."""
        for route in routes:
            place = self.root
            for part in route.parts:
                if part.startswith("{"):
                    name = part[1:-1]
                    assert place.variable in (None, name), f"{route.path}: {place.variable} is there"
                    place.variable = name
                    place.below = place.below or Directory()
                    place = place.below
                elif part == "*":
                    place.is_tail = True
                else:
                    place = place.names.setdefault(part, Directory())
            place.routes[route.method] = route

    def add(self, method: str, path: str, handle: Handle, *parameters: Parameter) -> None:
        self.serve([Route(method, path, handle, parameters)])

    def find(self, path: Iterable[str]) -> tuple[Directory, dict[str, Any]] | None:
        """The place of a path, and its variable parts; None where there is none.

        Raises:
            HttpFailure: 400 for a variable part that is not of its type.
        """
        place, variables, seen = self.root, dict[str, Any](), []
        for part in path:
            if place.is_tail:
                break
            seen.append(part)
            if place.below is not None and part not in place.names:
                assert place.variable is not None
                wanted = PATH_TYPES[place.variable]
                try:
                    variables[place.variable] = wanted.read(part)
                except Unreadable as error:
                    raise _bad_path(seen, wanted, error) from error
                place = place.below
            elif part in place.names:
                place = place.names[part]
            else:
                return None
        return place, variables

    async def __call__(self, request: Request) -> Answer | Feed:
        """Answer a request; the handler of an HTTP server."""
        if not self.cors.origins and is_rebound(request.headers.get("host", "")):
            text = b"This node is asked by its address, and not by the name of a page.\n"
            return Answer(403, text, "text/plain; charset=utf-8")
        if request.method == "OPTIONS":
            return self._options(request)
        if request.method not in _METHODS:
            return Answer(501, b"", None, self.cors.allow_origin(request.headers))
        if self.cors.refuses(request.headers):
            return Answer(403, b"", None, (("x-ocaml-resto-cors-error", "invalid host"),))
        try:
            answer = await self._serve(request)
        except HttpFailure as failure:
            answer = failure.answer()
        if headers := self.cors.allow_origin(request.headers):
            # Streams are held by those who feed them, and stay the same objects.
            if isinstance(answer, Feed):
                answer.headers = headers
            else:
                answer = attrs.evolve(answer, headers=(*answer.headers, *headers))
        return answer

    async def _serve(self, request: Request) -> Answer | Feed:
        found = self.find(request.path)
        if found is None or not found[0].routes:
            return Answer(404, b"", None)
        place, variables = found
        route = place.routes.get(request.method)
        if route is None:
            return Answer(405, b"", None, (("allow", ", ".join(sorted(place.routes))),))
        voice = Voice.of(request)
        try:
            values = query.parse(route.parameters, request.query)
        except Unreadable as error:
            raise HttpFailure(400, f"Failed to parse the query string: {error}") from error
        return await _answer(route.handle, Call(voice.hear(request), variables, values), voice, self.complain)

    def _options(self, request: Request) -> Answer:
        """What a browser asks before it lets a page ask."""
        found = self.find(request.path)
        methods = sorted(found[0].routes) if found is not None else []
        wanted = request.headers.get("access-control-request-method")
        if "origin" in request.headers and wanted is not None:
            methods = [method for method in methods if method == wanted]
        if not methods:
            return Answer(404, b"", None, self.cors.allow_origin(request.headers))
        return Answer(200, b"", None, self.cors.preflight(request.headers, methods))


def _bad_path(seen: list[str], wanted: Type, error: Unreadable) -> HttpFailure:
    return HttpFailure(
        400,
        f'Failed to parsed an argument in path. After "{"/".join(seen)}", the value "{error}" '
        f'is not acceptable for type "{wanted.name}"',
    )


def is_chain(chain_id: str, text: str) -> bool:
    """Whether a chain identifier that was read names the chain of that id."""
    return text in ("main", chain_id)


async def _answer(
    handle: Handle, call: Call, voice: Voice, complain: Callable[[str], object]
) -> Answer | Feed:
    # The one place where answers are written: handlers return values, whatever the client speaks.
    try:
        value = handle(call)
        if hasattr(value, "__await__"):
            value = await value
        if isinstance(value, Feed):
            return voice.stream(value).sealed()
        return voice.name(value) if isinstance(value, Answer) else voice.say(value)
    except NodeError as error:
        return voice.refuse(list(error.trace))
    except UnknownBlock:
        return voice.name(Answer(404, b""))
    except ForgeError as error:
        raise HttpFailure(400, f"Failed to parse the request body: {error}\n") from error
    except HttpFailure:
        raise
    except Exception as error:
        # Whatever a request makes an RPC stumble over, the node lives on, and does not wait for a
        # reader of its standard error.
        complain(traceback.format_exc())
        return voice.refuse([{"kind": "generic", "error": repr(error)}])
