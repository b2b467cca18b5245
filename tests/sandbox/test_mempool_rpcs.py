"""The RPCs that steer a mempool, and those that need scripts, which the sandbox does not have."""

from __future__ import annotations

from typing import Any, Final

import pytest

from accuser._mavryk.codec.base58 import Kind, encode
from accuser._mavryk.codec.crypto import BOOTSTRAP
from accuser._mavryk.codec.fields import ForgeError
from accuser.sandbox.chain.fee_filter import FeeFilter
from accuser.sandbox.chain.mempool import Class
from tests.support.forger import activated
from tests.support.nodes import Stand, standing
from tests.support.orders import gift, order

MEMPOOL: Final = "/chains/main/mempool"
HEAD: Final = "/chains/main/blocks/head"
ONE, TWO = BOOTSTRAP[0], BOOTSTRAP[1]
USUAL: Final = {
    "minimal_fees": "100",
    "minimal_nanomav_per_gas_unit": ["100", "1"],
    "minimal_nanomav_per_byte": ["1000", "1"],
    "replace_by_fee_factor": ["21", "20"],
}
BAKING: Final = "KT1AafHA1C1vk959wvHWBispY9Y2f3fxBUUo"


async def test_a_filter_is_told_and_set() -> None:
    async with standing(chain=activated()) as stand:
        assert await stand.get(MEMPOOL + "/filter") == USUAL
        assert await stand.get(MEMPOOL + "/filter?include_default=no") == {}
        dear = {"minimal_fees": "999999"}
        assert await stand.post(MEMPOOL + "/filter", dear) == {**USUAL, **dear}
        assert await stand.get(MEMPOOL + "/filter?include_default=false") == dear
        operation = order(stand.node.chain, ONE, gift(5, TWO.pkh))
        assert stand.node.mempool.classify(operation).kind is Class.REFUSED
        # What cannot be read changes nothing; what is not named is as usual again.
        assert await stand.post(MEMPOOL + "/filter", {"minimal_fees": "some"}) == {**USUAL, **dear}
        assert await stand.post(MEMPOOL + "/filter?include_default=no", {}) == {}
        assert stand.node.mempool.classify(operation).kind is Class.VALIDATED
        refused = await stand.client.request("GET", MEMPOOL + "/filter?include_default=maybe")
        assert refused.status == 400


async def test_the_genesis_protocol_has_no_filter() -> None:
    async with standing() as stand:
        assert await stand.get(MEMPOOL + "/filter") == {}


@pytest.mark.parametrize(
    ("wanted", "fee", "taken"),
    [
        (FeeFilter(), 100 + 100 + 100, True),
        (FeeFilter(), 100 + 100 + 99, False),
        (FeeFilter(minimal_fees=0, by_gas=(0, 1), by_byte=(0, 1)), 0, True),
        (FeeFilter(by_gas=(1, 3)), 100 + 1 + 100, True),
        (FeeFilter(by_gas=(1, 3)), 100 + 100, False),
    ],
)
def test_fees_of_a_thousand_units_and_a_hundred_bytes(wanted: FeeFilter, fee: int, taken: bool) -> None:
    assert wanted.takes(fee, 1000, 100) is taken


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"minimal_fees": 100},
        {"minimal_nanomav_per_byte": ["1"]},
        {"minimal_nanomav_per_byte": ["1", "0"]},
        {"replace_by_fee_factor": ["-1", "2"]},
        {"other": "1"},
    ],
)
def test_what_is_no_filter(value: object) -> None:
    with pytest.raises(ForgeError):
        FeeFilter.from_json(value)


async def pending(stand: Stand) -> list[str]:
    answer = await stand.get(MEMPOOL + "/pending_operations")
    return [one["hash"] for one in answer["validated"]]


