"""Activation, parameters and rights."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accuser import Protocol
from accuser._mavryk.codec import bson
from accuser._mavryk.codec.forge import (
    fitness,
)
from accuser.sandbox.chain import block_rules
from accuser.sandbox.chain.activation import Activation
from accuser.sandbox.chain.chain import Chain
from accuser.sandbox.chain.parameters import Parameters, ParametersError
from accuser.sandbox.chain.trace import NodeError
from tests.support.chains import (
    B1,
    refused,
)
from tests.support.forger import (
    activated,
    activation,
    bake,
    parameters,
)

# Activation


@pytest.mark.parametrize("protocol", list(Protocol))
def test_activation_changes_the_protocol_of_the_next_block(protocol: Protocol) -> None:
    chain = activated(protocol)
    first = chain.head
    assert (first.level, first.header.shell.proto, first.header.shell.validation_pass) == (1, 1, 0)
    assert first.protocol == chain.genesis.protocol
    assert first.state.protocol == protocol.hash
    second = bake(chain)
    assert (second.protocol, second.state.protocol) == (protocol.hash, protocol.hash)
    assert (second.header.shell.proto, second.header.shell.validation_pass) == (1, 4)


def test_activation_needs_the_activators_signature() -> None:
    chain = Chain()
    trace = refused(chain, activation(chain, key=B1), ())
    assert [error["id"] for error in trace] == ["validator.invalid_block", "proto.genesis.invalid_signature"]


def test_activation_of_an_unknown_protocol() -> None:
    chain = Chain()
    command = Activation(chain.network.genesis_protocol, fitness(0, None, 0, 0), b"")
    with pytest.raises(NodeError) as caught:
        block_rules.activated(chain.network, command, 1, chain.genesis.hash)
    assert caught.value.trace[0]["id"] == "validator.unavailable_protocol"


def test_activation_data_round_trip() -> None:
    command = Activation.from_bytes(activation(Chain()).protocol_data)
    assert Activation.from_json(command.to_json()) == command
    assert (
        Activation.from_json({**command.to_json()["content"], "protocol": "P"}).protocol == command.protocol
    )
    assert command.parameters_json()["bootstrap_accounts"][0] == [B1.public_key, "4000000000000"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda t: "\0" not in t), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text().filter(lambda t: "\0" not in t), json_values))
def test_bson_round_trip(value: dict[str, object]) -> None:
    assert bson.decode(bson.encode(value)) == value


@given(st.binary(max_size=40), st.integers(0, 200))
def test_bson_never_fails_otherwise(noise: bytes, cut: int) -> None:
    good = bson.encode(parameters(blocks_per_cycle=8))
    for data in (noise, good[:cut] + noise, good[: len(good) - 1]):
        with contextlib.suppress(bson.BsonError):
            bson.decode(data)


# Parameters and rights


@pytest.mark.parametrize(
    "change",
    [
        {"blocks_per_cycle": 0},
        {"minimal_block_delay": "x"},
        {"consensus_committee_size": True},
        {"bootstrap_accounts": []},
        {"bootstrap_accounts": [[B1.public_key]]},
        {"bootstrap_accounts": None},
    ],
)
def test_parameters_that_cannot_be(change: dict[str, object]) -> None:
    with pytest.raises(ParametersError, match=next(iter(change))):
        Parameters.from_json({**parameters(), **change})


def test_bootstrap1_bakes_round_0_of_level_3() -> None:
    calendar = activated().head.state.calendar
    assert calendar is not None
    baker = calendar.baker(3, 0)
    assert baker is not None
    assert baker.pkh == B1.pkh
    assert len({owner.pkh for level in range(2, 12) if (owner := calendar.baker(level, 0))}) > 2
    assert sorted(slot for own in calendar.slots(7).values() for slot in own) == list(range(256))


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 60), st.integers(0, 30))
def test_rounds_and_times_agree(delay: int, increment: int, round: int, before: int) -> None:
    constants = Parameters.from_json(
        parameters(minimal_block_delay=str(delay), delay_increment_per_round=str(increment))
    )
    start = constants.timestamp(1000, before, round)
    end = constants.timestamp(1000, before, round + 1)
    assert end - start == constants.round_duration(round)
    assert constants.round_at(1000, before, start) == round
    assert constants.round_at(1000, before, end - 1) == round
    assert constants.round_at(1000, before, constants.timestamp(1000, before, 0) - 1) is None


def test_level_info_is_that_of_the_recorded_level_9() -> None:
    state = activated().head.state
    calendar = state.calendar
    assert calendar is not None
    assert calendar.level_info(9) == {
        "level": 9,
        "level_position": 8,
        "cycle": 1,
        "cycle_position": 0,
        "expected_commitment": False,
    }
    assert state.amendment.info(9, calendar) == {
        "voting_period": {"index": 0, "kind": "proposal", "start_position": 0},
        "position": 8,
        "remaining": 55,
    }
    assert calendar.level_info(4)["expected_commitment"] is True
