"""Query fields and parts of paths: what is read, and what upstream says of the rest."""

from __future__ import annotations

from typing import Any

import pytest

from accuser._mavryk.codec.crypto import BOOTSTRAP, GENESIS_BLOCK
from accuser.sandbox.node import query
from accuser.sandbox.node.query import Type, Unreadable, flag, many, once, parse, quoted, versions
from accuser.sandbox.node.router import Router
from tests.support.forger import activated
from tests.support.nodes import Stand, standing

CONTRACT = "KT1TxqZ8QtKvLu3V3JH7Gx58n7Co8pgtpQU5"


@pytest.mark.parametrize(
    ("type", "text", "value"),
    [
        (query.INT, "-5", -5),
        (query.INT, "0x1F", 31),
        (query.INT, "0b101", 5),
        (query.INT, "0o17", 15),
        (query.INT, "1_000", 1000),
        (query.INT, "007", 7),
        (query.INT, "0u8", 8),
        (query.LEVEL, "2147483647", 2**31 - 1),
        (query.BOOLEAN, "", True),
        (query.BOOLEAN, "Yes", True),
        (query.BOOLEAN, "f", False),
        (query.DATE, "epoch", 0),
        (query.DATE, "-1", -1),
        (query.SPAN, "1e1", 10.0),
        (query.CONTRACT, BOOTSTRAP[0].pkh, BOOTSTRAP[0].pkh),
        (query.CONTRACT, CONTRACT, CONTRACT),
        (query.BLOCK, "head~0x2", "head~2"),
        (query.BLOCK, "head-3", "head-3"),
        (query.BLOCK, "head~", "head"),
        (query.BLOCK, "0", "genesis"),
        (query.BLOCK, "0~7", "genesis"),
        (query.BLOCK, "12+3", "12+3"),
        (query.BLOCK, "genesis+2", "genesis+2"),
        (query.BLOCK, f"{GENESIS_BLOCK}+1", f"{GENESIS_BLOCK}+1"),
        (query.BLOCK, "checkpoint+1", "checkpoint+1"),
    ],
)
def test_texts_that_are_values(type: Type, text: str, value: object) -> None:
    assert type.read(text) == value


@pytest.mark.parametrize(
    ("type", "text", "complaint"),
    [
        (query.INT, "x", "Cannot parse integer value"),
        (query.INT, str(2**62), "Cannot parse integer value"),
        (query.INT, " 1", "Cannot parse integer value"),
        (query.UINT, "x", "Cannot parse natural number (number expected)"),
        (query.UINT, "-1", "Cannot parse natural number (positive number expected)"),
        (query.LEVEL, "2147483648", "Cannot parse level"),
        (query.BOOLEAN, "1", "Cannot parse boolean value"),
        (query.DATE, "now", 'failed to parse time (epoch): "now"'),
        (query.CHAIN, "foo", "Cannot parse chain identifier."),
        (query.CONTRACT, "KT1", "Cannot parse contract id"),
        (query.PASS, "x", "Invalid list offset (x)"),
        (query.INDEX, "x", "Invalid operation offset (x)"),
        (query.METADATA, "some", 'Invalid argument: Invalid_argument("unrecognize parameter some")'),
        (query.POINT_STATE, "idle", "Invalid state: idle"),
        (
            query.KEY_HASH,
            'mv1"\n',
            'failed to decode Base58Check-encoded data (Signature.Public_key_hash): "mv1\\"\\n"',
        ),
        *(
            (query.BLOCK, text, f"Cannot parse block identifier: {text}")
            for text in ("", "tail", "head+1", "genesis~1", "head~1~1", "-1", "BLbad", "~", "1.5", "head~x")
        ),
    ],
)
def test_texts_that_are_none(type: Type, text: str, complaint: str) -> None:
    with pytest.raises(Unreadable) as caught:
        type.read(text)
    assert str(caught.value) == complaint


FIELDS = (once("length", query.UINT, 1), many("head", query.TEXT), flag("all"))


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({}, {"length": 1, "head": (), "all": False}),
        ({"all": [""], "head": ["b", "a"]}, {"length": 1, "head": ("b", "a"), "all": True}),
        ({"length": ["2"], "other": ["x"]}, {"length": 2, "head": (), "all": False}),
    ],
)
def test_queries(given: dict[str, list[str]], values: dict[str, Any]) -> None:
    assert parse(FIELDS, given) == values


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"length": ["1", "1"]}, "Duplicate argument 'length' in query string."),
        (
            {"length": ["a"]},
            "Failed to parse argument 'length' (\"a\"): Cannot parse natural number (number expected)",
        ),
        ({"all": ["maybe"]}, "Failed to parse argument 'all' (\"maybe\"): Cannot parse boolean value"),
    ],
)
def test_queries_that_are_refused(given: dict[str, list[str]], complaint: str) -> None:
    with pytest.raises(Unreadable) as caught:
        parse(FIELDS, given)
    assert str(caught.value) == complaint


