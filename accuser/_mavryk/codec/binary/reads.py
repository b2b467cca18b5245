"""What can be read of the context, votes, rights, network and node."""

from __future__ import annotations

from typing import Final

from .blocks import LEVEL_INFO
from .operations import CLASSIFIED, UNPROCESSED, VALIDATED
from .records import Case, Default, Field, Optional, Record, Shapes, Union
from .schema import (
    AMOUNT,
    BIG,
    BOOL,
    INT16,
    INT31,
    INT32,
    LEVEL,
    LONG,
    TEXT,
    UINT8,
    UINT16,
    BinaryError,
    Enum,
    Hex,
    Nullable,
    Pair,
    Schema,
    Sized,
    Source,
    listed,
)
from .words import CONTRACT, KEY_HASH, OPERATION, PEER, PROTOCOL, PUBLIC_KEY, TIMESTAMP, Slots

_BALLOT: Final = Enum(("yay", "nay", "pass"))
_MIN_DELEGATED: Final = Record(Field("amount", AMOUNT), Optional("level", LEVEL_INFO))
_VOTING: Final = (
    Optional("voting_power", LONG),
    Optional("current_ballot", _BALLOT),
    Default("current_proposals", listed(PROTOCOL), []),
    Field("remaining_proposals", INT31),
)
_PENDING_KEY: Final = Record(Field("cycle", LEVEL), Field("pkh", KEY_HASH))
DELEGATE: Final = Record(
    Field("full_balance", AMOUNT),
    Field("current_frozen_deposits", AMOUNT),
    Field("frozen_deposits", AMOUNT),
    Field("staking_balance", AMOUNT),
    Optional("frozen_deposits_limit", AMOUNT),
    Field("delegated_contracts", listed(CONTRACT)),
    Field("delegated_balance", AMOUNT),
    Field("min_delegated_in_current_cycle", _MIN_DELEGATED),
    Field("deactivated", BOOL),
    Field("grace_period", LEVEL),
    Field("pending_denunciations", BOOL),
    Field("total_delegated_stake", AMOUNT),
    Field("staking_denominator", AMOUNT),
    *_VOTING,
    Field("active_consensus_key", KEY_HASH),
    Default("pending_consensus_keys", listed(_PENDING_KEY), []),
)
_KEY: Final = (Field("pkh", KEY_HASH), Field("pk", PUBLIC_KEY))
CONSENSUS_KEY: Final = Record(
    Field("active", Record(*_KEY)),
    Default("pendings", listed(Record(Field("cycle", LEVEL), *_KEY)), []),
)
_STAKING_PARAMETERS: Final = Record(
    Field("limit_of_staking_over_baking_millionth", INT32),
    Field("edge_of_baking_over_staking_billionth", INT32),
)
_MISBEHAVIOUR: Final = Record(
    Field("level", LEVEL),
    Field("round", LEVEL),
    Field("kind", Enum(("preattestation", "attestation", "block"))),
)
_DENUNCIATION: Final = (
    Field("operation_hash", OPERATION),
    Field("rewarded", KEY_HASH),
    Field("misbehaviour", _MISBEHAVIOUR),
)
DENUNCIATIONS: Final = listed(Record(Field("slashed_delegate", KEY_HASH), *_DENUNCIATION))
DELEGATE_PARTS: Final[dict[str, Schema]] = {
    "active_staking_parameters": _STAKING_PARAMETERS,
    "consensus_key": CONSENSUS_KEY,
    "current_baking_power": LONG,
    "current_frozen_deposits": AMOUNT,
    "current_voting_power": LONG,
    "deactivated": BOOL,
    "delegated_balance": AMOUNT,
    "delegated_contracts": listed(CONTRACT),
    "denunciations": listed(Record(*_DENUNCIATION)),
    "estimated_shared_pending_slashed_amount": AMOUNT,
    "frozen_deposits": AMOUNT,
    "frozen_deposits_limit": Nullable(AMOUNT),
    "full_balance": AMOUNT,
    "grace_period": LEVEL,
    "is_forbidden": BOOL,
    "min_delegated_in_current_cycle": _MIN_DELEGATED,
    "pending_staking_parameters": listed(
        Record(Field("cycle", LEVEL), Field("parameters", _STAKING_PARAMETERS))
    ),
    "staking_balance": AMOUNT,
    "staking_denominator": AMOUNT,
    "total_delegated_stake": AMOUNT,
    "unstaked_frozen_deposits": listed(Record(Field("cycle", LEVEL), Field("deposit", AMOUNT))),
    "voting_info": Record(*_VOTING),
    "voting_power": LONG,
}
BAKING_RIGHTS: Final = listed(
    Record(
        Field("level", LEVEL),
        Field("delegate", KEY_HASH),
        Field("round", LEVEL),
        Optional("estimated_time", TIMESTAMP),
        Field("consensus_key", KEY_HASH),
    )
)
VALIDATORS: Final = listed(
    Record(
        Field("level", LEVEL),
        Field("delegate", KEY_HASH),
        Field("slots", Sized(Slots())),
        Field("consensus_key", KEY_HASH),
    )
)
BALLOTS: Final = Record(Field("yay", LONG), Field("nay", LONG), Field("pass", LONG))
BALLOT_LIST: Final = listed(Record(Field("pkh", KEY_HASH), Field("ballot", _BALLOT)))
LISTINGS: Final = listed(Record(Field("pkh", KEY_HASH), Field("voting_power", LONG)))
PROPOSALS: Final = listed(Pair(PROTOCOL, LONG))
_LEFT: Final = listed(CLASSIFIED)
PENDING: Final = Record(
    Field("validated", listed(VALIDATED), "applied"),
    Field("refused", _LEFT),
    Field("outdated", _LEFT),
    Field("branch_refused", _LEFT),
    Field("branch_delayed", _LEFT),
    Field("unprocessed", listed(UNPROCESSED)),
)
IS_BOOTSTRAPPED: Final = Record(
    Field("bootstrapped", BOOL), Field("sync_state", Enum(("synced", "unsynced", "stuck")))
)
_VERSION: Final = Record(
    Field("chain_name", TEXT), Field("distributed_db_version", UINT16), Field("p2p_version", UINT16)
)


