"""The blocks of a baker: made in advance, injected at their time, and told of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import trio

from ..._http.client import Connect
from ..._mavryk.codec.operations import Operation
from ..client.wallet import WalletError
from ..rpc.request import RpcFailed
from . import show, votefile
from .events import Events
from .forging import Forger, Twice, external_operations, injection
from .quorum import Pool
from .settings import Settings
from .values import Forge
from .votefile import VoteFileError, Votes


async def sleep_until(when: float, wall: Callable[[], float]) -> None:
    """Sleep until a clock shows a time, in seconds since the epoch."""
    # A sleep may end just before the time that this clock shows.
    while (rest := when - wall()) > 0:  # noqa: ASYNC110 - a clock that may be set, not trio's
        # No shorter than the clock can tell.
        await trio.sleep(max(rest, 1e-6))


@attrs.define(eq=False, repr=False)
class BlockMaker:
    """Makes blocks.

    Args:
        forger: makes and signs.
        events: tell of it.
        pool: what blocks may be made of.
        settings: what the command line says.
        wall: gives seconds since the epoch.
        connect_to: connects to servers of operations.
    """

    _forger: Forger
    _events: Events
    _pool: Pool
    _settings: Settings
    _wall: Callable[[], float]
    _connect_to: Callable[[str], Connect | None]
    _votes: Votes = attrs.field(init=False)
    """The last ones that were used."""
    _handing: trio.Lock = attrs.field(init=False, factory=trio.Lock)
    """Held from when a block goes to the node until that is told of."""

    def __attrs_post_init__(self) -> None:
        self._votes = self._settings.votes

    async def settle(self) -> None:
        """Wait until a block that goes to the node is told of: its votes come after it, in every run."""
        async with self._handing:
            pass

    @trio.lowlevel.enable_ki_protection
    async def bake(self, order: Forge) -> None:
        """Make a block, and inject it at its time; tell of it, or of what kept it from that."""
        place = {"level": order.level, "round": order.round, "delegate": order.delegate}
        await self._events.note("prepare_forging_block", place)
        await self._events.note("forging_block", place)
        trace: list[Any]
        try:
            await self._forge(order, place)
            return
        except Twice as error:
            await self._events.note("potential_double_baking", {"level": order.level, "round": order.round})
            trace = error.trace
        except RpcFailed as error:
            trace = error.trace
        except (WalletError, OSError, ValueError) as error:
            trace = [{"kind": "temporary", "id": "failure", "msg": str(error)}]
        await self._events.note("failed_to_forge_block", {"delegate": order.delegate, "trace": trace})

    async def _forge(self, order: Forge, place: dict[str, Any]) -> None:
        votes = await self._read_votes()
        await self._events.note("vote_for_liquidity_baking_toggle", votes.liquidity_baking)
        await self._events.note("vote_for_adaptive_issuance", votes.adaptive_issuance)
        external: list[Operation] = []
        if (source := self._settings.operations_pool) is not None:
            external, notes = await external_operations(source, self._connect_to)
            for note in notes:
                await self._events.emit(note)
        key = self._events.keys[order.delegate]
        made = await self._forger.block(order, key, self._pool.for_block(order.quorum), external, votes)
        if made.nonce is not None:
            note = self._forger.nonces.register(made.nonce, made.hash, made.cycle, order.level, order.round)
            await self._events.emit(note)
        value = show.signed_block(made, order.round, votes, self._events.signer(order.delegate))
        named = self._events.named(order.delegate)
        text = f"block ready for delegate: {named} at level {order.level} (round: {order.round})"
        await self._events.note("new_forge_event", value, event=text)
        when = made.header.shell.timestamp
        if (delay := when - self._wall()) > 0:
            await self._events.note("delayed_block_injection", {"delay": delay, **place})
            await sleep_until(when, self._wall)
        async with self._handing:
            await self._events.note("injecting_block", place)
            try:
                injected = await self._forger.rpc.call(injection(made, self._forger.chain))
            except RpcFailed as error:
                failed = {"block_hash": made.hash, "trace": error.trace}
                await self._events.note("block_injection_failed", failed)
                return
            self._votes = votes
            await self._events.note("block_injected", {"block": injected, **place})

    async def _read_votes(self) -> Votes:
        path = self._settings.vote_file
        if path is None:
            return self._votes
        await self._events.note("reading_per_block_votes", str(path))
        try:
            return votefile.read(path, self._forger.name, self._votes)
        except VoteFileError as error:
            await self._events.note("per_block_vote_file_error", [error.error])
            return self._votes
