"""Blocks, their headers and metadata, and the items of streams that carry them."""

from __future__ import annotations

from typing import Final

from .operations import FULL_HEADER, IN_BLOCK, PROTOCOL_DATA, TO_PREAPPLY
from .receipts import OF_NOBODY, UPDATES
from .records import Case, Field, OfProtocol, Optional, Part, Record, Union
from .schema import AMOUNT, BIG, BOOL, INT31, INT32, LEVEL, Enum, Hex, Nullable, Rest, Schema, Sized, listed
from .words import (
    BLOCK,
    CHAIN,
    ERRORS,
    KEY_HASH,
    NONCE,
    OPERATION,
    PROTOCOL,
    RAW_BYTES,
    RAW_HEADER,
    RAW_OPERATION,
    SHELL,
    TIMESTAMP,
)

LEVEL_INFO: Final = Record(
    Field("level", LEVEL),
    Field("level_position", LEVEL),
    Field("cycle", LEVEL),
    Field("cycle_position", LEVEL),
    Field("expected_commitment", BOOL),
)
_PERIODS: Final = Enum(("proposal", "exploration", "cooldown", "promotion", "adoption"))
PERIOD_INFO: Final = Record(
    Field(
        "voting_period",
        Record(Field("index", INT32), Field("kind", _PERIODS), Field("start_position", INT32)),
    ),
    Field("position", INT32),
    Field("remaining", INT32),
)
_TEST_CHAIN: Final = Union(
    Case(0, "not_running"),
    Case(1, "forking", Field("protocol", PROTOCOL), Field("expiration", TIMESTAMP)),
    Case(
        2,
        "running",
        Field("chain_id", CHAIN),
        Field("genesis", BLOCK),
        Field("protocol", PROTOCOL),
        Field("expiration", TIMESTAMP),
    ),
    by="status",
)
_QUOTAS: Final = listed(Record(Field("max_size", INT31), Optional("max_op", INT31)))

METADATA: Final = Record(
    OfProtocol(),
    OfProtocol("next_protocol"),
    Field("test_chain_status", _TEST_CHAIN),
    Field("max_operations_ttl", INT31),
    Field("max_operation_data_length", INT31),
    Field("max_block_header_length", INT31),
    # Two sizes, one of the field and one of the list.
    Field("max_operation_list_length", Sized(_QUOTAS)),
    Field("proposer", KEY_HASH),
    Field("baker", KEY_HASH),
    Field("level_info", LEVEL_INFO),
    Field("voting_period_info", PERIOD_INFO),
    Field("nonce_hash", Nullable(NONCE)),
    Field("deactivated", listed(KEY_HASH)),
    UPDATES,
    Field("liquidity_baking_toggle_ema", INT32),
    Field("adaptive_issuance_vote_ema", INT32),
    Optional("adaptive_issuance_activation_cycle", LEVEL),
    Field("implicit_operations_results", listed(OF_NOBODY)),
    Field("proposer_consensus_key", KEY_HASH),
    Field("baker_consensus_key", KEY_HASH),
    Field("consumed_milligas", AMOUNT),
    Field("dal_attestation", BIG),
)
PASS: Final = listed(IN_BLOCK)
PASSES: Final = listed(Sized(PASS))
BLOCK_INFO: Final = Record(
    OfProtocol(),
    Field("chain_id", CHAIN),
    Field("hash", BLOCK),
    Field("header", Sized(Record(*FULL_HEADER))),
    Optional("metadata", Sized(METADATA)),
    Field("operations", PASSES),
)
HEADER: Final = Record(OfProtocol(), Field("chain_id", CHAIN), Field("hash", BLOCK), *FULL_HEADER)
SHELL_HEADER: Final = Record(*SHELL)
DATA: Final = Record(OfProtocol(), *PROTOCOL_DATA)

HEAD: Final = Record(Field("hash", BLOCK), *RAW_HEADER)
"""An item of ``/monitor/heads``."""
_RAW_PASS: Final[Schema] = listed(Sized(RAW_OPERATION))
APPLIED: Final = Record(
    Field("chain_id", CHAIN),
    Field("hash", BLOCK),
    Field("header", Sized(Record(*RAW_HEADER))),
    Field("operations", listed(_RAW_PASS)),
)
"""An item of ``/monitor/applied_blocks`` and ``/monitor/validated_blocks``."""
BOOTSTRAPPED: Final = Record(Field("block", BLOCK), Field("timestamp", TIMESTAMP))

TO_INJECT: Final = Record(Field("data", RAW_BYTES), Field("operations", listed(Sized(_RAW_PASS))))
"""What ``/injection/block`` is asked."""
TO_CONSTRUCT: Final = Record(
    Field("protocol_data", Sized(DATA)), Field("operations", listed(Sized(listed(TO_PREAPPLY))))
)
"""What ``helpers/preapply/block`` is asked."""

_RAW: Final = Part(Sized(Record(Field("branch", BLOCK), Field("data", Hex()))))
_TAKEN: Final = Record(Field("hash", OPERATION), _RAW)
_LEFT: Final = listed(Record(Field("hash", OPERATION), _RAW, Field("error", ERRORS)))
CONSTRUCTED: Final = Record(
    Field("shell_header", SHELL_HEADER),
    Field(
        "operations",
        listed(
            Record(
                Field("applied", listed(_TAKEN)),
                Field("refused", _LEFT),
                Field("outdated", _LEFT),
                Field("branch_refused", _LEFT),
                Field("branch_delayed", _LEFT),
            )
        ),
    ),
)
"""What it answers."""

HASHES: Final = listed(OPERATION)
HASHES_OF_PASSES: Final = listed(HASHES)
LIVE: Final = listed(BLOCK)
HEADS: Final = listed(listed(BLOCK))
WATERMARK: Final = Record(Field("block_hash", BLOCK), Field("level", LEVEL))
PROTOCOLS: Final = Record(Field("protocol", PROTOCOL), Field("next_protocol", PROTOCOL))
ANY_PROTOCOLS: Final = Sized(Rest(PROTOCOL))