class _Additional(Schema):
    """``"dev"``, ``"release"``, or an object with the number of a candidate."""

    _WORDS: Final = {"dev": 0, "release": 2}
    _NUMBERED: Final = Shapes(
        {
            1: Record(Field("rc", INT31)),
            3: Record(Field("rc_dev", INT31)),
            4: Record(Field("beta", INT31)),
            5: Record(Field("beta_dev", INT31)),
        }
    )

    def write(self, value: object, out: bytearray) -> None:
        if isinstance(value, str) and value in self._WORDS:
            out.append(self._WORDS[value])
        else:
            self._NUMBERED.write(value, out)

    def read(self, source: Source) -> object:
        if source.position >= source.end:
            raise BinaryError("Not enough data")
        for word, tag in self._WORDS.items():
            if source.data[source.position] == tag:
                source.byte()
                return word
        return self._NUMBERED.read(source)


VERSION: Final = Record(
    Field(
        "version",
        Record(Field("major", INT31), Field("minor", INT31), Field("additional_info", _Additional())),
    ),
    Field("network_version", _VERSION),
    Field("commit_info", Nullable(Record(Field("commit_hash", TEXT), Field("commit_date", TEXT)))),
)
_SETTINGS: Final = Record(Field("disable_mempool", BOOL), Field("private_node", BOOL))
CONNECTION: Final = Record(
    Field("incoming", BOOL),
    Field("peer_id", PEER),
    Field("id_point", Record(Field("addr", TEXT), Optional("port", UINT16))),
    Field("remote_socket_port", UINT16),
    Field("announced_version", _VERSION),
    Field("private", BOOL),
    Field("local_metadata", _SETTINGS),
    Field("remote_metadata", _SETTINGS),
)
_SEEN: Final = Pair(PEER, TIMESTAMP)
_STATE: Final = Union(
    Case(0, "requested"),
    Case(1, "accepted", Field("p2p_peer_id", PEER)),
    Case(2, "running", Field("p2p_peer_id", PEER)),
    Case(3, "disconnected"),
    by="event_kind",
)
POINT: Final = Record(
    Field("trusted", BOOL),
    Optional("greylisted_until", TIMESTAMP),
    Field("state", _STATE),
    Optional("p2p_peer_id", PEER),
    Optional("last_failed_connection", TIMESTAMP),
    Optional("last_rejected_connection", _SEEN),
    Optional("last_established_connection", _SEEN),
    Optional("last_disconnection", _SEEN),
    Optional("last_seen", _SEEN),
    Optional("last_miss", TIMESTAMP),
    Optional("expected_peer_id", PEER),
)
POINTS: Final = listed(Pair(TEXT, POINT))
CONNECTIONS: Final = listed(CONNECTION)

_RATIO: Final = Record(Field("numerator", BIG), Field("denominator", BIG))
_OF: Final[dict[str, Schema]] = {
    "uint8": UINT8,
    "uint16": UINT16,
    "int16": INT16,
    "int31": INT31,
    "int32": INT32,
    "int64": LONG,
    "n": AMOUNT,
    "z": BIG,
    "bool": BOOL,
}


def _fields(kind: str, names: str) -> tuple[Field, ...]:
    return tuple(Field(name, _OF[kind]) for name in names.split())