async def test_a_banned_operation_is_forgotten_and_not_taken() -> None:
    async with standing(chain=activated()) as stand:
        chain = stand.node.chain
        first, second = order(chain, ONE, gift(5, TWO.pkh)), order(chain, TWO, gift(5, ONE.pkh))
        for operation in (first, second):
            await stand.post("/injection/operation", operation.to_bytes().hex())
        assert await stand.post(MEMPOOL + "/ban_operation", first.hash) == {}
        assert await pending(stand) == [second.hash]
        # Injected again it is as if it were here already; another one of the manager may take its place.
        await stand.post("/injection/operation", first.to_bytes().hex())
        assert await pending(stand) == [second.hash]
        other = order(chain, ONE, gift(6, TWO.pkh))
        await stand.post("/injection/operation", other.to_bytes().hex())
        assert await pending(stand) == [second.hash, other.hash]
        await stand.post(MEMPOOL + "/ban_operation", other.hash)
        await stand.post(MEMPOOL + "/unban_operation", first.hash)
        await stand.post("/injection/operation", first.to_bytes().hex())
        assert await pending(stand) == [second.hash, first.hash]
        assert stand.node.mempool.banned == {other.hash}
        await stand.post(MEMPOOL + "/unban_all_operations", {})
        assert not stand.node.mempool.banned
        assert await stand.post(MEMPOOL + "/request_operations", {}) == {}
        refused = await stand.send("POST", MEMPOOL + "/ban_operation", "oo")
        assert refused.status == 400


MICHELSON: Final = ("pack_data", "run_code", "run_view", "normalize_type", "typecheck_code", "entrypoint")


async def failure(stand: Stand, path: str, value: object) -> str:
    answer = await stand.send("POST", HEAD + path, value)
    assert answer.status == 500, (path, answer)
    (error,) = answer.json()
    text: str = error["msg"]
    return text


async def test_what_needs_scripts_says_so() -> None:
    async with standing(chain=activated()) as stand:
        for name in MICHELSON:
            assert "does not have Michelson" in await failure(stand, f"/helpers/scripts/{name}", {})
        of = f"/context/contracts/{BAKING}"
        for name in ("big_map_get", "script/normalized", "storage/normalized"):
            assert "scripts of contracts" in await failure(stand, f"{of}/{name}", {})
        ticket: dict[str, Any] = {"ticketer": BAKING, "content_type": {"prim": "unit"}}
        ticket["content"] = {"int": "1"}
        assert await stand.post(f"{HEAD}{of}/ticket_balance", ticket) == "0"
        assert await stand.get(f"{HEAD}{of}/all_ticket_balances") == []
        assert await stand.post(f"{HEAD}/context/cache/contracts/rank", BAKING) is None
        nobody = f"{HEAD}/context/contracts/{encode(Kind.CONTRACT, bytes(20))}/ticket_balance"
        assert (await stand.send("POST", nobody, ticket)).status == 404
        assert (await stand.send("POST", f"{HEAD}{of}/ticket_balance", {})).status == 400


async def test_protocol_data_is_forged_as_headers_have_it() -> None:
    async with standing(chain=activated()) as stand:
        await stand.bake()
        header = await stand.get(HEAD + "/header")
        raw = await stand.get(HEAD + "/header/protocol_data/raw")
        names = ("payload_hash", "payload_round", "proof_of_work_nonce")
        votes = {
            "liquidity_baking_vote": header["liquidity_baking_toggle_vote"],
            "adaptive_issuance_vote": header["adaptive_issuance_vote"],
        }
        asked = {**{name: header[name] for name in names}, "per_block_votes": votes}
        path = HEAD + "/helpers/forge/protocol_data"
        assert await stand.post(path, asked) == {"protocol_data": raw[:-128]}
        short = {"payload_hash": header["payload_hash"], "payload_round": 0}
        forged = (await stand.post(path, short))["protocol_data"]
        assert forged.endswith("00" * 4 + "00" * 8 + "00" + "0a")
        assert (await stand.send("POST", path, {**short, "payload_round": -1})).status == 400
