"""What the tests of the codec share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from accuser._mavryk.codec.base58 import (
    Kind,
    encode,
)
from accuser._mavryk.codec.crypto import (
    ACTIVATOR,
    BOOTSTRAP,
)
from accuser._mavryk.codec.forge import (
    BlockHeader,
    ProtocolData,
    ShellHeader,
)
from accuser._mavryk.codec.operations import (
    Consensus,
    DoubleBaking,
    DoubleConsensus,
    InlinedConsensus,
    Operation,
)

RUNS = Path(__file__).parent.parent / "data" / "recorded-runs"

ANSWER_FIELDS = ("protocol", "chain_id", "hash")

ZEROS = bytes(64)

KEYS = pytest.mark.parametrize("key", [*BOOTSTRAP, ACTIVATOR], ids=lambda key: key.alias)


def exchanges(name: str) -> list[dict[str, Any]]:
    with (RUNS / f"{name}.http.jsonl").open() as lines:
        return [json.loads(line) for line in lines]


def answers(name: str, path_end: str) -> Iterator[Any]:
    for exchange in exchanges(name):
        if exchange["path"].endswith(path_end) and exchange["status"] == 200:
            yield json.loads(exchange["response_body"])


# Round trips of invented values.


def hashes(kind: Kind) -> st.SearchStrategy[str]:
    return st.binary(min_size=kind.size, max_size=kind.size).map(lambda raw: encode(kind, raw))


naturals = st.integers(0, 2**31 - 1)

signatures = st.binary(min_size=64, max_size=64)

votes = st.sampled_from(["on", "off", "pass"])

shells = st.builds(
    ShellHeader,
    level=st.integers(-(2**31), 2**31 - 1),
    proto=st.integers(0, 255),
    predecessor=hashes(Kind.BLOCK),
    timestamp=st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2**32),
    validation_pass=st.integers(0, 255),
    operations_hash=hashes(Kind.OPERATION_LIST_LIST),
    fitness=st.lists(st.binary(max_size=9), max_size=6).map(tuple),
    context=hashes(Kind.CONTEXT),
)

protocol_data = st.builds(
    ProtocolData,
    payload_hash=hashes(Kind.PAYLOAD),
    payload_round=naturals,
    proof_of_work_nonce=st.binary(min_size=8, max_size=8),
    seed_nonce_hash=st.none() | hashes(Kind.NONCE),
    liquidity_baking_toggle_vote=votes,
    adaptive_issuance_vote=votes,
    signature=signatures,
)

full_headers = st.builds(lambda shell, data: BlockHeader(shell, data.to_bytes()), shells, protocol_data)


def contents(*kinds: str) -> st.SearchStrategy[Consensus]:
    numbers = st.integers(0, 300) | st.integers(-(2**70), 2**70)
    return st.sampled_from(kinds).flatmap(
        lambda kind: st.builds(
            Consensus,
            kind=st.just(kind),
            slot=st.integers(0, 0xFFFF),
            level=naturals,
            round=naturals,
            payload_hash=hashes(Kind.PAYLOAD),
            dal_attestation=numbers if kind == "attestation_with_dal" else st.none(),
        )
    )


def inlined(*kinds: str) -> st.SearchStrategy[InlinedConsensus]:
    return st.builds(
        InlinedConsensus, branch=hashes(Kind.BLOCK), content=contents(*kinds), signature=signatures
    )


attested = ("attestation", "attestation_with_dal")

all_contents = st.one_of(
    contents("preattestation", *attested),
    st.builds(DoubleBaking, full_headers, full_headers),
    st.builds(
        DoubleConsensus, st.just("double_attestation_evidence"), inlined(*attested), inlined(*attested)
    ),
    st.builds(
        DoubleConsensus,
        st.just("double_preattestation_evidence"),
        inlined("preattestation"),
        inlined("preattestation"),
    ),
)

operations = st.builds(Operation, hashes(Kind.BLOCK), st.tuples(all_contents), signatures)
