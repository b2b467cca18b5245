"""Which operations go into a block, and in which order. Pure.

Facts: ``lib_delegate/operation_selection.ml`` and ``operation_pool.ml``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Final

import attrs

from ..._mavryk.codec.fields import SIGNATURE_SIZE, ForgeError
from ..._mavryk.codec.operations import Consensus, Operation
from ..client.delegates import Head

PASSES: Final = 4
MANAGERS: Final = 3
QUOTAS: Final = (4 * 1024 * 1024, 32 * 1024, 132 * 1024, 512 * 1024)
"""Bytes that each pass takes."""
_GAS: Final = 1_733_333
"""What a block takes."""
POOL_FIELDS: Final = ("hash", "protocol", "chain_id", "metadata", "error")
"""What the operations of a pool may have beside their own fields."""


@attrs.frozen
class Fees:
    """The least that a manager operation must pay, each by itself. In nanomav."""

    minimal: Fraction = Fraction(100_000)
    per_gas: Fraction = Fraction(100)
    per_byte: Fraction = Fraction(1000)


@attrs.frozen
class _Manager:
    operation: Operation
    source: str
    counter: int
    weight: Fraction


def parse(values: Iterable[object]) -> list[Operation]:
    """The operations among JSON values, as mempools and pool files have them.

    In JSON those that nobody signs have no signature, and in bytes one of zeros.
    """
    found = []
    for value in values:
        try:
            operation = Operation.from_json(value, ignore=POOL_FIELDS)
        except ForgeError:
            continue
        if operation.signature is None:
            operation = attrs.evolve(operation, signature=bytes(SIGNATURE_SIZE))
        found.append(operation)
    return found


def select(
    external: Sequence[Operation],
    pool: Iterable[Operation],
    predecessor: Head,
    live: Collection[str],
    fees: Fees,
) -> list[list[Operation]]:
    """The operations of a fresh block, by validation pass.

    Args:
        external: of the operations pool: they come first, in their order.
        pool: of the mempool.
        predecessor: below the block.
        live: hashes of the blocks that operations may be branched on.
        fees: the least ones.
    """
    passes: list[list[Operation]] = [[] for _ in range(PASSES)]
    managers, seen = [], set()
    for operation in external:
        if operation.hash not in seen:
            seen.add(operation.hash)
            passes[operation.validation_pass].append(operation)
    for operation in pool:
        if operation.hash in seen or operation.branch not in live or not _fits(operation, predecessor):
            continue
        seen.add(operation.hash)
        if operation.validation_pass < MANAGERS:
            passes[operation.validation_pass].append(operation)
        elif (manager := _manager(operation, fees)) is not None:
            managers.append(manager)
    passes[MANAGERS] += _ordered(managers)
    return [_within(passed, quota) for passed, quota in zip(passes, QUOTAS, strict=True)]


def _fits(operation: Operation, predecessor: Head) -> bool:
    """Whether a fresh block could take it: of the votes, attestations of the block below."""
    content = operation.content
    if not isinstance(content, Consensus):
        return True
    return content.kind != "preattestation" and (content.level, content.round, content.payload_hash) == (
        predecessor.shell.level,
        predecessor.round,
        predecessor.payload_hash,
    )


def _manager(operation: Operation, fees: Fees) -> _Manager | None:
    contents: Sequence[Mapping[str, Any]] = operation.to_json()["contents"]
    fee = sum(int(content["fee"]) for content in contents)
    gas = sum(int(content["gas_limit"]) for content in contents)
    size = len(operation.to_bytes())
    nanomav = fee * 1000
    if nanomav < fees.minimal or nanomav < fees.per_gas * gas or nanomav < fees.per_byte * size:
        return None
    weight = fee / max(Fraction(size, QUOTAS[MANAGERS]), Fraction(gas, _GAS))
    return _Manager(operation, contents[0]["source"], int(contents[0]["counter"]), weight)


def _ordered(managers: list[_Manager]) -> list[Operation]:
    """By weight, but those of one source by counter."""
    by_source: dict[str, list[_Manager]] = {}
    for manager in managers:
        by_source.setdefault(manager.source, []).append(manager)
    for own in by_source.values():
        own.sort(key=lambda one: one.counter)
    ordered = []
    while by_source:
        source = max(by_source, key=lambda name: (by_source[name][0].weight, name))
        ordered.append(by_source[source].pop(0).operation)
        if not by_source[source]:
            del by_source[source]
    return ordered


def _within(operations: list[Operation], quota: int) -> list[Operation]:
    taken, size = [], 0
    for operation in operations:
        size += len(operation.to_bytes())
        if size > quota:
            break
        taken.append(operation)
    return taken
