"""Values of events that real daemons wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accuser import Event
from accuser._stream.decoding import decode_block

DATA = Path(__file__).parent.parent / "data"

OF_THE_ACCUSER = [
    *sorted((DATA / "recorded-runs").glob("*.events")),
    *sorted((DATA / "recorded-events").glob("9*.events")),
]


def event(name: str, value: Any) -> Event:
    return Event({name: value}, 1.5, ("s",), "h")


def recorded(path: Path) -> list[Event]:
    records = decode_block(path.read_bytes())
    return [record for record in records if isinstance(record, Event) and record.name]


# What upstream's sources say of each: section, level, and a value as daemons write it.

DENUNCIATION = "{protocol}.delegate.denunciation"

SCHEDULING = "{protocol}.delegate.baking-scheduling"

TRACE = [{"kind": "temporary", "id": "failure", "msg": "m"}]

DENOUNCED = {"hash": "o", "bytes": "03ff"}

CHANGE = {"view": {"hash": "B"}, "level": 2}

TIMES = {
    "pushed": "2025-08-16T12:00:03.093-00:00",
    "treated": "2025-08-16T12:00:03.094-00:00",
    "completed": "2025-08-16T14:00:03.100+02:00",
}

HEADER = {
    "level": 3,
    "proto": 1,
    "predecessor": "B",
    "timestamp": "2025-08-15T12:00:03Z",
    "validation_pass": 4,
    "operations_hash": "LLo",
    "fitness": ["02", "00000003", "", "ffffffff", "00000000"],
    "context": "Co",
    "protocol_data": "00ff",
}

SEEN = {
    "hash": "B",
    "occurrence": {"occurrence-kind": "valid-blocks", "chain-id": "Net"},
    "header": HEADER,
}

INJECT = {"request": "inject", "operation": {"branch": "B", "data": "03"}, "force": False}

NOTIFY = {"request": "notify", "peer": "id", "mempool": {"known_valid": ["o"], "pending": []}}

VERSION = {"major": 21, "minor": 0, "additional_info": {"rc": 1}}

DECLARED: dict[str, tuple[str, str, Any]] = {
    "uri_loaded_from_env.v0": ("internal_event_unix", "notice", {"variable": "V", "value": "uri"}),
    "daemon_setup.v0": (SCHEDULING, "info", "002-PtBoreas"),
    "daemon_start.v0": (SCHEDULING, "info", "002-PtBoreas"),
    "daemon_error.v0": (SCHEDULING, "error", {"worker": "002-PtBoreas", "errors": TRACE}),
    "daemon_connection_lost.v0": (SCHEDULING, "error", "002-PtBoreas"),
    "cannot_fetch_event.v0": (SCHEDULING, "info", "002-PtBoreas"),
    "daemon_wakeup.v0": (SCHEDULING, "debug", "002-PtBoreas"),
    "block-seen-{protocol}.v0": ("", "info", SEEN),
    "accuser_saw_block.v0": (DENUNCIATION, "debug", {"level": 3, "hash": "B"}),
    "accuser_processed_block.v0": (DENUNCIATION, "notice", "B"),
    "accuser_block_error.v0": (DENUNCIATION, "error", {"hash": "B", "errors": TRACE}),
    "fetch_operations_error.v0": (DENUNCIATION, "error", "B"),
    "unexpected_pruned_block.v0": (DENUNCIATION, "error", "B"),
    "protocol_change_detected.v0": (DENUNCIATION, "error", {}),
    "double_baking_detected.v0": (DENUNCIATION, "notice", {}),
    "double_baking_denounced.v0": (DENUNCIATION, "notice", DENOUNCED),
    "double_baking_but_not.v0": (DENUNCIATION, "debug", {}),
    "double_attestation_detected.v0": (
        *(DENUNCIATION, "notice"),
        {"existing_attestation": "o1", "new_attestation": "o2"},
    ),
    "double_attestation_denounced.v0": (DENUNCIATION, "notice", DENOUNCED),
    "double_preattestation_detected.v0": (
        *(DENUNCIATION, "notice"),
        {"existing_preattestation": "o1", "new_preattestation": "o2"},
    ),
    "double_preattestation_denounced.v0": (DENUNCIATION, "notice", DENOUNCED),
    "double_consensus_already_denounced.v0": (DENUNCIATION, "debug", "o"),
    "consensus_operation_too_old.v0": (DENUNCIATION, "debug", "o"),
    "consensus_operation_too_far_in_future.v0": (DENUNCIATION, "debug", "o"),
    "invalid_level_conversion.v0": (DENUNCIATION, "error", TRACE),
    "inconsistent_attestation.v0": (DENUNCIATION, "error", "o"),
    "node_is_ready.v0": ("node.main", "notice", {}),
    "starting_node.v0": ("node.main", "notice", {"chain": "C", "version": VERSION, "git_info": "g"}),
    "shutting_down_node.v0": ("node.main", "notice", {}),
    "bye.v0": ("node.main", "notice", -2),
    "read_identity.v0": ("node.identity", "notice", "id"),
    "head_increment.v0": ("validator.chain", "notice", CHANGE),
    "branch_switch.v0": ("validator.chain", "notice", CHANGE),
    "ignore_head.v0": ("validator.chain", "notice", CHANGE),
    "connection.v0": ("validator.chain", "info", "id"),
    "disconnection.v0": ("validator.chain", "info", "id"),
    "set_head.v0": ("node.store", "info", ["B", 2]),
    "request_completed_info.v0": ("prevalidator", "info", {"view": INJECT, "worker_status": TIMES}),
    "request_completed_debug.v0": ("prevalidator", "debug", {"view": NOTIFY, "worker_status": TIMES}),
    "request_failed.v0": (
        *("prevalidator", "notice"),
        {"view": INJECT, "worker_status": TIMES, "errors": TRACE},
    ),
    "operation_injected.v0": ("prevalidator", "notice", "o"),
    "compilation_error.v0": ("protocol_updater", "error", "compile.log"),
}
