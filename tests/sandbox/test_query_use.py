"""No parameter of a query is taken and then forgotten: every RPC reads all that it declares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from inspect import isawaitable
from typing import Any, Final

from accuser._http.server import Feed, Request
from accuser._mavryk.codec.crypto import BOOTSTRAP
from accuser.sandbox.chain.chain import UnknownBlock
from accuser.sandbox.chain.trace import NodeError
from accuser.sandbox.node import query, routes
from accuser.sandbox.node.points import Point
from accuser.sandbox.node.router import PATH_TYPES, Call, Route
from tests.support.forger import activated, bake
from tests.support.nodes import standing

WITHOUT_EFFECT: Final = {
    # There is nothing that they could change: no scripts, no maps, and no metadata that was left out.
    "normalize_types",
    "offset_commitment",
    "offset_nullifier",
    "force_metadata",
}
"""Names of parameters that mean nothing here, as the document says."""


class Read(dict[str, Any]):
    """A query that knows what was read of it."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self.seen: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.seen.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.seen.add(name)
        return super().get(name, default)


def all_routes(root: Any) -> Iterator[Route]:
    """Every RPC of a node."""
    yield from root.routes.values()
    for place in (*root.names.values(), *([root.below] if root.below is not None else [])):
        yield from all_routes(place)


async def test_every_parameter_is_read() -> None:
    chain = activated(dal_parametric={"feature_enable": True, "number_of_shards": 256})
    bake(chain, count=3)
    async with standing(chain=chain) as stand:
        router = routes.router(stand.node, stand.network)
        variables: dict[str, Any] = {
            **dict.fromkeys(PATH_TYPES, "0"),
            "chain": "main",
            "block": "head",
            "pkh": BOOTSTRAP[0].pkh,
            "other_pkh": BOOTSTRAP[0].pkh,
            "contract": BOOTSTRAP[0].pkh,
            "hash": chain.head.hash,
            "level": 2,
            "pass": 3,
            "index": 0,
            "peer": stand.node.peer_id,
            "point": Point("127.0.0.1", 9732),
        }
        examples = {"head": chain.head.hash, "level": "2", "delegate": BOOTSTRAP[0].pkh}
        unread, looked_at = [], 0
        for route in all_routes(router.root):
            if route.method != "GET" or not route.parameters or "/big_maps/" in route.path:
                continue
            looked_at += 1
            seen: set[str] = set()
            for given in ({}, {name: [example] for name, example in examples.items()}):
                asked = Read(query.parse(route.parameters, given))
                path = tuple(part for part in route.parts if part != "*")
                call = Call(Request("GET", path, {}, b""), variables, asked)
                # What they answer is the subject of other tests.
                with suppress(NodeError, UnknownBlock):
                    value = route.handle(call)
                    value = await value if isawaitable(value) else value
                    if isinstance(value, Feed):
                        value.close()
                seen |= asked.seen
            declared = {one.name for one in route.parameters} - WITHOUT_EFFECT
            unread += [(route.path, name) for name in sorted(declared - seen)]
        assert looked_at > 25
        assert unread == []
