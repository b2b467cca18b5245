"""The sandbox's accuser without its node: blocks and attestations through the state machine alone."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resources import resident
from standins import Writer
from table import Row

from accuser import Protocol
from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import blake2b
from accuser._mavryk.codec.forge import fitness
from accuser._mavryk.codec.operations import Consensus, InlinedConsensus
from accuser.sandbox.accuser import answers
from accuser.sandbox.accuser.denunciation import DEFAULT_PRESERVED_LEVELS, Denunciator, Emit, SeenBlock, Steps

BLOCKS = 10_000
SLOTS = 256
DECODED = 20
"""Batches of a whole committee that are decoded from JSON; each takes as long as many blocks."""

CHAIN = "NetXXAAR1wWQhhe"
DELEGATES = [encode(Kind.MV1, blake2b(bytes([slot]), 20)) for slot in range(SLOTS)]
"""One for each slot: the most that a level can have, and the most to remember."""
RIGHTS = dict(enumerate(DELEGATES))
SIGNATURE = bytes(64)


def measure_accuser(writer: Writer) -> list[Row]:
    """All of it in a process of its own, whose heap is fresh."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"
        subprocess.run([sys.executable, __file__, str(answer)], check=True)
        figures = json.loads(answer.read_text())
    return [Row(**row) for row in figures]


def measure() -> list[dict[str, Any]]:
    """The rows."""
    gc.collect()
    before = resident()
    denunciator = Denunciator(Protocol.BOREAS.hash, "002-PtBoreas")
    start = time.perf_counter()
    once = accuse(denunciator, range(1, BLOCKS + 1))
    seconds = time.perf_counter() - start
    twice = max(once, accuse(denunciator, range(BLOCKS + 1, 2 * BLOCKS + 1)))
    del denunciator
    start = time.perf_counter()
    insert(range(1, BLOCKS + 1))
    floor = time.perf_counter() - start
    decoding, decoding_floor = decode()
    label = f"{BLOCKS:,} blocks of {SLOTS} attestations"
    grown, grown_twice = ((peak - before) / 2**20 for peak in (once, twice))
    operations = BLOCKS * SLOTS
    return [
        {
            "measure": f"{label} through the accuser",
            "ours": operations / seconds,
            "floor": operations / floor,
            "ratio": floor / seconds,
            "unit": "operations/s",
        },
        {"measure": "which take", "ours": seconds, "floor": floor, "unit": "s"},
        {"measure": "and memory, at their peak", "ours": grown, "unit": "MiB"},
        {
            "measure": "twice the blocks: memory (floor: of once)",
            "ours": grown_twice,
            "floor": grown,
            "ratio": grown_twice / grown,
            "unit": "MiB",
            "target": "<= 1.05 x",
            "ok": grown_twice <= 1.05 * grown,
        },
        {
            "measure": "attestations decoded, strictly",
            "ours": decoding,
            "floor": decoding_floor,
            "ratio": decoding / decoding_floor,
            "unit": "operations/s",
        },
    ]


def accuse(denunciator: Denunciator, levels: range) -> int:
    """A block and its attestations at each level; the most bytes of this process in memory."""
    peak = 0
    for level in levels:
        block = name(Kind.BLOCK, level)
        seen = SeenBlock(block, CHAIN, level, Protocol.BOREAS.hash, Protocol.BOREAS.hash)
        drive(denunciator.block(seen), block, level)
        drive(denunciator.operations(attestations(level), CHAIN), block, level)
        if level % 50 == 0:
            peak = max(peak, resident())
    return peak


def drive(steps: Steps, block: str, level: int) -> None:
    """Answer the requests, which here are two: for a block, and for rights."""
    answer: Any = None
    try:
        while True:
            step = steps.send(answer)
            if isinstance(step, Emit):
                answer = None
            elif "validators" in step.path:
                answer = RIGHTS.copy()
            else:
                baked = answers.Baked(DELEGATES[level % SLOTS], level)
                answer = answers.Block(block, CHAIN, fitness(level, None, 0, 0), baked, ())
    except StopIteration:
        return


def insert(levels: range) -> None:
    """The floor: the same operations into a bare table of as many levels."""
    table: dict[tuple[str, int, int], dict[tuple[str, bool], InlinedConsensus]] = {}
    for level in levels:
        name(Kind.BLOCK, level)
        for operation in attestations(level):
            content = operation.content
            place = (CHAIN, content.level, content.round)
            key = (RIGHTS[content.slot], content.kind == "preattestation")
            known = table.setdefault(place, {})
            if key not in known:
                known[key] = operation
        table.pop((CHAIN, level - DEFAULT_PRESERVED_LEVELS, 0), None)


def attestations(level: int) -> Iterator[InlinedConsensus]:
    """One of each slot."""
    branch, payload = name(Kind.BLOCK, level - 1), name(Kind.PAYLOAD, level)
    for slot in range(SLOTS):
        yield InlinedConsensus(branch, Consensus("attestation", slot, level, 0, payload), SIGNATURE)


def name(kind: Kind, level: int) -> str:
    """A hash of that level."""
    return encode(kind, blake2b(level.to_bytes(4, "big")))


def decode() -> tuple[float, float]:
    """Operations a second, from the bytes of the node's answers to values; with ``json`` alone."""
    batches = [
        json.dumps(
            [
                {
                    "hash": each.hash,
                    "protocol": Protocol.BOREAS.hash,
                    "branch": each.branch,
                    "contents": [each.content.to_json()],
                    "signature": each.to_json()["signature"],
                }
                for each in attestations(level)
            ]
        )
        for level in range(1, DECODED + 1)
    ]
    times = []
    for read in (lambda batch: answers.mempool(json.loads(batch)), json.loads):
        start = time.perf_counter()
        for batch in batches:
            read(batch)
        times.append(DECODED * SLOTS / (time.perf_counter() - start))
    return times[0], times[1]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(measure()))