CONSTANTS: Final = Record(
    *_fields("uint8", "proof_of_work_nonce_size nonce_length max_anon_ops_per_block"),
    *_fields("int31", "max_operation_data_length"),
    *_fields("uint8", "max_proposals_per_delegate"),
    *_fields("int31", "max_micheline_node_count max_micheline_bytes_limit"),
    *_fields("int31", "max_allowed_global_constants_depth"),
    *_fields("uint8", "cache_layout_size"),
    *_fields("uint16", "michelson_maximum_type_size"),
    *_fields("uint8", "max_slashing_period"),
    *_fields("int31", "smart_rollup_max_wrapped_proof_binary_size smart_rollup_message_size_limit"),
    *_fields("n", "smart_rollup_max_number_of_messages_per_level"),
    *_fields(
        "uint8", "consensus_rights_delay blocks_preservation_cycles delegate_parameters_activation_delay"
    ),
    *_fields(
        "int32", "blocks_per_cycle blocks_per_commitment nonce_revelation_threshold cycles_per_voting_period"
    ),
    *_fields("z", "hard_gas_limit_per_operation hard_gas_limit_per_block"),
    *_fields("int64", "proof_of_work_threshold"),
    *_fields("n", "minimal_stake minimal_frozen_stake"),
    *_fields("int64", "vdf_difficulty"),
    *_fields("int31", "origination_size"),
    Field(
        "issuance_weights",
        Record(
            *_fields("n", "base_total_issued_per_minute"),
            *_fields(
                "int31",
                "baking_reward_fixed_portion_weight baking_reward_bonus_weight attesting_reward_weight "
                "seed_nonce_revelation_tip_weight vdf_revelation_tip_weight",
            ),
        ),
    ),
    *_fields("n", "cost_per_byte"),
    *_fields("z", "hard_storage_limit_per_operation"),
    *_fields("int32", "quorum_min quorum_max min_proposal_quorum"),
    *_fields("n", "liquidity_baking_subsidy"),
    *_fields("int32", "liquidity_baking_toggle_ema_threshold"),
    *_fields("int16", "max_operations_time_to_live"),
    *_fields("int64", "minimal_block_delay delay_increment_per_round"),
    *_fields("int31", "consensus_committee_size consensus_threshold"),
    Field("minimal_participation_ratio", Record(*_fields("uint16", "numerator denominator"))),
    *_fields("uint8", "limit_of_delegation_over_baking"),
    *_fields(
        "uint16",
        "percentage_of_frozen_deposits_slashed_per_double_baking "
        "percentage_of_frozen_deposits_slashed_per_double_attestation max_slashing_per_block",
    ),
    Field(
        "max_slashing_threshold",
        INT31,
    ),
    Optional("testnet_dictator", KEY_HASH),
    Optional("initial_seed", Hex(32)),
    *_fields("int31", "cache_script_size"),
    Field("cache_stake_distribution_cycles", _OF["uint8"]),
    Field("cache_sampler_state_cycles", _OF["uint8"]),
    Field(
        "dal_parametric",
        Record(
            *_fields("bool", "feature_enable incentives_enable"),
            *_fields("uint16", "number_of_slots"),
            *_fields("uint8", "attestation_lag attestation_threshold redundancy_factor"),
            *_fields("uint16", "page_size"),
            *_fields("int31", "slot_size"),
            *_fields("uint16", "number_of_shards"),
        ),
    ),
    *_fields("bool", "smart_rollup_arith_pvm_enable"),
    *_fields("int31", "smart_rollup_origination_size smart_rollup_challenge_window_in_blocks"),
    *_fields("n", "smart_rollup_stake_amount"),
    *_fields("int31", "smart_rollup_commitment_period_in_blocks"),
    *_fields("int32", "smart_rollup_max_lookahead_in_blocks smart_rollup_max_active_outbox_levels"),
    *_fields("int31", "smart_rollup_max_outbox_messages_per_level"),
    *_fields("uint8", "smart_rollup_number_of_sections_in_dissection"),
    *_fields(
        "int31",
        "smart_rollup_timeout_period_in_blocks smart_rollup_max_number_of_cemented_commitments "
        "smart_rollup_max_number_of_parallel_games",
    ),
    Field(
        "smart_rollup_reveal_activation_level",
        Record(
            Field("raw_data", Record(Field("Blake2B", INT32))),
            *_fields("int32", "metadata dal_page dal_parameters"),
            *_fields("int31", "dal_attested_slots_validity_lag"),
        ),
    ),
    *_fields("bool", "smart_rollup_private_enable smart_rollup_riscv_pvm_enable zk_rollup_enable"),
    *_fields(
        "int31",
        "zk_rollup_origination_size zk_rollup_min_pending_to_process zk_rollup_max_ticket_payload_size",
    ),
    *_fields("uint8", "global_limit_of_staking_over_baking edge_of_staking_over_delegation"),
    *_fields("int32", "adaptive_issuance_launch_ema_threshold"),
    Field(
        "adaptive_rewards_params",
        Record(
            *(
                Field(f"issuance_ratio_{name}", _RATIO)
                for name in ("final_min", "final_max", "initial_min", "initial_max")
            ),
            *_fields("uint8", "initial_period transition_period"),
            Field("max_bonus", LONG),
            *(Field(name, _RATIO) for name in ("growth_rate", "center_dz", "radius_dz")),
        ),
    ),
    *_fields(
        "bool",
        "adaptive_issuance_activation_vote_enable autostaking_enable adaptive_issuance_force_activation "
        "ns_enable direct_ticket_spending_enable",
    ),
)
"""The constants of PtBoreas; those of other protocols have other fields."""
