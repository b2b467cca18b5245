"""Operations that nobody signs, or that a consensus key signs: activations, drained delegates, delays."""

from __future__ import annotations

import hashlib

import pytest

from accuser._mavryk.codec.anonymous import ActivateAccount, DrainDelegate, VdfRevelation
from accuser._mavryk.codec.base58 import Kind, decode, encode
from accuser._mavryk.codec.crypto import BOOTSTRAP, Key, Watermark, watermark
from accuser._mavryk.codec.manager import UpdateConsensusKey
from accuser._mavryk.codec.operations import Operation
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.chain.mempool import Class, Mempool
from accuser.sandbox.chain.trace import NodeError
from tests.support.forger import NULL_SIGNATURE, activated, attestations, bake, constructed, protocol_data
from tests.support.nodes import standing
from tests.support.orders import gift, include, key, order

ONE, TWO = BOOTSTRAP[0], BOOTSTRAP[1]
OWNER, BAKING, NEW = key(21), key(22), key(23)
SECRET = bytes(range(20))
BLINDED = encode(
    Kind.BLINDED, hashlib.blake2b(decode(Kind.MV1, OWNER.pkh), key=SECRET, digest_size=20).digest()
)


def alone(chain: Chain, content: ActivateAccount | DrainDelegate | VdfRevelation) -> Operation:
    return Operation(chain.head.hash, (content,), NULL_SIGNATURE)


def drain(
    chain: Chain, delegate: Key = ONE, to: Key = TWO, consensus: Key = BAKING, signer: Key = BAKING
) -> Operation:
    content = DrainDelegate(consensus.pkh, delegate.pkh, to.pkh)
    unsigned = Operation(chain.head.hash, (content,)).unsigned_bytes()
    signature = signer.sign(unsigned, watermark=watermark(Watermark.GENERIC))
    return Operation(chain.head.hash, (content,), signature)


def classified(chain: Chain, operation: Operation) -> tuple[Class, str]:
    entry = Mempool(chain).classify(operation)
    return entry.kind, "" if entry.error is None else str(entry.error.trace[-1]["id"]).split(".", 2)[2]


def anonymous(*operations: Operation) -> tuple[tuple[Operation, ...], ...]:
    return ((), (), operations, ())


# Accounts that were set aside


def test_who_knows_the_secret_activates_an_account_once() -> None:
    chain = activated(commitments=[[BLINDED, "7000000"]])
    before = chain.head.state.ledger
    assert before.supply == before.held()
    operation = alone(chain, ActivateAccount(OWNER.pkh, SECRET))
    assert classified(chain, operation) == (Class.VALIDATED, "")
    block = bake(chain, operations=anonymous(operation))
    assert block.results[operation.hash] == (
        {
            "balance_updates": [
                {
                    "kind": "commitment",
                    "category": "commitment",
                    "committer": BLINDED,
                    "change": "-7000000",
                    "origin": "block",
                },
                {"kind": "contract", "contract": OWNER.pkh, "change": "7000000", "origin": "block"},
            ]
        },
    )
    after = block.state.ledger
    assert (after.accounts[OWNER.pkh].spendable, after.commitments) == (7_000_000, {})
    assert after.supply == after.held() == before.supply
    refused = (Class.REFUSED, "validate.operation.invalid_activation")
    assert classified(chain, alone(chain, ActivateAccount(OWNER.pkh, SECRET))) == refused


def test_a_wrong_secret_activates_nothing() -> None:
    chain = activated(commitments=[[BLINDED, "7000000"]])
    wrong = (Class.REFUSED, "validate.operation.invalid_activation")
    assert classified(chain, alone(chain, ActivateAccount(OWNER.pkh, bytes(20)))) == wrong
    assert classified(chain, alone(chain, ActivateAccount(TWO.pkh, SECRET))) == wrong


@pytest.mark.parametrize("entry", [["btz", "1"], [BLINDED, "-1"], [BLINDED], 3])
def test_commitments_that_are_none(entry: object) -> None:
    with pytest.raises(NodeError, match="commitments"):
        activated(commitments=[entry])


# Delegates that are drained


@pytest.fixture
def drainable() -> Chain:
    """Blocks after which bootstrap1 bakes with another key."""
    chain = activated(blocks_per_cycle=2)
    include(chain, order(chain, ONE, UpdateConsensusKey(BAKING.public_key)))
    while chain.head.state.ledger.accounts[ONE.pkh].consensus_key is None:
        bake(chain, operations=attestations(chain))
    return chain


