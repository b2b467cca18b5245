"""The RPCs of a chain: its identity, its blocks in all, and the mempool.

Sources: ``src/lib_shell/{chain_directory,prevalidator}.ml``, ``src/lib_shell_services/block_services.ml``.
"""

from __future__ import annotations

from typing import Final

from ..._http.server import Feed, HttpFailure
from ..._mavryk.codec.forge import fitness_key
from ..chain.block import Block
from ..chain.chain import UnknownBlock
from ..chain.mempool import Class
from . import query, render
from .feeds import OperationFilter
from .node import Node
from .places import on_chain
from .query import Parameter, many, once, versions
from .router import Call, Handle, Route, get

CHAIN: Final = "/chains/{chain}"
_BLOCKS: Final = (
    once("length", query.UINT, 1),
    many("head", query.BLOCK_HASH),
    once("min_date", query.DATE),
)
_PASSES: Final = many("validation_pass", query.INT)
_PENDING: Final = versions((1, "(deprecated)"), (2, "(default)"), default=2)
_MONITORED: Final = versions((0, "(deprecated)"), (1, "(default)"), default=1)


def routes(node: Node) -> list[Route]:
    rpcs = _Chain(node)
    served: list[tuple[str, Handle, tuple[Parameter, ...]]] = [
        ("/chain_id", rpcs.chain_id, ()),
        ("/checkpoint", rpcs.checkpoint, ()),
        ("/is_bootstrapped", rpcs.is_bootstrapped, ()),
        ("/blocks", rpcs.blocks, _BLOCKS),
        # No block that was refused is kept.
        ("/invalid_blocks", lambda call: [], ()),
        ("/invalid_blocks/{hash}", _nothing, ()),
        *((f"/levels/{name}", rpcs.oldest, ()) for name in ("checkpoint", "savepoint", "caboose")),
        ("/mempool/pending_operations", rpcs.pending_operations, (_PENDING, *_classes(set(Class)), _PASSES)),
        (
            "/mempool/monitor_operations",
            rpcs.monitor_operations,
            (_MONITORED, *_classes({Class.VALIDATED, Class.BRANCH_DELAYED}), _PASSES),
        ),
    ]
    return [
        *(get(CHAIN + path, on_chain(node, handle), *parameters) for path, handle, parameters in served),
        Route("PATCH", CHAIN, on_chain(node, rpcs.force_bootstrapped)),
        Route("DELETE", CHAIN + "/invalid_blocks/{hash}", on_chain(node, _nothing)),
    ]


def _classes(default: set[Class]) -> tuple[Parameter, ...]:
    return tuple(once(kind.value, query.BOOLEAN, kind in default) for kind in Class)


def _nothing(call: Call) -> object:
    raise UnknownBlock("nothing is kept of it")


class _Chain:
    def __init__(self, node: Node) -> None:
        self.node = node

    def chain_id(self, call: Call) -> object:
        return self.node.chain.network.chain_id

    def is_bootstrapped(self, call: Call) -> object:
        synchronisation = self.node.synchronisation
        return {
            "bootstrapped": synchronisation.is_bootstrapped,
            "sync_state": synchronisation.status(self.node.clock()),
        }

    async def force_bootstrapped(self, call: Call) -> object:
        value = call.request.json()
        wanted = value.get("bootstrapped") if isinstance(value, dict) else None
        if not isinstance(wanted, bool) or len(value) > 1:
            raise HttpFailure(400, "Failed to parse the request body: bootstrapped is true or false\n")
        await self.node.force_bootstrapped(bootstrapped=wanted)
        return {}

    def oldest(self, call: Call) -> object:
        # Nothing is pruned, so all three are the genesis block.
        genesis = self.node.chain.genesis
        return {"block_hash": genesis.hash, "level": genesis.level}

    def checkpoint(self, call: Call) -> object:
        header = self.node.chain.genesis.header
        return {
            "block": header.shell_json(),
            "savepoint": 0,
            "caboose": 0,
            "history_mode": self.node.history_mode,
        }

    def blocks(self, call: Call) -> object:
        """Fragments of the chain, the fittest first; no block is in two of them."""
        chain = self.node.chain
        wanted = [chain.head]
        if heads := call.query["head"]:
            oldest = call.query["min_date"]
            known = (chain.blocks[text] for text in dict.fromkeys(heads) if text in chain.blocks)
            found = [one for one in known if oldest is None or one.header.shell.timestamp >= oldest]
            wanted = sorted(found, key=lambda one: fitness_key(one.header.shell.fitness), reverse=True)
        seen: set[str] = set()
        fragments = []
        for head in wanted:
            fragments.append(self._fragment(head, call.query["length"], seen))
            seen.update(fragments[-1])
        return fragments

    def _fragment(self, head: Block, length: int, seen: set[str]) -> list[str]:
        fragment: list[str] = []
        for block in self.node.chain.branch(head):
            # The head itself and its predecessor are told even if another fragment has them.
            if fragment and (len(fragment) >= length or fragment[-1] in seen):
                break
            fragment.append(block.hash)
        return fragment

    def pending_operations(self, call: Call) -> object:
        classes, passes = _wanted(call)
        return render.pending(self.node.mempool, classes, passes, version=call.query["version"])

    def monitor_operations(self, call: Call) -> Feed:
        classes, passes = _wanted(call)
        present = list(self.node.mempool.entries.values())
        wanted = OperationFilter(classes, passes, legacy=call.query["version"] == 0)
        return self.node.feeds.operations(wanted, present)


def _wanted(call: Call) -> tuple[frozenset[Class], frozenset[int]]:
    classes = frozenset(kind for kind in Class if call.query[kind.value])
    return classes, frozenset(call.query["validation_pass"])
