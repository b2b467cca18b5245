"""The forms of hashes in base58."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import accuser
from accuser._mavryk import base58_patterns as patterns
from accuser._mavryk.codec.base58 import Kind, encode

PATTERNS = {
    Kind.BLOCK: patterns.BLOCK,
    Kind.OPERATION: patterns.OPERATION,
    Kind.OPERATION_LIST: patterns.OPERATION_LISTS,
    Kind.OPERATION_LIST_LIST: patterns.OPERATION_LISTS,
    Kind.PROTOCOL: patterns.PROTOCOL,
    Kind.CONTEXT: patterns.CONTEXT,
    Kind.PAYLOAD: patterns.PAYLOAD,
    Kind.PEER: patterns.PEER,
    Kind.CHAIN: patterns.CHAIN,
    Kind.NONCE: patterns.NONCE,
    Kind.SIGNATURE: patterns.SIGNATURE,
    Kind.ED25519_SIGNATURE: patterns.SIGNATURE,
    Kind.SECP256K1_SIGNATURE: patterns.SIGNATURE,
    Kind.P256_SIGNATURE: patterns.SIGNATURE,
}


@pytest.mark.parametrize("kind", PATTERNS, ids=lambda kind: kind.name.lower())
@given(data=st.data())
def test_a_hash_of_a_kind_has_the_form_of_that_kind_alone(kind: Kind, data: st.DataObject) -> None:
    value = data.draw(st.binary(min_size=kind.size, max_size=kind.size))
    text = encode(kind, value)
    matching = {pattern for pattern in PATTERNS.values() if re.fullmatch(pattern, text)}
    assert matching == {PATTERNS[kind]}
    for digit in "0OIl":
        assert not re.fullmatch(PATTERNS[kind], text[:-1] + digit)
    assert not re.fullmatch(PATTERNS[kind], text + "11" * 30)


def test_there_is_one_pattern_of_each_kind() -> None:
    root = Path(accuser.__file__).parent
    alphabet = "[1-9A-HJ-NP-Za-km-z]"
    found = {
        path.name
        for path in root.rglob("*")
        if path.suffix in (".py", ".js") and alphabet in path.read_text()
    }
    # Secret keys are hidden by a leaf, which knows nothing of the chain.
    assert found == {"_text.py", "base58_patterns.py", "page.js"}
    # The page cannot import it.
    of_the_page = "|".join((patterns.BLOCK, patterns.OPERATION, patterns.PEER))
    assert of_the_page in (root / "timeline" / "page.js").read_text()
