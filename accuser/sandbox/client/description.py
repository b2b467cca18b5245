"""``rpc list``, ``rpc schema`` and ``rpc format``, out of what the node tells of its RPCs.

Source: ``src/bin_client/client_rpc_commands.ml``. What is shown is as rich as what the node describes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Final

import attrs

from ..cli.json_text import pretty
from .context import Context, Refusal, unreadable

METHODS: Final = ("get", "post", "delete", "put", "patch")
MARGIN: Final = 80
NO_SERVICE: Final = "No service found at this URL (but this is a valid prefix)\n"


async def show_list(context: Context, prefix: str) -> None:
    """Print the RPCs below a prefix, as a tree. Raises ``RpcFailed`` and ``Failure``."""
    parts = _parts(prefix)
    tree = await _described(context, parts, recurse=True)
    listing = _Listing()
    try:
        lines = list(listing.lines(tree, parts, parts))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise unreadable("describe", error) from error
    context.message("\n".join(["", "Available services:", "  ", *(f"  {line}" for line in lines), ""]))
    if listing.arguments:
        shown = [f"  {line}" for name, about in listing.arguments.items() for line in _argument(name, about)]
        context.message("\n".join(["", "Dynamic parameter description:", "  ", *shown, ""]))


async def show_schema(context: Context, method: str, url: str) -> None:
    """Print the JSON schemas of an RPC. Raises ``RpcFailed`` and ``Failure``."""
    service = await _service(context, method, url)
    if service is None:
        context.message(NO_SERVICE)
        return
    try:
        sides = [side for side in ("input", "output") if side in service]
        context.message(pretty({side: service[side]["json_schema"] for side in sides}))
    except (KeyError, TypeError) as error:
        raise unreadable("describe", error) from error


async def show_format(context: Context, method: str, url: str, *, binary: bool) -> None:
    """Print what an RPC takes and gives, in words.

    Raises:
        RpcFailed, Failure: the node tells nothing of it.
        Refusal: the binary form is asked for, which the sandbox does not describe.
    """
    if binary:
        raise Refusal("The sandbox does not describe the binary format of its RPCs")
    service = await _service(context, method, url)
    if service is None:
        context.message(NO_SERVICE)
        return
    try:
        lines = []
        for side in ("input", "output"):
            if side in service:
                schema = service[side]["json_schema"]
                # A schema that says nothing takes everything.
                text = pretty(schema, column=2) if schema else "any"
                lines += [f"{side.capitalize()} format:", f"  {text}"]
        context.message("\n".join([*lines, ""]))
    except (KeyError, TypeError) as error:
        raise unreadable("describe", error) from error


async def _described(context: Context, parts: list[str], *, recurse: bool) -> Any:
    where = "/".join(["/describe", *parts])
    return await context.get(f"{where}?recurse={'yes' if recurse else 'no'}")


async def _service(context: Context, method: str, url: str) -> Any:
    answer = await _described(context, _parts(url), recurse=False)
    static = answer.get("static") if isinstance(answer, dict) else None
    return static.get(f"{method}_service") if isinstance(static, dict) else None


def _parts(url: str) -> list[str]:
    return [part for part in url.split("/") if part]


@attrs.define
class _Listing:
    """Lines of a tree; gathers the arguments that occur in paths, with what is said of them."""

    arguments: dict[str, str] = attrs.field(factory=dict)

    def lines(self, tree: Any, label: list[str], path: list[str]) -> Iterator[str]:
        """The lines of a tree; ``label`` is what of its path is not shown by a heading above it."""
        if "dynamic" in tree:
            yield f"- /{'/'.join(path)} <dynamic>"
            yield from _paragraph(tree["dynamic"])
            return
        static = tree.get("static", {})
        services = [static[f"{method}_service"] for method in METHODS if f"{method}_service" in static]
        below = static.get("subdirs") or {}
        if "dynamic_dispatch" in below:
            argument = below["dynamic_dispatch"]["arg"]
            name = f"<{argument['name']}>"
            self.arguments.setdefault(argument["name"], argument.get("descr") or "")
            yield from _services(services, path)
            yield from self.lines(below["dynamic_dispatch"]["tree"], [*label, name], [*path, name])
            return
        suffixes = [(one["name"], one["tree"]) for one in below.get("suffixes", ())]
        if suffixes and label and (services or len(suffixes) > 1) and _count(tree) >= 3:
            yield f"+ {'/'.join(label)}/"
            inner = [*_services(services, path)]
            for name, each in suffixes:
                inner += self.lines(each, [name], [*path, name])
            yield from (f"  {line}" for line in inner)
            return
        yield from _services(services, path)
        for name, each in suffixes:
            yield from self.lines(each, [*label, name], [*path, name])


def _services(services: list[Any], path: list[str]) -> Iterator[str]:
    for service in services:
        yield f"- {service['meth']} /{'/'.join(path)}"
        yield from _paragraph(service.get("description"))


def _argument(name: str, about: str) -> list[str]:
    return [f"<{name}>", *_paragraph(about)] if about else [name]


def _paragraph(text: str | None) -> list[str]:
    return textwrap.wrap(text, MARGIN, initial_indent=" " * 4, subsequent_indent=" " * 4) if text else []


def _count(tree: Any) -> int:
    """How many lines of RPCs a tree has."""
    if "dynamic" in tree:
        return 1
    static = tree.get("static", {})
    services = sum(f"{method}_service" in static for method in METHODS)
    below = static.get("subdirs") or {}
    if "dynamic_dispatch" in below:
        return services + _count(below["dynamic_dispatch"]["tree"])
    return services + sum(_count(one["tree"]) for one in below.get("suffixes", ()))
