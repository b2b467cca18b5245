"""The events of baking and voting, on the client's sinks: by default, lines on standard error.

Sections, names, levels and texts are those of ``lib_delegate/baking_events.ml``.
"""

from __future__ import annotations

from ..._mavryk.codec.crypto import Key
from ..._mavryk.protocol import Protocol
from ..rpc.error_text import describe
from ..rpc.request import RpcFailed
from ..sink.sink import Level, Sink, SinkError
from .context import Context, Refusal
from .delegates import named, signer_json


class BakingEvents:
    """Emits events until it is closed. A value that is a secret is never shown, only written."""

    def __init__(self, sink: Sink, name: str) -> None:
        self._sink = sink
        self._section = (name, "baker")
        self._asks_dal = name != Protocol.ATLAS.long_name
        self._attestations = 0

    @classmethod
    async def of(cls, context: Context, protocol: str) -> BakingEvents:
        """Those of a command. Raises ``Refusal``."""
        name = next((known.long_name for known in Protocol if known.hash == protocol), protocol)
        try:
            sink = await Sink.from_environment(
                context.environ,
                context.program,
                clock=context.wall,
                outlets=context.outlets,
                pid=context.pid,
            )
        except SinkError as error:
            raise Refusal("\n".join(error.lines)) from error
        return cls(sink, name)

    def close(self) -> None:
        self._sink.close()

    async def votes(self, liquidity_baking: str, adaptive_issuance: str) -> None:
        """What the block says in its two votes."""
        section = (*self._section, "actions")
        text = f"Voting {liquidity_baking} for liquidity baking toggle vote"
        await self._sink.emit(
            section, "vote_for_liquidity_baking_toggle", Level.NOTICE, liquidity_baking, text
        )
        text = f"Voting {adaptive_issuance} for adaptive issuance vote"
        await self._sink.emit(section, "vote_for_adaptive_issuance", Level.NOTICE, adaptive_issuance, text)

    async def miss_dal(self, attestations: int) -> None:
        """So many attestations were signed without a DAL node: said of each tenth, from the first."""
        before, self._attestations = self._attestations, self._attestations + attestations
        if self._asks_dal and any(number % 10 == 0 for number in range(before, self._attestations)):
            text = "DAL feature enabled, but no DAL node specified: cannot fetch attestations"
            await self._emit("no_dal_node", Level.NOTICE, {}, text)

    async def new_head(self, block: str, level: int, round: int) -> None:
        """The block to bake upon is there."""
        text = f"received new head {block} at level {level}, round {round}"
        value = {"block": block, "level": level, "round": round}
        await self._sink.emit((*self._section, "transitions"), "new_head", Level.NOTICE, value, text)

    async def double_baking(self, level: int, round: int) -> None:
        """A block of that round, or a later one, was baked before."""
        text = f"potential double baking detected at level {level}, round {round}"
        value = {"level": level, "round": round}
        await self._emit("potential_double_baking", Level.WARNING, value, text)

    async def block(self, block: str, level: int, round: int, key: Key, delegate: str) -> None:
        """A block was injected."""
        text = f"block {block} at level {level}, round {round} injected for {named(key, delegate)}"
        value = {"block": block, "level": level, "round": round, "delegate": signer_json(key, delegate)}
        await self._emit("block_injected", Level.NOTICE, value, text)

    async def vote(self, kind: str, operation: str, key: Key, delegate: str, level: int, round: int) -> None:
        """An attestation or preattestation was injected."""
        text = f"injected {kind} {operation} for {named(key, delegate)} for level {level}, round {round}"
        value = {
            "vote_kind": kind,
            "ophash": operation,
            "delegate": signer_json(key, delegate),
            "level": level,
            "round": round,
        }
        await self._emit("consensus_vote_injected", Level.NOTICE, value, text)

    async def vote_failed(self, kind: str, key: Key, delegate: str, error: RpcFailed) -> None:
        """One was refused by the node."""
        trace = "\n".join(describe(one) for one in error.trace)
        text = f"failed to inject {kind} for {named(key, delegate)} -- {trace}"
        value = {"vote_kind": kind, "delegate": signer_json(key, delegate), "trace": error.trace}
        await self._emit("failed_to_inject_consensus_vote", Level.ERROR, value, text)

    async def _emit(self, name: str, level: Level, value: object, text: str) -> None:
        await self._sink.emit((*self._section, "actions"), name, level, value, text)
