"""Waits: for the node to know the chain, and for an operation to be in it.

Sources: ``src/lib_client_base/client_confirmations.ml``, ``lib_client/injection.ml``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import attrs
import trio

from ..._mavryk.codec.fields import ForgeError
from ..._mavryk.codec.forge import parse_timestamp
from ..rpc.error_text import describe
from ..rpc.request import RpcFailed, Undecodable
from .context import Context, Failure, unreadable

PATIENCE: Final = 0.3
"""Seconds before the client says that it waits for the node."""
FINALITY: Final = 1
"""Blocks on top of one that make it final; more of them are not waited for."""

Place = tuple[str, int, int]
"""A block, a validation pass, and a position in it."""


async def bootstrapped(context: Context) -> None:
    """Wait until the node knows the chain, for ever if need be, as upstream. Raises ``RpcFailed``."""
    shown = False

    @trio.lowlevel.enable_ki_protection
    async def tell_if_it_takes_long() -> None:
        nonlocal shown
        await trio.sleep(PATIENCE)
        shown = True
        context.message("Waiting for the node to be bootstrapped...")

    failure: RpcFailed | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell_if_it_takes_long)
        try:
            async with context.rpc.stream("/monitor/bootstrapped", _object) as heads:
                async for head in heads:
                    if shown:
                        context.message(_current_head(context, head))
        except RpcFailed as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    context.message("Node is bootstrapped.")


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Undecodable("a head is an object")
    return value


def _current_head(context: Context, head: dict[str, Any]) -> str:
    made, seen = _moment(parse_timestamp(str(head["timestamp"]))), _moment(context.wall())
    return f"Current head: {str(head['block'])[:12]} (timestamp: {made}, validation: {seen})"


def _moment(seconds: float) -> str:
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "-00:00")


async def included(context: Context, operation: str, branch: str) -> Any:
    """Wait for an operation to be in a block, and for the confirmations that are wanted.

    Args:
        context: of the command, with the number of confirmations; None for no wait.
        operation: its hash.
        branch: the block from which on it can be included.

    Returns:
        The operation as it is in its block, with its receipt; None without a wait.

    Raises:
        RpcFailed: the node is gone.
        Failure: the operation is too old to be included, or the node's stream of heads ended.
    """
    wanted = context.confirmations
    if wanted is None:
        _advise(context, operation, branch, "NOT waiting for the operation to be included.", _SURE)
        return None
    if wanted > FINALITY:
        context.message(
            f"Tenderbake needs at most {FINALITY} confirmations for finality ({wanted} given). "
            f"Using {FINALITY} confirmations."
        )
    context.message("Waiting for the operation to be included...")
    search = _Search(context, operation, branch, min(wanted, FINALITY))
    try:
        block, validation_pass, offset = await search.run()
    except (KeyError, TypeError, ForgeError) as error:
        raise unreadable("monitor/heads", error) from error
    path = f"/chains/{context.chain}/blocks/{block}/operations/{validation_pass}/{offset}"
    return await context.get(path)


def recommend(context: Context, operation: str, branch: str) -> None:
    """Say how many blocks were waited for, and to wait more if these make nothing final."""
    if context.confirmations is None:
        return
    number = min(context.confirmations, FINALITY)
    if number >= FINALITY:
        context.message(f"The operation was included in a block {number} blocks ago.")
        return
    head = f"The operation has only been included {number} blocks ago.\nWe recommend to wait more."
    _advise(context, operation, branch, head, ".")


_SURE: Final = " to make sure that it has been included."


def _advise(context: Context, operation: str, branch: str, head: str, end: str) -> None:
    context.message(
        f"{head}\nUse command\n"
        f"  {context.program} wait for {operation} to be included --confirmations {FINALITY} "
        f"--branch {branch}\nand/or an external block explorer{end}"
    )


@attrs.define(eq=False, repr=False)
class _Search:
    """For the block of an operation, from its branch to the head and then in what comes."""

    context: Context
    operation: str
    branch: str
    wanted: int
    _known: dict[str, tuple[Place, int] | None] = attrs.field(factory=dict, init=False)
    """Of each block that was looked at: where the operation is in it or before it, and how long before."""

    async def run(self) -> Place:
        """The place in a block with as many confirmations as are wanted."""
        async with self.context.rpc.stream(f"/monitor/heads/{self.context.chain}", _object) as heads:
            async for head in heads:
                if not self._known:
                    place = await self._since_the_branch(head["hash"])
                else:
                    place = await self._in_branch_of(head["hash"], head["predecessor"])
                if place is not None:
                    return place
        raise Failure("The stream of heads ended before the operation was included.")

    async def _since_the_branch(self, head: str) -> Place | None:
        first = int((await self._header(self.branch))["level"])
        count = int((await self._header(head))["level"]) - first
        oldest = await self.context.get(f"/chains/{self.context.chain}/blocks/{head}~{count + 1}/hash")
        self._known[str(oldest)] = None
        for distance in range(count, -1, -1):
            block = await self.context.get(f"/chains/{self.context.chain}/blocks/{head}~{distance}/hash")
            place = await self._look_at(block, (await self._header(block))["predecessor"])
            if place is not None:
                return place
        return None

    async def _in_branch_of(self, head: str, predecessor: str) -> Place | None:
        """Look at a new head, after those blocks before it that are not known yet."""
        unknown = [(head, predecessor)]
        try:
            while predecessor not in self._known:
                block, predecessor = predecessor, (await self._header(predecessor))["predecessor"]
                unknown.append((block, predecessor))
        except RpcFailed as error:
            lines = "\n  ".join(describe(one) for one in error.trace)
            self.context.warning(f"Error while fetching block (ignored): {lines}")
            # The next head is tried again.
            return None
        for block, before in reversed(unknown):
            if (place := await self._look_at(block, before)) is not None:
                return place
            if self._known[block] is None:
                await self._check_alive()
        return None

    async def _look_at(self, block: str, predecessor: str) -> Place | None:
        """Where the operation is, if this block confirms it enough."""
        before = self._known[predecessor]
        if before is not None:
            place, count = before[0], before[1] + 1
            self.context.message(f"Operation received {count} confirmations as of block: {block}")
        else:
            found = await self._place(block)
            if found is None:
                self._known[block] = None
                return None
            place, count = found, 0
            self.context.message(f"Operation found in block: {block} (pass: {place[1]}, offset: {place[2]})")
        self._known[block] = place, count
        return place if count >= self.wanted else None

    async def _place(self, block: str) -> Place | None:
        passes = await self.context.get(f"/chains/{self.context.chain}/blocks/{block}/operation_hashes")
        for number, hashes in enumerate(passes):
            if self.operation in hashes:
                return block, number, hashes.index(self.operation)
        return None

    async def _header(self, block: str) -> dict[str, Any]:
        return _object(await self.context.get(f"/chains/{self.context.chain}/blocks/{block}/header/shell"))

    async def _check_alive(self) -> None:
        live = await self.context.get(f"/chains/{self.context.chain}/blocks/head/live_blocks")
        if self.branch not in live:
            raise Failure(
                f"The operation {self.operation} is outdated and may never be included in the chain.\n"
                "We recommend to use an external block explorer."
            )
