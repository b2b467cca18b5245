"""``activate protocol``: the first block of a chain (``src/proto_genesis/lib_client``)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs

from ..._mavryk.codec.bson import BsonError, encode
from ..._mavryk.codec.crypto import Key, Watermark, watermark
from ..._mavryk.codec.fields import ForgeError, dynamic, integer_bytes
from ..._mavryk.codec.forge import FITNESS_VERSION, ShellHeader
from ..._mavryk.protocol import GENESIS_PROTOCOL
from ..chain.activation import Activation
from .context import Context, Refusal, unreadable


async def activate(
    context: Context, protocol: str, fitness: int, key: Key, parameters: Path, *, timestamp: int | None
) -> None:
    """Make and inject the block that activates ``protocol``.

    Args:
        context: of the command.
        protocol: its hash.
        fitness: one more than the round that the block claims, as on upstream's command line.
        key: the activator's.
        parameters: a file with the protocol's parameters, a JSON object.
        timestamp: of the block, in seconds since the epoch; by default now.

    Raises:
        RpcFailed: the node refused something.
        Refusal: the parameters cannot be used.
    """
    try:
        command = Activation(protocol, _fitness(fitness), _parameters(parameters))
    except (OSError, ValueError, BsonError) as error:
        raise Refusal(f"Cannot read the parameters file {parameters}: {error}") from error
    when = int(context.wall()) if timestamp is None else timestamp
    answer = await context.call(
        "POST",
        f"/chains/{context.chain}/blocks/{context.block}/helpers/preapply/block?timestamp={when}",
        {"protocol_data": {"protocol": GENESIS_PROTOCOL, **command.to_json()}, "operations": []},
    )
    shell = shell_header(answer)
    chain_id = await context.get("/chains/main/chain_id")
    mark = watermark(Watermark.ACTIVATION, chain_id)
    signed = attrs.evolve(command, signature=key.sign(command.signed_part(shell), watermark=mark))
    data = shell.to_bytes() + signed.to_bytes()
    block = await context.call("POST", "/injection/block", {"data": data.hex(), "operations": []})
    context.message(f"Injected {str(block)[:12]}")


def shell_header(answer: Any) -> ShellHeader:
    """The header in an answer of ``preapply/block``. Raises ``Failure`` if it has none."""
    try:
        return ShellHeader.from_json(answer["shell_header"])
    except (ForgeError, KeyError, TypeError) as error:
        raise unreadable("preapply/block", error) from error


def _parameters(path: Path) -> bytes:
    return dynamic(encode(json.loads(path.read_bytes())))


def _fitness(number: int) -> tuple[bytes, ...]:
    # A fitness of level 0, which every later block exceeds; 1, the usual number, gives round 0.
    return (
        FITNESS_VERSION,
        integer_bytes(0, 4, "level"),
        b"",
        integer_bytes(-1, 4, "predecessor_round"),
        integer_bytes(max(0, number - 1), 4, "round"),
    )
