"""The events of a baker: sections, levels and texts of ``lib_delegate/baking_events.ml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from ..._mavryk.codec.crypto import Key
from ..client.delegates import named, signer_json
from ..rpc.error_text import describe
from ..sink.sink import Level, Sink, unbreakable
from .values import Note

_D, _I, _N, _W, _E = Level.DEBUG, Level.INFO, Level.NOTICE, Level.WARNING, Level.ERROR
_PLACE: Final = "at level {level}, round {round}"
_FOR: Final = "for level {level}, round {round}"

# Name -> last part of the section, level, text. A field of the value is named in braces, a bare one
# is {value}; delegates are shown as people know them.
_EVENTS: Final[Mapping[str, tuple[str, Level, str]]] = {
    "new_valid_proposal": ("transitions", _N, f"received new proposal {{block}} {_PLACE}"),
    "new_head": ("transitions", _N, f"received new head {{block}} {_PLACE}"),
    "new_head_with_increasing_level": ("transitions", _I, "received new head with level increment"),
    "attempting_vote_proposal": ("transitions", _I, "attempting to vote for proposal {value}"),
    "applied_expected_proposal_received": (
        "transitions",
        _I,
        "received expected application notice for proposal {value}",
    ),
    "new_head_while_waiting_for_qc": (
        "transitions",
        _I,
        "received new head while waiting for a quorum of attestations",
    ),
    "valid_proposal_received_after_application": (
        "transitions",
        _I,
        "received valid proposal for a block already applied",
    ),
    "new_valid_proposal_while_waiting_for_qc": (
        "transitions",
        _I,
        "received new valid proposal while waiting for a quorum of attestations",
    ),
    "unexpected_new_head_while_waiting_for_application": (
        "transitions",
        _I,
        "received new head while waiting for another proposal's application",
    ),
    "updating_latest_proposal": ("transitions", _I, "updating latest proposal to {value}"),
    "unexpected_proposal_round": (
        "transitions",
        _I,
        "unexpected proposal round, expected: {expected_round}, got: {proposal_round}",
    ),
    "skipping_invalid_proposal": ("transitions", _I, "invalid proposal, skipping"),
    "outdated_proposal": ("transitions", _D, "outdated proposal {value}"),
    "proposal_for_round_already_seen": (
        "transitions",
        _W,
        "proposal {new_proposal} for current round ({current_round}) already seen {previous_proposal}",
    ),
    "baker_is_ahead": (
        "transitions",
        _I,
        "baker (level: {baker_level}) is ahead of the node (level: {node_level})",
    ),
    "new_proposal_is_on_another_branch": (
        "transitions",
        _I,
        "received a proposal on another branch - current: current pred{current_branch}, "
        "new pred {new_branch}",
    ),
    "branch_proposal_has_better_fitness": (
        "transitions",
        _I,
        "different branch proposal has a better fitness than us",
    ),
    "branch_proposal_has_no_prequorum": (
        "transitions",
        _I,
        "different branch proposal has no prequorum but we do",
    ),
    "branch_proposal_has_lower_prequorum": (
        "transitions",
        _I,
        "different branch proposal has a lower prequorum than us",
    ),
    "branch_proposal_has_better_prequorum": (
        "transitions",
        _I,
        "different branch proposal has a better prequorum",
    ),
    "branch_proposal_has_same_prequorum": (
        "transitions",
        _E,
        "different branch proposal has the same prequorum",
    ),
    "switching_branch": ("transitions", _I, "switching branch"),
    "unexpected_prequorum_received": (
        "transitions",
        _I,
        "unexpected prequorum received for {received_hash} instead of {expected_hash}",
    ),
    "unexpected_quorum_received": (
        "transitions",
        _I,
        "unexpected quorum received for {received_hash} instead of {expected_hash}",
    ),
    "discarding_unexpected_prequorum_reached": (
        "transitions",
        _I,
        "discarding unexpected prequorum reached for {candidate} while in {phase} phase",
    ),
    "discarding_unexpected_quorum_reached": (
        "transitions",
        _I,
        "discarding unexpected quorum reached for {candidate} while in {phase} phase",
    ),
    "discarding_attestation": (
        "transitions",
        _I,
        f"discarding outdated attestation for {{delegate}} {_PLACE}",
    ),
    "discarding_unexpected_preattestation_with_different_payload": (
        "transitions",
        _W,
        f"discarding preattestation for {{delegate}} with payload {{payload}} {_PLACE} where the current "
        "payload is {state_payload}",
    ),
    "discarding_unexpected_attestation_with_different_prequorum": (
        "transitions",
        _W,
        f"discarding attestation for {{delegate}} with payload {{payload}} {_PLACE} where the prequorum "
        "was on {state_payload}",
    ),
    "discarding_unexpected_attestation_without_prequorum": (
        "transitions",
        _W,
        f"discarding attestation for {{delegate}} {_PLACE} where no prequorum was reached",
    ),
    "no_proposal_slot": (
        "transitions",
        _I,
        "end of round {current_round}; no proposal slot at level {level}, round {next_round}",
    ),
    "proposal_slot": (
        "transitions",
        _I,
        "end of round {current_round}; proposal slot at level {level}, round {next_round} for {delegate}",
    ),
    "no_attestable_payload_fresh_block": (
        "transitions",
        _I,
        "no attestable payload, proposing fresh block",
    ),
    "repropose_block": ("transitions", _I, "repropose block with payload {value}"),
    "preparing_fresh_block": (
        "transitions",
        _I,
        "preparing fresh block for {delegate} at round {round}",
    ),
    "synchronizing_round": ("actions", _I, "synchronizing round after block {value}"),
    "preattestations_received": (
        "operation_worker",
        _D,
        "received {count} preattestations (power: {delta_power}) (total voting power: {voting_power}, "
        "{preattestations} preattestations)",
    ),
    "attestations_received": (
        "operation_worker",
        _D,
        "received {count} attestations (power: {delta_power}) (total voting power: {voting_power}, "
        "{attestations} attestations)",
    ),
    "pqc_reached": (
        "operation_worker",
        _I,
        "prequorum reached (voting power: {voting_power}, {preattestations} preattestations)",
    ),
    "qc_reached": (
        "operation_worker",
        _I,
        "quorum reached (voting power: {voting_power}, {attestations} attestations)",
    ),
    "starting_new_monitoring": ("operation_worker", _D, "starting new monitoring"),
    "end_of_stream": ("operation_worker", _D, "end of stream"),
    "resetting_monitoring": ("operation_worker", _D, "resetting monitoring"),
    "loop_failed": ("operation_worker", _E, "loop failed with {trace}"),
    "waiting_end_of_round": (
        "scheduling",
        _I,
        "waiting {timespan:.3g}s until end of round {round} at {timestamp}",
    ),
    "waiting_delayed_end_of_round": (
        "scheduling",
        _I,
        "waiting {timespan:.3g}s until {timestamp} (end of round {round} plus {delay}s delay)",
    ),
    "waiting_time_to_bake": (
        "scheduling",
        _I,
        "waiting {timespan:.3g}s until it's time to bake at {timestamp}",
    ),
    "waiting_to_forge_block": (
        "scheduling",
        _I,
        "waiting {timespan:.3g}s until it's time to forge block at {timestamp}",
    ),
    "no_need_to_wait_to_forge_block": ("scheduling", _I, "no need to wait to forge block"),
    "no_need_to_wait_for_proposal": ("scheduling", _I, "no need to wait for proposal"),
    "first_baker_of_next_level": (
        "scheduling",
        _I,
        "first baker of next level found among delegates. pre-emptively forging block.",
    ),
    "next_potential_slot": (
        "scheduling",
        _I,
        f"next potential slot {_FOR} is at {{timestamp}} for {{delegate}}",
    ),
    "compute_next_timeout_elected_block": (
        "scheduling",
        _D,
        f"found an elected block {_PLACE}... checking baking rights",
    ),
    "proposal_already_injected": ("scheduling", _D, "proposal already injected for next level, skipping"),
    "waiting_for_new_head": ("scheduling", _I, "no possible timeout, waiting for a new head to arrive..."),
    "proposal_in_the_future": ("scheduling", _D, "received proposal in the future {value}"),
    "process_proposal_in_the_future": ("scheduling", _D, "process proposal received in the future {value}"),
    "error_while_baking": ("scheduling", _W, "error while baking: {trace}"),
    "no_dal_node": (
        "actions",
        _N,
        "DAL node not configured, DAL attestations will not be issued",
    ),
    "skipping_consensus_vote": (
        "actions",
        _E,
        f"unable to sign {{kind}} for {{delegate}} {_FOR} -- {{trace}}",
    ),
    "consensus_vote_injected": ("actions", _N, f"injected {{kind}} {{ophash}} for {{delegate}} {_FOR}"),
    "failed_to_inject_consensus_vote": ("actions", _E, "failed to inject {kind} for {delegate} -- {trace}"),
    "potential_double_baking": (
        "actions",
        _W,
        f"potential double baking detected {_PLACE}",
    ),
    "failed_to_forge_block": ("actions", _E, "failed to forge block for {delegate} -- {trace}"),
    "prepare_forging_block": ("actions", _D, f"prepare forging block {_PLACE} for {{delegate}}"),
    "forging_block": ("actions", _I, f"forging block {_PLACE} for {{delegate}}"),
    "delayed_block_injection": (
        "actions",
        _D,
        f"waiting {{delay:.3g}}s before injecting block {_PLACE} for {{delegate}}",
    ),
    "injecting_block": ("actions", _I, f"injecting block {_PLACE} for {{delegate}}"),
    "block_injected": ("actions", _N, f"block {{block}} {_PLACE} injected for {{delegate}}"),
    "block_injection_failed": ("actions", _E, "failed to inject block {block_hash} -- {trace}"),
    "vote_for_liquidity_baking_toggle": ("actions", _N, "Voting {value} for liquidity baking toggle vote"),
    "vote_for_adaptive_issuance": ("actions", _N, "Voting {value} for adaptive issuance vote"),
    "error_while_authorizing_consensus_votes": (
        "forge_worker",
        _E,
        "error while authorizing consensus votes: {trace}",
    ),
    "invalid_json_file": ("actions", _W, "{value} is not a valid JSON file"),
    "no_operations_found_in_file": ("actions", _W, "no operations found in file {value}"),
    "cannot_fetch_operations": ("actions", _E, "cannot fetch operations: {trace}"),
    "error_while_monitoring_heads": ("rpc", _E, "error while monitoring heads {trace}"),
    "error_while_monitoring_valid_proposals": ("rpc", _E, "error while monitoring valid proposals {trace}"),
    "success_migrate_nonces": (
        "nonces",
        _N,
        "successfully migrated nonces: legacy nonces are safe to delete",
    ),
    "revelation_worker_started": ("nonces", _I, "revelation worker started"),
    "registering_nonce": ("nonces", _I, "registering nonce for block {value}"),
    "nothing_to_reveal": ("nonces", _I, "nothing to reveal for block {value}"),
    "revealing_nonce": ("nonces", _N, "revealing nonce {nonce} for level {level}: {ophash}"),
    "cannot_read_nonces": ("nonces", _E, "cannot read nonces: {trace}"),
    "cannot_retrieve_unrevealed_nonces": ("nonces", _E, "cannot retrieve unrevealed nonces: {trace}"),
    "cannot_inject_nonces": ("nonces", _E, "cannot inject nonces: {trace}"),
    "outdated_nonce": ("nonces", _I, "outdated nonce for block {value} is safe to delete"),
    "revealed_nonce": ("nonces", _I, "nonce for block {value} was revealed"),
    "unexpected_nonce": ("nonces", _I, "unexpected nonce for block {value}"),
    "reading_per_block_votes": ("", _N, "reading votes file: {value}"),
    "read_liquidity_baking_toggle_vote": ("", _N, "read liquidity baking toggle vote = {value}"),
    "read_adaptive_issuance_vote": ("", _N, "read adaptive issuance vote = {value}"),
    "per_block_vote_file_error": ("", _E, "Error reading the block vote file: {trace}"),
    "incompatible_stored_state": ("disk", _W, "found an outdated or corrupted baking state: discarding it"),
    "step_current_phase": ("transitions", _D, "automaton step: current phase {phase}, event {event}"),
    "new_forge_event": ("transitions", _N, "received new forge event: {event}"),
}

_BARE_TRACES: Final = frozenset(
    {
        "error_while_baking",
        "loop_failed",
        "error_while_authorizing_consensus_votes",
        "cannot_fetch_operations",
        "per_block_vote_file_error",
        "error_while_monitoring_heads",
        "error_while_monitoring_valid_proposals",
        "cannot_read_nonces",
        "cannot_retrieve_unrevealed_nonces",
        "cannot_inject_nonces",
    }
)
"""Events whose value is the list of errors itself."""

_INFO_SINCE_BOREAS: Final = frozenset({"pqc_reached", "qc_reached"})
"""Of level debug in the others."""


@attrs.define(eq=False, repr=False)
class Events:
    """Emits the events of one baker.

    Args:
        sink: where they go.
        protocol: long name of the protocol.
        boreas: whether it is Boreas.
        keys: what signs for a delegate, as it is learnt.
    """

    sink: Sink
    protocol: str
    boreas: bool = True
    keys: dict[str, Key] = attrs.field(factory=dict)

    async def emit(self, note: Note, /, **shown: object) -> None:
        """Emit an event. ``shown`` are words for its text that its value does not have."""
        part, level, text = _EVENTS[note.name]
        if note.name in _INFO_SINCE_BOREAS and not self.boreas:
            level = Level.DEBUG
        value = note.value
        words: dict[str, object] = {"value": value}
        if isinstance(value, dict):
            value = self._with_signer(value)
            words = {**value, **self._words(value)}
        elif note.name in _BARE_TRACES:
            words = {"trace": _trace(value)}
        section = (self.protocol, "baker", part) if part else (self.protocol, "baker")
        await self.sink.emit(section, note.name, level, value, text.format_map({**words, **shown}))

    async def note(self, name: str, value: object = None, /, **shown: object) -> None:
        """Emit an event by name; its value is ``{}`` by default."""
        await self.emit(Note(name, {} if value is None else value), **shown)

    def signer(self, delegate: str) -> dict[str, Any]:
        """The consensus key and its delegate, as events show them."""
        return signer_json(self.keys[delegate], delegate)

    def named(self, delegate: str) -> str:
        """The same for people."""
        return unbreakable(named(self.keys[delegate], delegate))

    def _with_signer(self, value: dict[str, Any]) -> dict[str, Any]:
        delegate = value.get("delegate")
        return {**value, "delegate": self.signer(delegate)} if isinstance(delegate, str) else value

    def _words(self, value: dict[str, Any]) -> dict[str, object]:
        words: dict[str, object] = {}
        if isinstance(delegate := value.get("delegate"), dict):
            words["delegate"] = self.named(delegate["delegate"])
        if "trace" in value:
            words["trace"] = _trace(value["trace"])
        return words


def _trace(trace: object) -> str:
    assert isinstance(trace, list)
    return unbreakable("\n".join(_described(error) for error in trace))


def _described(error: dict[str, Any]) -> str:
    name = str(error.get("id", ""))
    if ".highwatermarks." in name:
        what = name.rpartition("_previously_")[2]
        signed = {"baked": "A block", "preattested": "A preattestation", "attested": "An attestation"}[what]
        return (
            f"{signed} with a higher watermark than the current one (level: {error['level']}, "
            f"round: {error['round']}) was previously {what}."
        )
    if "block_vote_file" in name:
        return f"{error['file_path']}: {name.rpartition('.')[2].replace('_', ' ')}"
    return describe(error)