def test_versions_are_those_that_an_rpc_has() -> None:
    parameter = versions((0, "(deprecated)"), (1, "(default)"), default=1)
    assert parse([parameter], {}) == {"version": 1}
    assert parse([parameter], {"version": ["0"]}) == {"version": 0}
    with pytest.raises(Unreadable) as caught:
        parameter.type.read("2")
    known = 'version "0" (deprecated), version "1" (default)'
    assert str(caught.value) == f"Unsupported version 2 (supported versions  {known})"


def test_texts_between_quotes_are_ocamls() -> None:
    assert quoted('a"\\\n\t') == r'"a\"\\\n\t"'
    assert quoted("é\x01") == r'"\195\169\001"'


@pytest.mark.parametrize(
    ("path", "after", "complaint", "type"),
    [
        ("/chains/foo/nonsense", "chains/foo", "Cannot parse chain identifier.", "chain_id"),
        (
            "/chains/main/blocks/BLbad/hash",
            "chains/main/blocks/BLbad",
            "Cannot parse block identifier: BLbad",
            "block_id",
        ),
        (
            "/chains/main/blocks/head/context/contracts/toto/balance",
            "chains/main/blocks/head/context/contracts/toto",
            "Cannot parse contract id",
            "contract_id",
        ),
        (
            "/chains/main/blocks/head/operations/x/1",
            "chains/main/blocks/head/operations/x",
            "Invalid list offset (x)",
            "list_offset",
        ),
    ],
)
async def test_parts_of_paths_that_are_refused(path: str, after: str, complaint: str, type: str) -> None:
    async with standing(chain=activated()) as stand:
        response = await stand.client.request("GET", path)
        assert response.status == 400
        assert response.media_type == "text/plain"
        assert response.body.decode() == (
            f'Failed to parsed an argument in path. After "{after}", the value "{complaint}" '
            f'is not acceptable for type "{type}"'
        )


async def blocks(stand: Stand, given: str) -> Any:
    return await stand.get(f"/chains/main/blocks?{given}")


async def test_fragments_of_the_chain() -> None:
    """``src/lib_shell/chain_directory.ml``, ``list_blocks``."""
    async with standing(chain=activated()) as stand:
        chain = stand.node.chain
        first, second, third = [await stand.bake() for _ in range(3)]
        genesis, start = chain.genesis, chain.on_main_chain(1)
        assert await blocks(stand, "") == [[third.hash]]
        assert await blocks(stand, "length=0") == [[third.hash]]
        everything = [third.hash, second.hash, first.hash, start.hash, genesis.hash]
        assert await blocks(stand, "length=99") == [everything]
        # The fittest comes first, and what it has told is not told again.
        both = await blocks(stand, f"head={first.hash}&head={third.hash}&length=2")
        assert both == [[third.hash, second.hash], [first.hash, start.hash]]
        both = await blocks(stand, f"head={second.hash}&head={third.hash}&length=3")
        assert both == [[third.hash, second.hash, first.hash], [second.hash]]
        # Of blocks that are unknown nothing is told; dates are about those that were named.
        late = third.header.shell.timestamp
        assert await blocks(stand, f"head={second.hash}&head={third.hash}&min_date={late}") == [[third.hash]]
        assert await blocks(stand, f"head={second.hash}&min_date={late}") == []
        assert await blocks(stand, f"min_date={late + 1000}") == [[third.hash]]
        response = await stand.client.request("GET", "/chains/main/blocks?head=x")
        assert response.status == 400


def test_a_path_of_another_method_says_which_there_are() -> None:
    router = Router()
    router.add("GET", "/a/{level}", lambda call: call.variables["level"])
    router.add("POST", "/a/{level}", lambda call: None)
    found = router.find(["a", "7"])
    assert found is not None
    assert (sorted(found[0].routes), found[1]) == (["GET", "POST"], {"level": 7})
    assert router.find(["a", "7", "b"]) is None
    assert router.find(["b"]) is None
