"""Manager operations on the sandbox's chain: what is valid, what becomes of it, and what is told."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from accuser import Protocol
from accuser._explore.money import issued
from accuser._mavryk.codec.anonymous import ActivateAccount, FailingNoop
from accuser._mavryk.codec.crypto import BOOTSTRAP, Key
from accuser._mavryk.codec.manager import (
    Call,
    Delegation,
    Reveal,
    SetDepositsLimit,
    Transaction,
    UpdateConsensusKey,
)
from accuser._mavryk.codec.micheline import to_bytes
from accuser._mavryk.codec.operations import Operation
from accuser._mavryk.codec.scripts import Origination
from accuser.sandbox.chain.block import Block
from accuser.sandbox.chain.chain import Chain, HeadChange
from accuser.sandbox.chain.ledger import Account
from accuser.sandbox.chain.mempool import Class, Mempool
from accuser.sandbox.chain.trace import NodeError
from tests.support.forger import (
    NULL_SIGNATURE,
    activated,
    constructed,
    protocol_data,
)
from tests.support.orders import errors, gift, include, key, order, results, stake, statuses

ONE, TWO, THREE = BOOTSTRAP[:3]
NEW = key(11)
CURVES = pytest.mark.parametrize("curve", [0, 1, 2], ids=["ed25519", "secp256k1", "p256"])
MAV = 1_000_000


def account(block: Block, owner: Key) -> Account:
    return block.state.ledger.accounts[owner.pkh]


def identifiers(error: NodeError | None) -> list[str]:
    assert error is not None
    return [str(one["id"]).removeprefix("proto.002-PtBoreas.") for one in error.trace]


def refused(chain: Chain, *operations: Operation) -> list[str]:
    """What a block says of the last one of these, the others being valid."""
    judged = constructed(chain, chain.head, protocol_data(chain.head), 0, ((), (), (), operations)).passes[3]
    assert judged.applied == operations[:-1]
    ((operation, error),) = judged.refused
    assert operation is operations[-1]
    return identifiers(error)


def classified(chain: Chain, operation: Operation) -> tuple[Class, list[str]]:
    entry = Mempool(chain).classify(operation)
    return entry.kind, [] if entry.error is None else identifiers(entry.error)


# Gifts


def test_a_gift_and_its_receipt() -> None:
    chain = activated()
    operation = order(chain, ONE, gift(5, TWO.pkh), fee=1000)
    block = include(chain, operation)
    origin = {"origin": "block"}
    (metadata,) = block.results[operation.hash]
    assert metadata["balance_updates"] == [
        {"kind": "contract", "contract": ONE.pkh, "change": "-1000", **origin},
        {"kind": "accumulator", "category": "block fees", "change": "1000", **origin},
    ]
    assert metadata["operation_result"] == {
        "status": "applied",
        "balance_updates": [
            {"kind": "contract", "contract": ONE.pkh, "change": "-5", **origin},
            {"kind": "contract", "contract": TWO.pkh, "change": "5", **origin},
        ],
        # 85 bytes are signed: 100000 + 65800 + 85 + 10 + 32 * 85 and 40 for `Unit`.
        "consumed_milligas": "168655",
    }
    assert account(block, ONE).counter == 1
    assert block.state.ledger.counter == 1


@pytest.mark.parametrize(
    ("body", "gas"), [(SetDepositsLimit(1), 167_986), (UpdateConsensusKey(NEW.public_key), 168_880)]
)
def test_gas_as_upstream_has_recorded_it(body: Any, gas: int) -> None:
    chain = activated()
    size = {167_986: 66, 168_880: 93}[gas]
    # The size depends on the numbers.
    operation = order(chain, ONE, body, fee=1000 if size == 93 else 300, gas_limit=10_600, storage_limit=0)
    consumed = int(results(include(chain, operation), operation)[0]["consumed_milligas"])
    real = len(operation.unsigned_bytes())
    assert consumed == 165_800 + real + real // 8 + 32 * real
    assert 165_800 + size + size // 8 + 32 * size == gas


def test_a_new_account_costs_its_giver() -> None:
    chain = activated()
    include(chain, order(chain, TWO, gift(1, ONE.pkh)))
    operation = order(chain, ONE, gift(5, NEW.pkh))
    block = include(chain, operation)
    (result,) = results(block, operation)
    burned = [one for one in result["balance_updates"] if one["kind"] == "burned"]
    assert [(one["category"], one["change"]) for one in burned] == [("storage fees", "64250")]
    assert result["allocated_destination_contract"] is True
    # It begins to count where everybody has come to.
    assert (account(block, NEW).spendable, account(block, NEW).counter) == (5, 2)
    assert issued(block) == -64_250
    again = include(chain, operation := order(chain, ONE, gift(5, NEW.pkh)))
    assert "allocated_destination_contract" not in results(again, operation)[0]


def test_fees_are_divided() -> None:
    chain = activated()
    operation = order(chain, ONE, gift(5, TWO.pkh), fee=1003)
    block = include(chain, operation)
    assert block.baker is not None
    changes = [(one.get("contract", "fees"), one["change"]) for one in block.updates]
    assert changes == [
        ("fees", "-250"),
        ("KT1RfKYjLYpGBQ1YGSKoSoYEYwpJPFZrvmwH", "250"),
        ("fees", "-250"),
        (block.baker.pkh, "250"),
        ("fees", "-503"),
        ("mv2burnburnburnburnburnburnbur7hzNeg", "503"),
    ]
    assert issued(block) == 0


def test_an_emptied_account_is_forgotten() -> None:
    chain = activated()
    include(chain, order(chain, ONE, gift(MAV, NEW.pkh)))
    bodies = (Reveal(NEW.public_key), gift(MAV - 2000, TWO.pkh))
    operation = order(chain, NEW, *bodies, fee=1000)
    block = include(chain, operation)
    assert statuses(block, operation) == ["applied", "applied"]
    assert NEW.pkh not in block.state.ledger.accounts
    assert refused(chain, order(chain, NEW, gift(1, TWO.pkh), counter=5))[-1] == (
        "implicit.empty_implicit_contract"
    )


@CURVES
def test_keys_of_every_curve_pay_and_sign(curve: int) -> None:
    chain, owner = activated(), key(5, curve)
    include(chain, order(chain, ONE, gift(MAV, owner.pkh)))
    unrevealed = order(chain, owner, gift(1, TWO.pkh))
    assert classified(chain, unrevealed) == (Class.BRANCH_REFUSED, ["contract.unrevealed_key"])
    operation = order(chain, owner, Reveal(owner.public_key), gift(1, TWO.pkh))
    assert classified(chain, operation) == (Class.VALIDATED, [])
    assert statuses(include(chain, operation), operation) == ["applied", "applied"]
    assert account(chain.head, owner).public_key == owner.public_key
    wrong = order(chain, owner, gift(1, TWO.pkh), signature=NULL_SIGNATURE)
    assert classified(chain, wrong) == (Class.REFUSED, ["operation.missing_signature"])


# What fails in its block


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (gift(0, TWO.pkh), ["contract.empty_transaction"]),
        (gift(10**13, TWO.pkh), ["contract.balance_too_low"]),
        (gift(1, "KT1PWx2mnDueood7fEmfbBDKx1D9BAnnXitn"), ["contract.non_existing_contract"]),
        (Transaction(1, TWO.pkh, Call("mint")), ["michelson_v1.no_such_entrypoint"]),
        (
            Transaction(1, TWO.pkh, Call("default", to_bytes({"int": "1"}))),
            ["michelson_v1.bad_contract_parameter"],
        ),
        (Reveal(ONE.public_key), ["contract.previously_revealed_key"]),
        (Delegation(ONE.pkh), ["delegate.already_active"]),
        (Delegation(TWO.pkh), ["delegate.no_deletion"]),
        (Delegation(None), ["delegate.no_deletion"]),
        (UpdateConsensusKey(ONE.public_key), ["delegate.consensus_key.invalid_noop"]),
        (UpdateConsensusKey(TWO.public_key), ["delegate.consensus_key.active"]),
        (stake(ONE, 1), ["operation.manual_staking_forbidden"]),
        (stake(ONE, 1, "unstake"), ["operation.manual_staking_forbidden"]),
        (stake(ONE, 1, "finalize_unstake"), ["operations.invalid_nonzero_transaction_amount"]),
        (stake(TWO, 0, "finalize_unstake"), ["operations.invalid_self_transaction_destination"]),
    ],
)
def test_what_fails_pays_all_the_same(body: Any, expected: list[str]) -> None:
    chain = activated()
    operation = order(chain, ONE, body, fee=1000)
    before = account(chain.head, ONE).spendable
    block = include(chain, operation)
    assert statuses(block, operation) == ["failed"]
    assert errors(block, operation) == expected
    assert "consumed_milligas" not in results(block, operation)[0]
    paid = 1000 - (250 if block.baker is not None and block.baker.pkh == ONE.pkh else 0)
    assert account(block, ONE).spendable == before - paid
    assert account(block, ONE).counter == 1


def test_what_comes_of_a_batch_of_which_one_fails() -> None:
    chain = activated()
    bodies = (gift(5, TWO.pkh), gift(10**13, TWO.pkh), gift(6, TWO.pkh))
    operation = order(chain, ONE, *bodies, fee=1000)
    block = include(chain, operation)
    assert statuses(block, operation) == ["backtracked", "failed", "skipped"]
    assert "balance_updates" in results(block, operation)[0]
    fees = [one["balance_updates"][0]["change"] for one in block.results[operation.hash]]
    assert fees == ["-1000"] * 3
    assert account(block, ONE).counter == 3
    assert account(block, TWO).total in range(4 * 10**12, 4 * 10**12 + 3000)


def test_storage_and_gas_that_are_not_enough() -> None:
    chain = activated()
    operation = order(chain, ONE, gift(5, NEW.pkh), storage_limit=256)
    assert errors(include(chain, operation), operation) == ["storage_exhausted.operation"]
    assert refused(chain, order(chain, ONE, gift(5, NEW.pkh), gas_limit=167)) == [
        "validate.operation.insufficient_gas_for_manager",
        "gas_exhausted.operation",
    ]
    owner = key(12)
    include(chain, order(chain, ONE, gift(MAV, owner.pkh)))
    operation = order(chain, owner, Reveal(owner.public_key), gift(MAV - 4000, NEW.pkh), fee=1000)
    assert errors(include(chain, operation), operation) == [
        "contract.cannot_pay_storage_fee",
        "contract.balance_too_low",
    ]


# What is not valid


def test_the_order_of_a_batch() -> None:
    chain = activated()
    include(chain, order(chain, ONE, gift(MAV, NEW.pkh)))
    late = order(chain, NEW, gift(1, TWO.pkh), Reveal(NEW.public_key))
    assert classified(chain, late)[1] == ["validate.operation.incorrect_reveal_position"]
    good = order(chain, ONE, gift(1, TWO.pkh), gift(1, TWO.pkh))
    first, second = good.managed
    for changed, name in (
        (attrs.evolve(second, source=TWO.pkh), "inconsistent_sources"),
        (attrs.evolve(second, counter=second.counter + 1), "inconsistent_counters"),
    ):
        wrong = attrs.evolve(good, contents=(first, changed))
        assert classified(chain, wrong) == (Class.REFUSED, [f"validate.operation.{name}"])


@pytest.mark.parametrize(
    ("changes", "kind", "expected"),
    [
        ({"counter": 0}, Class.BRANCH_REFUSED, "contract.counter_in_the_past"),
        ({"counter": 2}, Class.BRANCH_DELAYED, "contract.counter_in_the_future"),
        ({"gas_limit": 1_040_001, "fee": MAV}, Class.REFUSED, "gas_limit_too_high"),
        ({"storage_limit": 60_001}, Class.REFUSED, "storage_limit_too_high"),
        ({"fee": 4 * 10**12}, Class.BRANCH_DELAYED, "contract.balance_too_low"),
        ({"fee": 100}, Class.REFUSED, "prefilter.fees_too_low"),
        ({"signature": bytes(range(64))}, Class.REFUSED, "operation.invalid_signature"),
    ],
)
def test_how_a_mempool_takes_what_is_wrong(changes: dict[str, Any], kind: Class, expected: str) -> None:
    chain = activated()
    assert classified(chain, order(chain, ONE, gift(1, TWO.pkh), **changes)) == (kind, [expected])


def test_the_error_about_a_counter_says_which() -> None:
    chain = activated()
    error = Mempool(chain).classify(order(chain, ONE, gift(1, TWO.pkh), counter=7)).error
    assert error is not None
    assert error.trace[0] == {
        "kind": "temporary",
        "id": "proto.002-PtBoreas.contract.counter_in_the_future",
        "contract": ONE.pkh,
        "expected": "1",
        "found": "7",
    }


def test_gas_of_a_block_is_limited() -> None:
    chain = activated()
    operations = [order(chain, owner, gift(1, TWO.pkh), gas_limit=1_000_000) for owner in (ONE, THREE)]
    assert refused(chain, *operations)[-1] == "gas_exhausted.block"
    many = order(chain, ONE, gift(1, TWO.pkh), gift(1, TWO.pkh), gas_limit=1_000_000, fee=MAV)
    assert classified(chain, many) == (Class.REFUSED, ["gas_limit_too_high", "gas_exhausted.block"])


def test_one_operation_of_a_manager_in_a_block() -> None:
    chain = activated()
    first, second = (order(chain, ONE, gift(amount, TWO.pkh)) for amount in (1, 2))
    assert refused(chain, first, second)[-1] == "validate.operation.manager_restriction"


def test_what_has_no_place_here_says_so() -> None:
    chain = activated()
    made = order(chain, ONE, Origination(0, None, to_bytes([]), to_bytes([])))
    entry = Mempool(chain).classify(made)
    assert "no contracts and no Michelson" in str(entry.error)
    called = order(chain, ONE, gift(1, "KT1RfKYjLYpGBQ1YGSKoSoYEYwpJPFZrvmwH"))
    assert "runs no scripts" in str(Mempool(chain).classify(called).error)
    noop = Operation(chain.head.hash, (FailingNoop(b"x"),), NULL_SIGNATURE)
    assert classified(chain, noop) == (Class.REFUSED, ["validate.operation.failing_noop_error"])
    claim = Operation(chain.head.hash, (ActivateAccount(ONE.pkh, bytes(20)),), NULL_SIGNATURE)
    assert classified(chain, claim) == (Class.REFUSED, ["validate.operation.invalid_activation"])


# The mempool


def test_a_dearer_operation_takes_the_place_of_another() -> None:
    chain = activated()
    mempool = Mempool(chain)
    first = order(chain, ONE, gift(1, TWO.pkh), fee=10_000)
    mempool.add(mempool.classify(first))
    cheap = mempool.classify(order(chain, ONE, gift(2, TWO.pkh), fee=10_499))
    assert (cheap.kind, identifiers(cheap.error)) == (
        Class.BRANCH_DELAYED,
        ["prevalidation.operation_conflict"],
    )
    assert cheap.error is not None
    assert cheap.error.trace[0]["needed_fee_in_mumav"] == "10500"
    dear = order(chain, ONE, gift(3, TWO.pkh), fee=10_500)
    entry = mempool.classify(dear)
    assert entry.kind is Class.VALIDATED
    mempool.add(entry)
    assert [one.operation for one in mempool.of(Class.VALIDATED)] == [dear]
    (old,) = mempool.of(Class.BRANCH_DELAYED)
    assert old.operation == first
    assert identifiers(old.error) == ["prevalidation.operation_replacement"]


def test_a_new_head_makes_counters_old() -> None:
    chain = activated()
    mempool = Mempool(chain)
    operation = order(chain, ONE, gift(1, TWO.pkh))
    later = order(chain, ONE, gift(1, TWO.pkh), counter=2)
    for one in (operation, later):
        mempool.add(mempool.classify(one))
    assert [one.operation for one in mempool.of(Class.BRANCH_DELAYED)] == [later]
    include(chain, operation)
    mempool.flush(HeadChange.INCREMENT, [])
    assert [one.operation for one in mempool.of(Class.VALIDATED)] == [later]


# Other protocols


@pytest.mark.parametrize("protocol", list(Protocol), ids=lambda one: one.tag)
def test_every_protocol_has_its_own_names(protocol: Protocol) -> None:
    chain = activated(protocol)
    block = include(chain, operation := order(chain, ONE, gift(0, TWO.pkh)))
    (result,) = results(block, operation)
    assert result["errors"] == [
        {
            "kind": "branch",
            "id": f"proto.{protocol.long_name}.contract.empty_transaction",
            "contract": TWO.pkh,
        }
    ]
