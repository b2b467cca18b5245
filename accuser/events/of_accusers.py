"""The events of accusers, and the one that begins every event pipe."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeAlias

import attrs

from .typed import PLACE, TypedEvent

_Bytes: TypeAlias = bytes  # which a field called bytes hides


class _Scheduling(TypedEvent, section=(PLACE, "delegate", "baking-scheduling"), kind="accuser"):
    __slots__ = ()


class _Denunciation(TypedEvent, section=(PLACE, "delegate", "denunciation"), kind="accuser"):
    __slots__ = ()


@attrs.frozen
class UriLoadedFromEnv(
    TypedEvent, name="uri_loaded_from_env.v0", section=("internal_event_unix",), level="notice", kind="any"
):
    """The first item of every event pipe: the sink's configuration."""

    variable: str
    value: str


@attrs.frozen
class DaemonSetup(_Scheduling, name="daemon_setup.v0", level="info", bare="worker"):
    """The protocol has started; the mempool's stream is about to be opened."""

    worker: str
    """The protocol's long name."""


@attrs.frozen
class DaemonStart(_Scheduling, name="daemon_start.v0", level="info", bare="worker"):
    """The main loop begins."""

    worker: str
    """The protocol's long name."""


@attrs.frozen
class DaemonConnectionLost(_Scheduling, name="daemon_connection_lost.v0", level="error", bare="worker"):
    """The stream of blocks has ended."""

    worker: str
    """The protocol's long name."""


@attrs.frozen
class DaemonError(_Scheduling, name="daemon_error.v0", level="error"):
    """Handling a batch of operations failed; the daemon goes on."""

    worker: str
    errors: tuple[dict[str, Any], ...]
    """The trace, outermost first."""


@attrs.frozen
class CannotFetchEvent(_Scheduling, name="cannot_fetch_event.v0", level="info", bare="worker"):
    """Declared, and not emitted by the accuser."""

    worker: str


@attrs.frozen
class DaemonWakeup(_Scheduling, name="daemon_wakeup.v0", level="debug", bare="worker"):
    """Declared, and not emitted by the accuser."""

    worker: str


@attrs.frozen
class ShellHeader:
    """A block header whose protocol part is left as bytes."""

    level: int
    proto: int
    predecessor: str
    timestamp: datetime
    validation_pass: int
    operations_hash: str
    fitness: tuple[bytes, ...]
    context: str
    protocol_data: bytes


@attrs.frozen
class Occurrence:
    """Where a block was seen."""

    kind: str = attrs.field(metadata={"json": "occurrence-kind"})
    """``valid-blocks``; other daemons have ``heads``, without a chain."""
    chain_id: str | None = attrs.field(default=None, metadata={"json": "chain-id"})


@attrs.frozen
class BlockSeen(TypedEvent, name="block-seen-{protocol}.v0", section=(), level="info", kind="accuser"):
    """A block came from the stream of applied blocks; nothing was done with it yet."""

    hash: str
    occurrence: Occurrence
    header: ShellHeader


@attrs.frozen
class AccuserSawBlock(_Denunciation, name="accuser_saw_block.v0", level="debug"):
    """The processing of a block begins."""

    level: int
    hash: str


@attrs.frozen
class AccuserProcessedBlock(_Denunciation, name="accuser_processed_block.v0", level="notice", bare="hash"):
    """The processing of a block has ended without an error of its own."""

    hash: str


@attrs.frozen
class AccuserBlockError(_Denunciation, name="accuser_block_error.v0", level="error"):
    """A block could not be fetched or processed."""

    hash: str
    errors: tuple[dict[str, Any], ...]
    """The trace, outermost first."""


@attrs.frozen
class FetchOperationsError(_Denunciation, name="fetch_operations_error.v0", level="error", bare="hash"):
    """A block has no list of operations, which must not be."""

    hash: str


@attrs.frozen
class UnexpectedPrunedBlock(_Denunciation, name="unexpected_pruned_block.v0", level="error", bare="hash"):
    """A block came without its metadata."""

    hash: str


@attrs.frozen
class ProtocolChangeDetected(_Denunciation, name="protocol_change_detected.v0", level="error"):
    """A block whose next protocol is another; it is skipped."""


@attrs.frozen
class DoubleBakingDetected(_Denunciation, name="double_baking_detected.v0", level="notice"):
    """A second block of one level, round and delegate; the evidence is about to be injected."""


@attrs.frozen
class DoubleBakingDenounced(_Denunciation, name="double_baking_denounced.v0", level="notice"):
    """The evidence of a double baking was injected."""

    hash: str
    """Of the operation."""
    bytes: _Bytes
    """The signed operation."""


@attrs.frozen
class DoubleBakingButNot(_Denunciation, name="double_baking_but_not.v0", level="debug"):
    """The same block was seen again."""


@attrs.frozen
class DoubleAttestationDetected(_Denunciation, name="double_attestation_detected.v0", level="notice"):
    """Two attestations that conflict; the evidence is about to be injected.

    The daemon writes the two hashes into each other's fields
    (``src/proto_*/lib_delegate/client_baking_denunciation.ml``). Here each is what its name says.
    """

    existing: str = attrs.field(metadata={"json": "new_attestation"})
    """The operation that was known before."""
    new: str = attrs.field(metadata={"json": "existing_attestation"})
    """The one that has just been seen."""


@attrs.frozen
class DoubleAttestationDenounced(_Denunciation, name="double_attestation_denounced.v0", level="notice"):
    """The evidence of a double attestation was injected."""

    hash: str
    """Of the operation."""
    bytes: _Bytes
    """The signed operation."""


@attrs.frozen
class DoublePreattestationDetected(_Denunciation, name="double_preattestation_detected.v0", level="notice"):
    """As `DoubleAttestationDetected`, with the same quirk put right."""

    existing: str = attrs.field(metadata={"json": "new_preattestation"})
    """The operation that was known before."""
    new: str = attrs.field(metadata={"json": "existing_preattestation"})
    """The one that has just been seen."""


@attrs.frozen
class DoublePreattestationDenounced(_Denunciation, name="double_preattestation_denounced.v0", level="notice"):
    """The evidence of a double preattestation was injected."""

    hash: str
    """Of the operation."""
    bytes: _Bytes
    """The signed operation."""


@attrs.frozen
class DoubleConsensusAlreadyDenounced(
    _Denunciation, name="double_consensus_already_denounced.v0", level="debug", bare="hash"
):
    """The delegate had been denounced for this level, round and kind; it was done again."""

    hash: str
    """Of the previous evidence."""


@attrs.frozen
class ConsensusOperationTooOld(
    _Denunciation, name="consensus_operation_too_old.v0", level="debug", bare="hash"
):
    """An operation below the preserved levels is ignored."""

    hash: str


@attrs.frozen
class ConsensusOperationTooFarInFuture(
    _Denunciation, name="consensus_operation_too_far_in_future.v0", level="debug", bare="hash"
):
    """An operation more than two levels above the highest block is ignored."""

    hash: str


@attrs.frozen
class InvalidLevelConversion(_Denunciation, name="invalid_level_conversion.v0", level="error", bare="errors"):
    """Internal, and never expected."""

    errors: tuple[dict[str, Any], ...]


@attrs.frozen
class InconsistentAttestation(_Denunciation, name="inconsistent_attestation.v0", level="error", bare="hash"):
    """Declared, and never emitted."""

    hash: str
