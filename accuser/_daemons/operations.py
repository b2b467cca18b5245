"""Consensus operations that you make yourself: forged by a node, signed here.

Facts: ``tezt/lib_tezos/operation_core.ml``.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import attrs

from .._errors import SigningUnavailable
from .._mavryk.accounts import Account
from .._mavryk.codec.crypto import Key, Watermark, watermark
from .endpoint import Endpoint
from .node import Node

ConsensusKind = Literal["attestation", "preattestation"]

CONSENSUS_KINDS: Final[tuple[ConsensusKind, ...]] = get_args(ConsensusKind)

_FIELDS: Final = ("slot", "level", "round", "block_payload_hash")
_WATERMARKS: Final[dict[str, Watermark]] = {
    "attestation": Watermark.ATTESTATION,
    "preattestation": Watermark.PREATTESTATION,
}


@attrs.frozen(kw_only=True)
class ConsensusOperation:
    """An attestation or a preattestation that says whatever you like, for a test of accusers.

    ``attrs.evolve(operation, slot=7)`` gives one that differs in its slot.
    """

    kind: ConsensusKind
    branch: str
    """Hash of the block that it builds on, ``B...``."""
    slot: int
    level: int
    round: int
    block_payload_hash: str
    """``vh...``."""

    @classmethod
    def from_json(cls, value: dict[str, Any], kind: ConsensusKind) -> ConsensusOperation:
        """Take the facts of an operation as nodes show it, as in ``pending_operations``."""
        content = value["contents"][0]
        return cls(kind=kind, branch=value["branch"], **{name: content[name] for name in _FIELDS})

    def to_json(self) -> dict[str, Any]:
        """Write it as a node takes it to forge it: branch and contents."""
        content = {"kind": self.kind, **{name: getattr(self, name) for name in _FIELDS}}
        return {"branch": self.branch, "contents": [content]}

    async def forge(self, node: Node | Endpoint) -> bytes:
        """Let ``node`` write it in binary, without signature. Raises as `Node.rpc` does."""
        path = "/chains/main/blocks/head/helpers/forge/operations"
        return bytes.fromhex(await node.rpc("post", path, self.to_json()))

    async def sign(self, node: Node | Endpoint, signer: Account) -> bytes:
        """Forge it and sign it for the chain of ``node``; return the signed operation.

        Raises:
            SigningUnavailable: the package ``cryptography`` is not there.
            RpcError: the node does not forge it, as when a hash is none.
            NodeUnreachable, HttpError: there is no answer.
        """
        unsigned = await self.forge(node)
        mark = watermark(_WATERMARKS[self.kind], await node.rpc("get", "/chains/main/chain_id"))
        key = Key(signer.alias, signer.pkh, signer.public_key, signer.secret_key)
        try:
            return unsigned + key.sign(unsigned, watermark=mark)
        except ImportError as error:
            raise SigningUnavailable(signer.alias) from error

    async def inject(self, node: Node | Endpoint, signer: Account, *, force: bool = False) -> str:
        """Sign it and hand it to ``node``; return its hash, ``o...``.

        Args:
            node: forges it, and takes it into its mempool.
            signer: whose it is; one of `BOOTSTRAP`, or any Ed25519 key.
            force: by ``/private/injection/operation``: the node keeps it and answers with the hash
                whatever it thinks of it. Accusers get to see it if it is valid or may become so.

        Raises as `sign` does, and `RpcError` if the mempool refuses it. Cancelling leaves open
        whether the node has it.
        """
        signed = await self.sign(node, signer)
        path = "/private/injection/operation" if force else "/injection/operation"
        injected: str = await node.rpc("post", path, signed.hex())
        return injected
