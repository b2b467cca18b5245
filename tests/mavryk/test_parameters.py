"""The parameters of the protocols: complete, in upstream's spelling, and changed by path."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accuser import SANDBOX, Protocol, init_with_protocol, open_client, open_node
from accuser._mavryk.accounts import BOOTSTRAP
from accuser._mavryk.parameters import parameters, write_parameter_file

JsonKind = type[int] | type[str] | type[bool]

# Every field of `src/proto_*/lib_protocol/constants_parametric_repr.ml` that must be there, by how its
# encoding is written in JSON: up to 32 bits as numbers, int64, n, z and periods as texts.

IN_ALL: dict[JsonKind, str] = {
    int: """
        blocks_per_cycle blocks_per_commitment nonce_revelation_threshold cycles_per_voting_period
        origination_size issuance_weights.baking_reward_fixed_portion_weight
        issuance_weights.baking_reward_bonus_weight issuance_weights.attesting_reward_weight
        issuance_weights.seed_nonce_revelation_tip_weight issuance_weights.vdf_revelation_tip_weight
        quorum_min quorum_max min_proposal_quorum liquidity_baking_toggle_ema_threshold
        max_operations_time_to_live consensus_committee_size consensus_threshold
        minimal_participation_ratio.numerator minimal_participation_ratio.denominator
        limit_of_delegation_over_baking percentage_of_frozen_deposits_slashed_per_double_baking
        percentage_of_frozen_deposits_slashed_per_double_attestation cache_script_size
        cache_stake_distribution_cycles cache_sampler_state_cycles dal_parametric.number_of_slots
        dal_parametric.attestation_lag dal_parametric.attestation_threshold
        dal_parametric.redundancy_factor dal_parametric.page_size dal_parametric.slot_size
        dal_parametric.number_of_shards smart_rollup_origination_size
        smart_rollup_challenge_window_in_blocks smart_rollup_commitment_period_in_blocks
        smart_rollup_max_lookahead_in_blocks smart_rollup_max_active_outbox_levels
        smart_rollup_max_outbox_messages_per_level smart_rollup_number_of_sections_in_dissection
        smart_rollup_timeout_period_in_blocks smart_rollup_max_number_of_cemented_commitments
        smart_rollup_max_number_of_parallel_games smart_rollup_reveal_activation_level.raw_data.Blake2B
        smart_rollup_reveal_activation_level.metadata smart_rollup_reveal_activation_level.dal_page
        smart_rollup_reveal_activation_level.dal_parameters zk_rollup_origination_size
        zk_rollup_min_pending_to_process zk_rollup_max_ticket_payload_size
        global_limit_of_staking_over_baking edge_of_staking_over_delegation
        adaptive_issuance_launch_ema_threshold
    """,
    str: """
        hard_gas_limit_per_operation hard_gas_limit_per_block proof_of_work_threshold minimal_stake
        minimal_frozen_stake vdf_difficulty issuance_weights.base_total_issued_per_minute cost_per_byte
        hard_storage_limit_per_operation minimal_block_delay delay_increment_per_round
        smart_rollup_stake_amount adaptive_rewards_params.max_bonus
        adaptive_rewards_params.growth_rate.numerator adaptive_rewards_params.growth_rate.denominator
        adaptive_rewards_params.center_dz.numerator adaptive_rewards_params.center_dz.denominator
        adaptive_rewards_params.radius_dz.numerator adaptive_rewards_params.radius_dz.denominator
    """,
    bool: """
        dal_parametric.feature_enable smart_rollup_arith_pvm_enable smart_rollup_private_enable
        smart_rollup_riscv_pvm_enable zk_rollup_enable adaptive_issuance_activation_vote_enable
        autostaking_enable
    """,
}

ATLAS_ONLY: dict[JsonKind, str] = {
    int: """
        preserved_cycles blocks_per_stake_snapshot issuance_weights.liquidity_baking_subsidy_weight
        dal_parametric.blocks_per_epoch
    """,
    str: """
        adaptive_rewards_params.issuance_ratio_min.numerator
        adaptive_rewards_params.issuance_ratio_min.denominator
        adaptive_rewards_params.issuance_ratio_max.numerator
        adaptive_rewards_params.issuance_ratio_max.denominator
    """,
}

SINCE_BOREAS: dict[JsonKind, str] = {
    int: """
        consensus_rights_delay blocks_preservation_cycles delegate_parameters_activation_delay
        max_slashing_per_block max_slashing_threshold
        smart_rollup_reveal_activation_level.dal_attested_slots_validity_lag
        adaptive_rewards_params.initial_period adaptive_rewards_params.transition_period
    """,
    str: """
        liquidity_baking_subsidy adaptive_rewards_params.issuance_ratio_final_min.numerator
        adaptive_rewards_params.issuance_ratio_final_min.denominator
        adaptive_rewards_params.issuance_ratio_final_max.numerator
        adaptive_rewards_params.issuance_ratio_final_max.denominator
        adaptive_rewards_params.issuance_ratio_initial_min.numerator
        adaptive_rewards_params.issuance_ratio_initial_min.denominator
        adaptive_rewards_params.issuance_ratio_initial_max.numerator
        adaptive_rewards_params.issuance_ratio_initial_max.denominator
    """,
    bool: """
        dal_parametric.incentives_enable adaptive_issuance_force_activation ns_enable
        direct_ticket_spending_enable
    """,
}

SANDBOX_VALUES = {
    "consensus_committee_size": 256,
    "consensus_threshold": 0,
    "minimal_block_delay": "1",
    "delay_increment_per_round": "1",
    "blocks_per_cycle": 8,
    "blocks_per_commitment": 4,
    "nonce_revelation_threshold": 4,
    "cycles_per_voting_period": 8,
    "proof_of_work_threshold": "4611686018427387903",
    "limit_of_delegation_over_baking": 19,
    "vdf_difficulty": "50000",
    "minimal_stake": "6000000000",
    "minimal_participation_ratio": {"numerator": 2, "denominator": 3},
}

BOREAS_VALUES = SANDBOX_VALUES | {
    "consensus_rights_delay": 2,
    "blocks_preservation_cycles": 1,
    "delegate_parameters_activation_delay": 2,
    "max_operations_time_to_live": 8,
    "percentage_of_frozen_deposits_slashed_per_double_baking": 500,
    "percentage_of_frozen_deposits_slashed_per_double_attestation": 5000,
    "max_slashing_per_block": 10000,
    "max_slashing_threshold": 86,
    "hard_gas_limit_per_block": "1733333",
    "dal_parametric": {
        "feature_enable": True,
        "incentives_enable": False,
        "number_of_slots": 16,
        "attestation_lag": 8,
        "attestation_threshold": 66,
        "redundancy_factor": 8,
        "page_size": 3967,
        "slot_size": 126944,
        "number_of_shards": 256,
    },
}

VALUES: dict[Protocol, dict[str, Any]] = {
    Protocol.ATLAS: SANDBOX_VALUES
    | {
        "preserved_cycles": 2,
        "blocks_per_stake_snapshot": 4,
        # The sandbox constants of Atlas keep this one of the main network.
        "max_operations_time_to_live": 240,
        "percentage_of_frozen_deposits_slashed_per_double_baking": 5,
        "percentage_of_frozen_deposits_slashed_per_double_attestation": 50,
        "hard_gas_limit_per_block": "2600000",
        "dal_parametric": {
            "feature_enable": False,
            "number_of_slots": 16,
            "attestation_lag": 4,
            "attestation_threshold": 50,
            "blocks_per_epoch": 1,
            "redundancy_factor": 16,
            "page_size": 4096,
            "slot_size": 65536,
            "number_of_shards": 2048,
        },
    },
    Protocol.BOREAS: BOREAS_VALUES,
    # Derived from a committee of 301, whatever the committee's size is.
    Protocol.ALPHA: BOREAS_VALUES | {"max_slashing_threshold": 101},
}


def fields_of(protocol: Protocol) -> dict[str, JsonKind]:
    own = ATLAS_ONLY if protocol is Protocol.ATLAS else SINCE_BOREAS
    return {path: kind for group in (IN_ALL, own) for kind, paths in group.items() for path in paths.split()}


def leaves(holder: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in holder.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


@pytest.mark.parametrize("protocol", Protocol)
def test_each_field_is_there_in_its_spelling_and_no_other(protocol: Protocol) -> None:
    constants = parameters(protocol)
    del constants["bootstrap_accounts"]
    assert {path: type(value) for path, value in leaves(constants)} == fields_of(protocol)
    for path, value in leaves(constants):
        if isinstance(value, str):
            assert str(int(value)) == value, path


@pytest.mark.parametrize("protocol", Protocol)
def test_values_of_the_sandbox_network(protocol: Protocol) -> None:
    constants = parameters(protocol)
    assert {name: constants[name] for name in VALUES[protocol]} == VALUES[protocol]


def test_alpha_differs_from_boreas_in_the_slashing_threshold_alone() -> None:
    boreas, alpha = (dict(leaves(parameters(p))) for p in (Protocol.BOREAS, Protocol.ALPHA))
    assert {path for path in boreas if boreas[path] != alpha[path]} == {"max_slashing_threshold"}


@pytest.mark.parametrize("protocol", Protocol)
def test_the_protocol_would_accept_them(protocol: Protocol) -> None:
    # The checks of `src/proto_*/lib_protocol/constants_repr.ml`, which an activation goes through.
    constants = parameters(protocol)
    assert 0 < constants["nonce_revelation_threshold"] < constants["blocks_per_cycle"]
    assert 0 <= constants["consensus_threshold"] <= constants["consensus_committee_size"]
    delays = int(constants["minimal_block_delay"]), int(constants["delay_increment_per_round"])
    assert min(delays) > 0
    assert int(constants["vdf_difficulty"]) > 5 * constants["nonce_revelation_threshold"] * delays[0]
    lookahead = constants["smart_rollup_max_lookahead_in_blocks"]
    assert lookahead > constants["smart_rollup_commitment_period_in_blocks"] > 0
    assert lookahead > constants["smart_rollup_challenge_window_in_blocks"] >= 0
    assert 0 < constants["dal_parametric"]["number_of_slots"] <= 256
    assert constants["dal_parametric"]["attestation_lag"] > 1


@pytest.mark.parametrize("protocol", Protocol)
def test_the_bootstrap_accounts_have_four_million(protocol: Protocol) -> None:
    accounts = parameters(protocol)["bootstrap_accounts"]
    assert accounts == [[account.public_key, "4000000000000"] for account in BOOTSTRAP]
    assert len(accounts) == 5
    assert accounts[0][0] == "edpkuBknW28nW72KG6RoHtYW7p12T6GKc7nAbwYX5m8Wd9sDVC9yav"


def test_bootstrap_accounts_can_be_others() -> None:
    mine = [[BOOTSTRAP[2].public_key, "7000000000"]]
    changed = parameters(Protocol.BOREAS, {"bootstrap_accounts": mine})
    assert changed["bootstrap_accounts"] == mine
    changed["bootstrap_accounts"][0].append("of the result")
    assert mine == [[BOOTSTRAP[2].public_key, "7000000000"]]


def test_an_override_changes_one_value() -> None:
    before = dict(leaves(parameters(Protocol.BOREAS)))
    overrides = {
        "consensus_threshold": 6,
        "dal_parametric.feature_enable": False,
        "smart_rollup_reveal_activation_level.raw_data.Blake2B": 3,
    }
    after = dict(leaves(parameters(Protocol.BOREAS, overrides)))
    assert {path: value for path, value in after.items() if value != before[path]} == overrides
    assert dict(leaves(parameters(Protocol.BOREAS))) == before


def test_an_override_replaces_a_whole_object() -> None:
    ratio = {"numerator": 1, "denominator": 2}
    result = parameters(Protocol.ALPHA, {"minimal_participation_ratio": ratio})
    assert result["minimal_participation_ratio"] == ratio


@pytest.mark.parametrize(("value", "written"), [(15, "15"), ("15", "15"), (2**62, str(2**62))])
def test_a_number_becomes_a_text_where_the_protocol_wants_one(value: object, written: str) -> None:
    assert parameters(Protocol.ATLAS, {"minimal_block_delay": value})["minimal_block_delay"] == written


def test_a_truth_value_stays_one() -> None:
    assert parameters(Protocol.ATLAS, {"minimal_block_delay": True})["minimal_block_delay"] is True


def test_overrides_apply_in_their_order() -> None:
    ratio = {"numerator": 1, "denominator": 4}
    overrides = {"minimal_participation_ratio": ratio, "minimal_participation_ratio.denominator": 5}
    result = parameters(Protocol.BOREAS, overrides)["minimal_participation_ratio"]
    assert result == {"numerator": 1, "denominator": 5}
    assert ratio == {"numerator": 1, "denominator": 4}


def test_none_takes_a_field_away() -> None:
    assert "ns_enable" not in parameters(Protocol.BOREAS, {"ns_enable": None})
    assert "commitments" not in parameters(Protocol.BOREAS, {"commitments": None})


@pytest.mark.parametrize(
    "name",
    [
        "bootstrap_contracts",
        "bootstrap_smart_rollups",
        "commitments",
        "security_deposit_ramp_up_cycles",
        "no_reward_cycles",
        "testnet_dictator",
        "initial_seed",
    ],
)
def test_a_field_that_is_optional_can_be_added(name: str) -> None:
    assert name not in parameters(Protocol.ATLAS)
    assert parameters(Protocol.ATLAS, {name: ["x"]})[name] == ["x"]


@pytest.mark.parametrize(
    ("protocol", "path", "near"),
    [
        (Protocol.BOREAS, "blocks_per_cycel", "blocks_per_cycle"),
        (Protocol.BOREAS, "feature_enable", "dal_parametric.feature_enable"),
        (Protocol.BOREAS, "dal_parametric.feature_enabled", "dal_parametric.feature_enable"),
        (Protocol.BOREAS, "testnet_dictater", "testnet_dictator"),
        (Protocol.BOREAS, "blocks_per_cycle.number", "blocks_per_cycle"),
        (Protocol.ATLAS, "blocks_preservation_cycles", "preserved_cycles"),
    ],
)
def test_a_wrong_path_is_told_with_the_names_near_it(protocol: Protocol, path: str, near: str) -> None:
    with pytest.raises(ValueError, match="no parameter") as raised:
        parameters(protocol, {path: 1})
    told, _, names = str(raised.value).partition("; near it are ")
    assert told == f"no parameter {path!r} in those of {protocol.long_name}"
    assert near in names.split(", ")


@pytest.mark.parametrize(
    "path", ["", ".", "blocks_per_cycle.", "qqqqqqqq", "bootstrap_accounts.0", "dal_parametric.commitments"]
)
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="no parameter"):
        parameters(Protocol.BOREAS, {path: 1})


@pytest.mark.parametrize("protocol", Protocol)
def test_the_file_has_what_was_asked_for(protocol: Protocol, tmp_path: Path) -> None:
    path = tmp_path / "parameters.json"
    overrides = {"blocks_per_cycle": 16, "delay_increment_per_round": 2}
    assert write_parameter_file(protocol, path, overrides) == path
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written == parameters(protocol) | {"blocks_per_cycle": 16, "delay_increment_per_round": "2"}


@pytest.mark.parametrize(
    ("overrides", "error"), [({"no_such": 1}, ValueError), ({"commitments": {1}}, TypeError)]
)
def test_nothing_is_written_when_an_override_is_wrong(
    overrides: dict[str, object], error: type[Exception], tmp_path: Path
) -> None:
    path = tmp_path / "parameters.json"
    with pytest.raises(error):
        write_parameter_file(Protocol.BOREAS, path, overrides)
    assert not path.exists()


async def test_an_activation_takes_overrides(tmp_path: Path) -> None:
    async with open_node(toolchain=SANDBOX, arguments=("--synchronisation-threshold 0",)) as node:
        async with open_client(node) as client:
            with pytest.raises(
                ValueError, match=r"no parameter 'blocks_per_cycl' .*; near it are blocks_per_cycle"
            ):
                await client.activate_protocol(Protocol.BOREAS, parameters={"blocks_per_cycl": 4})
            with pytest.raises(ValueError, match="exclude a parameter_file"):
                await client.activate_protocol(Protocol.BOREAS, parameters={}, parameter_file=tmp_path)
        client = await init_with_protocol(node, Protocol.ALPHA, parameters={"blocks_per_cycle": 4})
        constants = await node.rpc("get", "/chains/main/blocks/head/context/constants")
        assert constants["blocks_per_cycle"] == 4
        client.remove()


def test_importing_the_package_does_not_load_the_reader_of_resources() -> None:
    program = "import sys; import trio; before = set(sys.modules); import accuser._mavryk.parameters; "
    program += "assert not {'importlib.resources'} & (set(sys.modules) - before)"
    subprocess.run([sys.executable, "-c", program], check=True)
