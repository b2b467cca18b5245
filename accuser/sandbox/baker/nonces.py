"""Seed nonces: made with a block that commits to one, revealed in the next cycle.

Facts: ``lib_delegate/baking_nonces.ml``. All that a baker knows of its nonces is in files of its base
directory, so that another run reveals what this one committed to.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs

from ..._mavryk.codec.base58 import Kind, encode
from ..._mavryk.codec.crypto import blake2b
from ..accuser.answers import forged, operation_hash
from ..client.wallet import SHORT_CHAIN
from ..rpc.client import Rpc
from ..rpc.request import Request, RpcFailed, Undecodable
from .values import Note

NONCE_SIZE: Final = 32
AGAIN_AFTER: Final = 2
"""Levels after which a revelation that is not in the chain is injected anew."""
_ZERO_SIGNATURE: Final = bytes(64)


def nonce_hash(nonce: bytes) -> str:
    """What a block says of a nonce."""
    return encode(Kind.NONCE, blake2b(nonce))


@attrs.frozen
class Level:
    """Where a block is in its cycle."""

    level: int
    cycle: int


def level_answer(value: object) -> Level:
    """The answer to ``helpers/current_level``. Raises ``Undecodable``."""
    try:
        return Level(int(value["level"]), int(value["cycle"]))  # type: ignore[index]  # what is no such object is a TypeError, told below
    except (LookupError, TypeError, ValueError) as error:
        raise Undecodable(str(error)) from error


def _nonce_answer(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Undecodable("not an object")
    return value


@attrs.define(eq=False, repr=False)
class Nonces:
    """The nonces of one base directory and chain.

    Args:
        rpc: of the node.
        folder: the base directory.
        chain: id of the chain.
        random: gives so many random bytes.
    """

    rpc: Rpc
    folder: Path
    chain: str
    random: Callable[[int], bytes] = secrets.token_bytes

    @property
    def path(self) -> Path:
        """The file of the nonces and what became of them."""
        return self.folder / f"{self.chain[:SHORT_CHAIN]}_stateful_nonces"

    def fresh(self) -> bytes:
        """A nonce for a block that is to commit to one."""
        return self.random(NONCE_SIZE)

    def register(self, nonce: bytes, block: str, cycle: int, level: int, round: int) -> Note:
        """Write down the nonce of a block to be injected. Raises ``OSError``, ``ValueError``."""
        entries = self._entries()
        entries.append(
            {
                "nonce": nonce.hex(),
                "hash": nonce_hash(nonce),
                "block": block,
                "cycle": cycle,
                "level": level,
                "round": round,
                "state": "committed",
            }
        )
        self._write(entries)
        return Note("registering_nonce", block)

    async def reveal(self, predecessor: str) -> list[Note]:
        """Reveal what is to be revealed on top of a block; gives what is to be told."""
        try:
            entries = self._entries()
        except (OSError, ValueError) as error:
            return [Note("cannot_read_nonces", [_failure(str(error))])]
        path = f"/chains/{self.chain}/blocks/{predecessor}/helpers/current_level?offset=0"
        try:
            now: Level = await self.rpc.call(Request("GET", path, level_answer))
            told, kept = await self._look(entries, predecessor, now)
        except RpcFailed as error:
            return [Note("cannot_retrieve_unrevealed_nonces", error.trace)]
        if kept != entries or any(note.name == "revealing_nonce" for note in told):
            try:
                self._write(kept)
            except OSError as error:
                told.append(Note("cannot_read_nonces", [_failure(str(error))]))
        return told

    async def _look(
        self, entries: list[dict[str, Any]], predecessor: str, now: Level
    ) -> tuple[list[Note], list[dict[str, Any]]]:
        told, kept, revealed = [], [], False
        for entry in entries:
            if entry["cycle"] < now.cycle - 1:
                told.append(Note("outdated_nonce", entry["block"]))
                continue
            if entry["cycle"] != now.cycle - 1:
                kept.append(entry)
                continue
            path = f"/chains/{self.chain}/blocks/head/context/nonces/{entry['level']}"
            known = await self.rpc.call(Request("GET", path, _nonce_answer))
            if "nonce" in known:
                told.append(Note("revealed_nonce", entry["block"]))
                continue
            if known.get("hash") != entry["hash"]:
                # Of a block that is not on this branch.
                told.append(Note("unexpected_nonce", entry["block"]))
                continue
            state = entry["state"]
            waits = isinstance(state, dict) and now.level <= state["injection_level"] + AGAIN_AFTER
            if not waits:
                note = await self._inject(entry, predecessor)
                told.append(note)
                if note.name == "revealing_nonce":
                    entry = {**entry, "state": {"injection_level": now.level}}
                revealed = True
            kept.append(entry)
        if not revealed:
            told.append(Note("nothing_to_reveal", predecessor))
        return told, kept

    async def _inject(self, entry: dict[str, Any], branch: str) -> Note:
        content = {"kind": "seed_nonce_revelation", "level": entry["level"], "nonce": entry["nonce"]}
        path = f"/chains/{self.chain}/blocks/{branch}/helpers/forge/operations"
        body = {"branch": branch, "contents": [content]}
        try:
            unsigned: bytes = await self.rpc.call(Request("POST", path, forged, body))
            path = f"/injection/operation?async&chain={self.chain}"
            data = (unsigned + _ZERO_SIGNATURE).hex()
            operation = await self.rpc.call(Request("POST", path, operation_hash, data))
        except RpcFailed as error:
            return Note("cannot_inject_nonces", error.trace)
        value = {"level": entry["level"], "chain": self.chain, "ophash": operation}
        return Note("revealing_nonce", value)

    def _entries(self) -> list[dict[str, Any]]:
        try:
            value = json.loads(self.path.read_bytes())
        except FileNotFoundError:
            return []
        if not isinstance(value, list):
            raise ValueError(f"{self.path} holds no list")
        return value

    def _write(self, entries: list[dict[str, Any]]) -> None:
        temporary = self.path.with_name(f"{self.path.name}.tmp")
        temporary.write_text(json.dumps(entries, indent=2) + "\n")
        temporary.replace(self.path)
        plain = [{"block": entry["block"], "nonce": entry["nonce"]} for entry in entries]
        self.folder.joinpath(f"{self.chain[:SHORT_CHAIN]}_nonces").write_text(
            json.dumps(plain, indent=2) + "\n"
        )


def _failure(message: str) -> dict[str, str]:
    return {"kind": "temporary", "id": "failure", "msg": message}