def test_a_consensus_key_drains_its_delegate(drainable: Chain) -> None:
    supply, balance = (
        drainable.head.state.ledger.supply,
        drainable.head.state.ledger.accounts[ONE.pkh].spendable,
    )
    operation = drain(drainable, to=NEW)
    assert classified(drainable, operation) == (Class.VALIDATED, "")
    block = bake(drainable, operations=anonymous(operation))
    (metadata,) = block.results[operation.hash]
    assert metadata["allocated_destination_contract"] is True
    assert block.proposer is not None
    left = balance - 64_250
    updates = metadata["balance_updates"]
    changes = [(one.get("contract", one.get("category")), one["change"]) for one in updates]
    assert changes == [
        (ONE.pkh, "-64250"),
        ("storage fees", "64250"),
        (ONE.pkh, str(left // 100 - left)),
        (NEW.pkh, str(left - left // 100)),
        (ONE.pkh, str(-(left // 100))),
        (block.proposer.pkh, str(left // 100)),
    ]
    ledger = block.state.ledger
    assert ledger.accounts[NEW.pkh].spendable == left - left // 100
    assert ledger.supply == ledger.held() == supply - 64_250


@pytest.mark.parametrize(
    ("changes", "kind", "name"),
    [
        ({"delegate": NEW}, Class.BRANCH_DELAYED, "drain_delegate_key_on_unregistered_delegate"),
        ({"consensus": NEW}, Class.BRANCH_DELAYED, "invalid_drain.inactive_key"),
        ({"delegate": TWO, "consensus": TWO}, Class.BRANCH_DELAYED, "invalid_drain.no_consensus_key"),
        ({"to": ONE}, Class.BRANCH_DELAYED, "invalid_drain.noop"),
        ({"signer": ONE}, Class.REFUSED, "invalid_signature"),
    ],
)
def test_drains_that_are_refused(drainable: Chain, changes: dict[str, Key], kind: Class, name: str) -> None:
    assert classified(drainable, drain(drainable, **changes)) == (kind, f"operation.{name}")


def test_who_is_drained_does_nothing_else_in_the_block(drainable: Chain) -> None:
    one, two = drain(drainable), drain(drainable, to=NEW)
    paying = order(drainable, ONE, gift(1, TWO.pkh))
    made = constructed(
        drainable, drainable.head, protocol_data(drainable.head), 0, ((), (), (one, two), (paying,))
    )
    assert [list(one.applied) for one in made.passes] == [[], [], [one], []]
    refused = {operation.hash: error.trace[-1] for each in made.passes for operation, error in each.refused}
    assert str(refused[two.hash]["id"]).endswith("validate.operation.conflicting_drain")
    assert refused[two.hash]["delegate"] == ONE.pkh
    assert str(refused[paying.hash]["id"]).endswith("validate.operation.manager_restriction")


# Delays


def test_results_of_delay_functions_come_too_early_or_are_wrong() -> None:
    chain = activated()
    solution = VdfRevelation((bytes(100), bytes(100)))
    early = (Class.BRANCH_DELAYED, "vdf.too_early_revelation")
    # The first four blocks of a cycle reveal nonces.
    while chain.head.level < 4:
        assert classified(chain, alone(chain, solution)) == early
        bake(chain)
    wrong = (Class.BRANCH_REFUSED, "vdf.unverified_result")
    assert classified(chain, alone(chain, solution)) == wrong


async def test_a_signature_of_zeros_is_none() -> None:
    async with standing(chain=activated(commitments=[[BLINDED, "7"]])) as stand:
        chain = stand.node.chain
        activation = alone(chain, ActivateAccount(OWNER.pkh, SECRET))
        unsigned = {"branch": activation.branch, "contents": activation.to_json()["contents"]}
        path = "/chains/main/blocks/head/helpers"
        raw = {"branch": activation.branch, "data": activation.to_bytes()[32:].hex()}
        assert await stand.post(f"{path}/parse/operations", {"operations": [raw]}) == [unsigned]
        asked = {"protocol": chain.head.state.protocol, **unsigned}
        for body in (asked, {**asked, "signature": encode(Kind.SIGNATURE, NULL_SIGNATURE)}):
            (answer,) = await stand.post(f"{path}/preapply/operations", [body])
            assert set(answer) == {"contents"}
        managed = order(chain, ONE, gift(1, TWO.pkh), signature=NULL_SIGNATURE)
        for body in (managed.to_json(), {**managed.to_json(), "signature": None}):
            body = {name: one for name, one in body.items() if one is not None}
            refused = await stand.send("POST", f"{path}/preapply/operations", [{**asked, **body}])
            assert refused.status == 500
            assert refused.json()[0]["id"].endswith("operation.missing_signature")
