"""What the accuser takes for an answer of its node: recorded ones, and none that differ from them."""

from __future__ import annotations

import copy
import json
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from accuser import Protocol
from accuser._mavryk.codec.crypto import BOOTSTRAP
from accuser.sandbox.accuser import answers
from accuser.sandbox.rpc.request import Undecodable
from tests.support.replay import RUNS

BOREAS = Protocol.BOREAS.hash


def bodies(run: str, part: str) -> list[Any]:
    """The recorded answers, or items of streams, of requests whose path matches."""
    found = []
    for line in (RUNS / f"{run}.http.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if re.search(part, entry["path"]):
            shown = [chunk["body"] for chunk in entry.get("chunks", [])] or [entry["response_body"]]
            found += [json.loads(body) for body in shown]
    return found


VOTES: Final = "03-double-attestation"
BAKINGS: Final = "01-double-baking"
WITH_DAL: Final = "05-attestations-in-a-block-and-with-dal"

BLOCK: Final = bodies(BAKINGS, r"/blocks/\w+\?version=1")[0]
FULL: Final = next(value for value in bodies(WITH_DAL, r"/blocks/\w+\?version=1") if value["operations"][0])
WITHOUT_DAL: Final = copy.deepcopy(BLOCK)
del WITHOUT_DAL["metadata"]["dal_attestation"]
VOTE, DAL_VOTE = (
    next(
        operation
        for item in bodies(WITH_DAL, "monitor_operations")
        for operation in item
        if operation["contents"][0]["kind"] == kind
    )
    for kind in ("attestation", "attestation_with_dal")
)

APPLIED: Final = bodies(BAKINGS, "applied_blocks")[0]
APPLIED["operations"][2] = [{"branch": APPLIED["hash"], "data": "00"}]

SAMPLES: Final[dict[str, tuple[str, Any]]] = {
    "chain_id": ("chain_id", bodies(BAKINGS, "main/chain_id")[0]),
    "block_hash": ("block_hash", bodies(BAKINGS, "/hash")[0]),
    "operation_hash": ("operation_hash", bodies(BAKINGS, "injection")[0]),
    "forged": ("forged", bodies(BAKINGS, "forge/operations")[0]),
    "bootstrapped": ("bootstrapped", bodies(BAKINGS, "bootstrapped")[0]),
    "protocols": ("protocols", bodies(BAKINGS, "/protocols")[0]),
    "head": ("head", bodies(BAKINGS, "/monitor/heads")[0]),
    "applied_block": ("applied_block", APPLIED),
    "header": ("header", bodies(BAKINGS, "/header$")[0]),
    "block": ("block", BLOCK),
    "block with operations": ("block", FULL),
    "block without dal": ("block without dal", WITHOUT_DAL),
    "mempool": ("mempool", [VOTE]),
    "mempool with dal": ("mempool", [DAL_VOTE]),
    "validators": ("validators", bodies(VOTES, "validators")[0]),
}
"""A decoder, for ``decode``, and what it decodes."""


def decode(name: str, value: object) -> Any:
    match name:
        case "block" | "block without dal":
            return answers.block(value, BOREAS, dal=name == "block")
        case "header":
            return answers.header(value, BOREAS)
        case _:
            return getattr(answers, name)(value)


def refused(name: str, value: object) -> str:
    with pytest.raises(Undecodable) as caught:
        decode(name, value)
    return str(caught.value)


def block(value: object) -> answers.Block:
    return answers.block(value, BOREAS, dal=True)


MAY_LACK: Final = re.compile(
    r"metadata|metadata\.(balance_updates|adaptive_issuance_activation_cycle|max_operation_list_length\.\d\.max_op)"
    r"|operations\.\d+\.\d+\.contents\.\d+\.metadata|\d+\.error"
)
"""Fields that an answer need not have: those of ``14-block-fields``, and receipts."""

FREE: Final = re.compile(
    r"metadata\.(test_chain_status|(balance_updates|implicit_operations_results)\.\d+)"
    r"|operations\.\d+\.\d+\.contents\.\d+\.metadata"
    r"|metadata\.nonce_hash"
    # Another content, or none, is another operation, and passed over.
    r"|(operations\.\d+\.)?\d+\.contents(\.\d+(\.kind)?)?"
)
"""Places where something else may stand."""

UNREAD: Final = re.compile(r"metadata\.(test_chain_status|balance_updates\.|implicit_operations_results\.).*")
"""Parts of an answer whose insides are not looked at."""

OTHER_TYPES: Final[tuple[Any, ...]] = ("x" * 9, 1.5, True, None, [], {})

Path = tuple[str | int, ...]


def walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    yield path, value
    if isinstance(value, dict):
        for name, item in value.items():
            yield from walk(item, (*path, name))
    elif isinstance(value, list):
        # The first stands for all.
        for index, item in enumerate(value[:1]):
            yield from walk(item, (*path, index))


def changed(value: Any, path: Path, change: Callable[[Any, Any], None]) -> Any:
    """A copy to which ``change`` was done: it gets what holds the place, and the key there."""
    holder = whole = copy.deepcopy([value])
    key: Any = 0
    for part in path:
        holder, key = holder[key], part
    change(holder, key)
    return whole[0]


def put(new: object) -> Callable[[Any, Any], None]:
    return lambda holder, key: operator.setitem(holder, key, new)


def dotted(path: Path) -> str:
    return ".".join(map(str, path))


@pytest.mark.parametrize("name", SAMPLES)
def test_recorded_answers_and_nothing_else(name: str) -> None:
    decoder, value = SAMPLES[name]
    decode(decoder, value)
    for path, item in walk(value):
        place = dotted(path)
        if UNREAD.fullmatch(dotted(path[:-1])) or ".contents.0.metadata." in place:
            continue
        if path and isinstance(path[-1], str):
            without = changed(value, path, lambda holder, key: holder.pop(key))
            if MAY_LACK.fullmatch(place) or place.endswith(".contents.0.kind"):
                decode(decoder, without)
            else:
                complaint = refused(decoder, without)
                assert f"issing object field {path[-1]}" in complaint, place
        for other in () if FREE.fullmatch(place) else OTHER_TYPES:
            if type(other) is type(item):
                continue
            complaint = refused(decoder, changed(value, path, put(other)))
            if not isinstance(other, str):
                assert "nexpected" in complaint, (place, other)
        if isinstance(item, dict) and not re.fullmatch(r"metadata\.test_chain_status|.*\.metadata", place):
            complaint = refused(decoder, changed(value, path, lambda h, k: h[k].update(zz_unknown=1)))
            assert "nexpected object field zz_unknown" in complaint, place


@pytest.mark.parametrize("place", ["", "header.", "metadata.", "metadata.level_info."])
def test_complaints_about_a_block_say_where(place: str) -> None:
    """A block is one case of a union: the place is said, and twice (recorded run 14)."""
    path = tuple(part for part in place.split(".") if part)
    wrong = changed(BLOCK, path, lambda holder, key: holder[key].update(zz_unknown=1))
    line = f"At /{'/'.join(path)}{'/' if path else ''}zz_unknown, unexpected object field zz_unknown"
    assert refused("block", wrong) == f"No case matched:\n  {line}\n  {line}"


def test_other_complaints_do_not() -> None:
    _, sample = SAMPLES["header"]
    assert refused("header", {**sample, "zz_unknown": 1}) == "Unexpected object field zz_unknown"
    assert refused("mempool", [{}]) == "Missing object field protocol"


# Values


@pytest.mark.parametrize(
    ("decoder", "word", "value"),
    [
        ("chain_id", "Chain_id", "NetXXAAR1wWQhhf"),
        ("block_hash", "Block_hash", "NetXXAAR1wWQhhe"),
        ("operation_hash", "Operation_hash", "BLockGenesisGenesisGenesisGenesisGenesis23a82evMK9F"),
    ],
)
def test_hashes_are_checked(decoder: str, word: str, value: str) -> None:
    assert refused(decoder, value) == f'Unhandled error Failure("Unexpected data ({word})")'


@pytest.mark.parametrize(
    ("name", "path", "word"),
    [
        ("protocols", ("protocol",), "Protocol_hash"),
        ("protocols", ("next_protocol",), "Protocol_hash"),
        ("head", ("hash",), "Block_hash"),
        ("applied_block", ("hash",), "Block_hash"),
        ("applied_block", ("chain_id",), "Chain_id"),
        ("block", ("hash",), "Block_hash"),
        ("block", ("chain_id",), "Chain_id"),
    ],
)
def test_hashes_inside_are_checked(name: str, path: Path, word: str) -> None:
    decoder, value = SAMPLES[name]
    wrong = changed(value, path, put("zz"))
    assert refused(decoder, wrong) == f'Unhandled error Failure("Unexpected data ({word})")'


def test_values() -> None:
    forged = answers.forged("00ff")
    assert forged == b"\0\xff"
    assert refused("forged", "0g") == 'Unhandled error Invalid_argument("Hex.to_char")'
    _, sample = SAMPLES["bootstrapped"]
    assert answers.bootstrapped(sample) == (sample["block"], sample["timestamp"])
    assert answers.protocols({"protocol": BOREAS, "next_protocol": Protocol.ALPHA.hash}) == (
        BOREAS,
        Protocol.ALPHA.hash,
    )
    _, sample = SAMPLES["head"]
    assert answers.head(sample) == sample["hash"]
    _, sample = SAMPLES["header"]
    assert answers.header(sample, BOREAS).hash == sample["hash"], "computed from the fields"
    _, sample = SAMPLES["validators"]
    rights = answers.validators(sample)
    assert rights == {slot: each["consensus_key"] for each in sample for slot in each["slots"]}
    assert rights[1] == BOOTSTRAP[0].pkh
    mixed = [{"level": 1, "delegate": "d", "slots": [7], "consensus_key": "k"}]
    assert answers.validators(mixed) == {7: "k"}, "of the consensus key, not of the delegate"


def test_an_applied_block() -> None:
    _, sample = SAMPLES["applied_block"]
    seen = answers.applied_block({**sample, "header": {**sample["header"], "timestamp": "1755259210"}})
    assert (seen.hash, seen.chain_id, seen.level) == (sample["hash"], "NetXXAAR1wWQhhe", 9)
    assert seen.header == {**sample["header"], "timestamp": "2025-08-15T12:00:10Z"}
    assert list(seen.header) == list(sample["header"])


@pytest.mark.parametrize("change", [{"timestamp": "yesterday"}, {"level": 2**31}, {"predecessor": "B"}])
def test_headers_that_cannot_be(change: dict[str, Any]) -> None:
    for name in ("head", "header"):
        refused(name, {**SAMPLES[name][1], **change})
    refused("applied_block", {**APPLIED, "header": {**APPLIED["header"], **change}})
    refused("block", {**BLOCK, "header": {**BLOCK["header"], **change}})


def test_a_block() -> None:
    seen = block(BLOCK)
    assert (seen.hash, seen.chain_id) == (BLOCK["hash"], BLOCK["chain_id"])
    assert seen.fitness == tuple(bytes.fromhex(item) for item in BLOCK["header"]["fitness"])
    assert seen.baked == answers.Baked(BLOCK["metadata"]["baker"], 9)
    assert seen.consensus == ()
    other = changed(BLOCK, ("metadata", "level_info", "level"), put(4))
    assert block(other).baked == answers.Baked(BLOCK["metadata"]["baker"], 4), "not that of the header"
    proposed = changed(BLOCK, ("metadata", "proposer"), put(BOOTSTRAP[2].pkh))
    assert block(proposed) == seen, "nor its proposer"


def test_a_block_without_metadata_or_operations() -> None:
    pruned = changed(BLOCK, ("metadata",), lambda holder, key: holder.pop(key))
    assert block(pruned).baked is None
    assert block({**BLOCK, "operations": []}).consensus is None
    assert block({**BLOCK, "operations": [[]]}).consensus == ()
    passes = FULL["operations"]
    assert len(block(FULL).consensus or ()) == len(passes[0]) > 0
    assert block({**FULL, "operations": [[], *passes]}).consensus == (), "the first pass only"


@pytest.mark.parametrize("name", ["protocol", "metadata.protocol", "metadata.next_protocol"])
def test_a_block_of_another_protocol(name: str) -> None:
    path = tuple(name.split("."))
    assert f"instead of {BOREAS}" in refused("block", changed(BLOCK, path, put(Protocol.ALPHA.hash)))


@pytest.mark.parametrize(
    ("value", "kind"), [(None, "null"), (1, "number"), (1.5, "number"), ([], "array"), (True, "array")]
)
def test_a_seed_nonce_hash_that_is_none(value: object, kind: str) -> None:
    _, sample = SAMPLES["header"]
    complaint = refused("header", {**sample, "seed_nonce_hash": value})
    if not isinstance(value, bool):
        kinds = [f"    Unexpected {kind} instead of {expected}" for expected in ("string", "object")]
        assert complaint == "\n".join(["No case matched:", *kinds])


def test_a_seed_nonce_hash() -> None:
    nonce = "nceVSbP3hcecWHY1dYoNUMfyB7gH9S7KbC4hEz3XZK5QCrc5DfFGm"
    _, sample = SAMPLES["header"]
    assert answers.header({**sample, "seed_nonce_hash": nonce}, BOREAS).hash != sample["hash"]
    assert block(changed(BLOCK, ("header",), lambda h, k: h[k].update(seed_nonce_hash=nonce)))


@pytest.mark.parametrize(("field", "value"), [("adaptive_issuance_activation_cycle", 3)])
def test_fields_that_a_block_may_have(field: str, value: object) -> None:
    assert block(changed(BLOCK, ("metadata",), lambda h, k: h[k].update({field: value}))) == block(BLOCK)
    refused("block", changed(BLOCK, ("metadata",), lambda h, k: h[k].update({field: "x"})))


def test_a_protocol_without_dal_may_have_its_field() -> None:
    assert decode("block without dal", BLOCK) == block(BLOCK)


# Consensus operations


def votes(*operations: Any) -> list[str]:
    return [vote.hash for vote in answers.mempool(list(operations))]


def with_content(**content: Any) -> Any:
    return {**VOTE, "contents": [{**VOTE["contents"][0], **content}]}


def test_consensus_operations_in_their_order() -> None:
    assert votes(VOTE, DAL_VOTE) == [VOTE["hash"], DAL_VOTE["hash"]]
    assert votes(DAL_VOTE, VOTE) == [DAL_VOTE["hash"], VOTE["hash"]]
    (seen,) = answers.mempool([VOTE])
    assert seen.to_json()["branch"] == VOTE["branch"]
    assert seen.to_json()["operations"] == VOTE["contents"][0]
    assert seen.to_json()["signature"] == VOTE["signature"]


@pytest.mark.parametrize(
    "operation",
    [
        {**VOTE, "contents": []},
        {**VOTE, "contents": VOTE["contents"] * 2},
        {**VOTE, "contents": ["attestation"]},
        {**VOTE, "contents": [{}]},
        with_content(kind=["attestation"]),
        with_content(kind="dal_attestation"),
        with_content(kind="transaction", source="x"),
        {**VOTE, "signature": "BLsigAn2"},
    ],
)
def test_what_is_not_a_consensus_operation_is_passed_over(operation: Any) -> None:
    assert votes(VOTE, operation, DAL_VOTE) == [VOTE["hash"], DAL_VOTE["hash"]]


@pytest.mark.parametrize(
    ("old", "new"), [("endorsement", "attestation"), ("preendorsement", "preattestation")]
)
def test_former_names(old: str, new: str) -> None:
    assert votes(with_content(kind=old)) == votes(with_content(kind=new))
    content = {**DAL_VOTE["contents"][0], "kind": "endorsement_with_dal"}
    assert votes({**DAL_VOTE, "contents": [content]}) == [DAL_VOTE["hash"]]


def test_operations_with_errors_count() -> None:
    assert votes({**VOTE, "error": [{"kind": "temporary", "id": "x"}]}) == [VOTE["hash"]]


@pytest.mark.parametrize(
    "operation",
    [
        with_content(dal_attestation="0"),
        with_content(slot="0"),
        with_content(slot=-1),
        with_content(slot=70_000),
        with_content(level=-1),
        with_content(block_payload_hash="vh1"),
        {**VOTE, "branch": "B"},
        {**VOTE, "signature": "sig"},
        {name: value for name, value in VOTE.items() if name != "signature"},
    ],
)
def test_consensus_operations_are_read_strictly(operation: Any) -> None:
    refused("mempool", [operation])
    assert votes({**with_content(kind="transaction"), "branch": "B"}) == [], "others are not"


def test_other_operations_need_no_signature() -> None:
    bare = {name: value for name, value in with_content(kind="transaction").items() if name != "signature"}
    assert votes(bare, VOTE) == [VOTE["hash"]]
    in_block = {name: value for name, value in FULL["operations"][0][0].items() if name != "signature"}
    passes = [[], [], [], [{**in_block, "contents": [{"kind": "transaction"}]}]]
    assert block({**FULL, "operations": passes}).consensus == ()
