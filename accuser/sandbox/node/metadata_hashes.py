"""Hashes of what the application of blocks and operations told.

They are of the right kind and as unique as upstream's, which hashes the binary form of the same; the
values are the sandbox's own, as is the hash of the context.
"""

from __future__ import annotations

from typing import Any, Final

from ..._http.server import dump
from ..._mavryk.codec.base58 import Kind, decode, encode
from ..._mavryk.codec.crypto import blake2b, merkle_root
from ..chain.block import Block
from ..chain.chain import UnknownBlock

_LISTS: Final = Kind.OPERATION_METADATA_LIST_LIST


def of_block(block: Block, metadata: object) -> str:
    """The hash of a block's metadata. Raises ``UnknownBlock`` where upstream has none."""
    _check(block)
    return encode(Kind.BLOCK_METADATA, blake2b(dump(metadata)))


def of_operations(block: Block, operations: list[list[dict[str, Any]]]) -> list[list[str]]:
    """The hash of the metadata of each operation. Raises ``UnknownBlock`` where upstream has none."""
    _check(block)
    return [[_of_operation(operation) for operation in passed] for passed in operations]


def of_all(block: Block, operations: list[list[dict[str, Any]]]) -> str:
    """The hash of all of those. Raises ``UnknownBlock`` where upstream has none."""
    hashes = of_operations(block, operations)
    lists = [merkle_root([decode(Kind.OPERATION_METADATA, one) for one in passed]) for passed in hashes]
    return encode(_LISTS, merkle_root(lists))


def _of_operation(operation: dict[str, Any]) -> str:
    told = [content.get("metadata") for content in operation["contents"]]
    return encode(Kind.OPERATION_METADATA, blake2b(dump(told)))


def _check(block: Block) -> None:
    if block.baker is None:
        # The protocol of the genesis block hashes nothing.
        raise UnknownBlock(block.hash)
