"""The daemon without its process: it waits for the node and its protocol, and bakes until the node is lost.

The order of its requests and lines is that of ``lib_delegate/client_daemon.ml``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import trio

from ..._http.client import Connect
from ..._mavryk.protocol import Protocol
from ..accuser import answers
from ..accuser.client_daemon import COMMIT, VERSION, ClientDaemon, Console, Life
from ..client.delegates import Constants
from ..client.wallet import Wallet
from ..rpc.client import Rpc
from ..rpc.request import Request, RpcFailed, Undecodable
from ..sink.sink import Sink
from .blocks import anything
from .run import Run
from .settings import Settings


@attrs.define(eq=False, repr=False)
class Baker:
    """The daemon without its process. ``wall`` gives seconds since the epoch; delays follow trio's clock."""

    protocol: Protocol
    rpc: Rpc
    sink: Sink
    console: Console
    wall: Callable[[], float]
    wallet: Wallet
    settings: Settings
    life: Life = attrs.Factory(Life)
    connect_to: Callable[[str], Connect | None] = attrs.field(default=lambda url: None)

    async def run(self) -> None:
        """Bake until the node is lost. Raises ``RpcFailed``; ``Unexpected`` with ``keep_alive``."""
        keep_alive = self.settings.keep_alive
        daemon = ClientDaemon(self.protocol, self.rpc, self.console, self.wall, keep_alive)
        await daemon.run(self._live)

    async def _live(self, streams: trio.Nursery) -> None:
        """One connection with the node. Raises ``RpcFailed``."""
        await self._ask("/config/network/user_activated_upgrades")
        chain: str = await self.rpc.call(Request("GET", "/chains/main/chain_id", answers.chain_id))
        path = f"/chains/{chain}/blocks/head/context/constants"
        constants: Constants = await self.rpc.call(Request("GET", path, constants_answer))
        pre_emptive = await self._pre_emptive(constants)
        short = self.protocol.hash[:12]
        await self.console.message(f"Baker {VERSION} ({COMMIT}) for {short} started.")
        self.life.starts += 1
        failure: RpcFailed | None = None
        async with trio.open_nursery() as nursery:
            run = Run(self, nursery, chain, constants, pre_emptive)
            try:
                await run.go()
            except RpcFailed as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _pre_emptive(self, constants: Constants) -> float:
        given, delay = self.settings.pre_emptive, constants.minimal_block_delay
        seconds = 0.15 * delay if given is None else given
        if seconds >= delay:
            text = f"pre-emptive-forge-time must be less than current block time (<= {delay:f} seconds)"
            raise RpcFailed([{"kind": "temporary", "id": "failure", "msg": text}], text)
        if seconds > 0:
            await self.console.message(
                f"pre-emptive-forge-time optimization set to {seconds:f}s. Operation inclusion window is "
                f"~{delay - seconds:f}s. Caution: Setting this too high may result in reduced block "
                "proposal rewards."
            )
        return seconds

    async def _ask(self, path: str) -> Any:
        return await self.rpc.call(Request("GET", path, anything))


def constants_answer(value: object) -> Constants:
    """The answer to ``context/constants``. Raises ``Undecodable``."""
    try:
        assert isinstance(value, dict)
        return Constants(
            minimal_block_delay=int(value["minimal_block_delay"]),
            delay_increment_per_round=int(value["delay_increment_per_round"]),
            committee_size=int(value["consensus_committee_size"]),
            consensus_threshold=int(value["consensus_threshold"]),
            proof_of_work_threshold=int(value["proof_of_work_threshold"]),
        )
    except (AssertionError, LookupError, TypeError, ValueError) as error:
        raise Undecodable(str(error)) from error
