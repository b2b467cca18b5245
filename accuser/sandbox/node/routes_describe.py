"""The RPC that tells which RPCs there are, in a form that clients draw their lists from.

The form is that of ``src/lib_rpc/RPC_encoding.ml``. Schemas of bodies are left open, as the sandbox
has none; blocks are described as those of the head's protocol are served.
"""

from __future__ import annotations

from typing import Any, Final

from ..chain.chain import UnknownBlock
from .query import Arity, Parameter, Type, flag
from .router import PATH_TYPES, Call, Directory, Route, Router, get

_ANYTHING: Final[dict[str, object]] = {
    "json_schema": {},
    "binary_schema": {"toplevel": {"fields": []}, "fields": []},
}
"""The schema of every body."""

_WITH_BODY: Final = ("PATCH", "POST", "PUT")


def routes(router: Router) -> list[Route]:
    """The RPC, for what ``router`` serves when it is asked."""

    def describe(call: Call) -> object:
        place = router.root
        for part in call.request.path[1:]:
            found = place.names.get(part, place.below)
            if found is None:
                raise UnknownBlock(part)
            place = found
        return _directory(place, recurse=call.query["recurse"])

    return [get("/describe/*", describe, flag("recurse"))]


def _directory(place: Directory, *, recurse: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        f"{method.lower()}_service": _service(route) for method, route in sorted(place.routes.items())
    }
    if recurse and place.names:
        suffixes = [
            {"name": name, "tree": _directory(below, recurse=True)}
            for name, below in sorted(place.names.items())
        ]
        shown["subdirs"] = {"suffixes": suffixes}
    elif recurse and place.below is not None and place.variable is not None:
        tree = _directory(place.below, recurse=True)
        shown["subdirs"] = {"dynamic_dispatch": {"arg": _argument(PATH_TYPES[place.variable]), "tree": tree}}
    return {"static": shown}


def _service(route: Route) -> dict[str, Any]:
    parts = (part.strip("{}") if part.startswith("{") else None for part in route.parts)
    path = [
        static if variable is None else _argument(PATH_TYPES[variable])
        for static, variable in zip(route.parts, parts, strict=True)
    ]
    return {
        "meth": route.method,
        "path": path,
        "query": [_parameter(parameter) for parameter in route.parameters],
        **({"input": _ANYTHING} if route.method in _WITH_BODY else {}),
        "output": _ANYTHING,
        "error": _ANYTHING,
    }


def _argument(type: Type) -> dict[str, Any]:
    return {"id": "single", "name": type.name}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    kinds: dict[Arity, dict[str, Any]] = {
        Arity.FLAG: {"flag": {}},
        Arity.MANY: {"multi": _argument(parameter.type)},
        Arity.ONCE: {"single" if parameter.default is not None else "optional": _argument(parameter.type)},
    }
    return {"name": parameter.name, "kind": kinds[parameter.arity]}
