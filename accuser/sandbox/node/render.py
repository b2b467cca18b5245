"""Blocks and operations as the RPCs show them.

Field by field what typed clients decode: they refuse a value with a field too many or too few
(recorded run ``14-block-fields``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from ..._mavryk.codec.base58 import Kind, encode
from ..._mavryk.codec.forge import full_header_json
from ..._mavryk.codec.operations import Consensus, Operation
from ..._mavryk.codec.votes import Ballot, Proposals
from ..chain import opening
from ..chain.activation import Activation
from ..chain.block import Block
from ..chain.chain import Chain
from ..chain.mempool import Class, Classified, Mempool
from ..chain.parameters import GENESIS_HEADER_SIZE, MAX_HEADER_SIZE, MAX_OPERATION_SIZE, PASS_QUOTAS
from ..chain.preapply import Construction
from ..chain.rights import Delegate
from ..chain.trace import NodeError

Json = dict[str, Any]

NO_PROTOCOL: Final = encode(Kind.PROTOCOL, bytes(32))

LEGACY_NAMES = {
    "preattestation": "preendorsement",
    "attestation": "endorsement",
    "attestation_with_dal": "endorsement_with_dal",
    "double_attestation_evidence": "double_endorsement_evidence",
    "double_preattestation_evidence": "double_preendorsement_evidence",
}
"""What version 0 of an RPC calls the kinds of operations."""


def protocol_of(block: Block) -> str:
    """The protocol that a block names as its own; the genesis block has none."""
    return NO_PROTOCOL if block.level == 0 else block.protocol


def raw_header(block: Block) -> Json:
    """The header with its protocol data, as inside a block."""
    if block.level == 0:
        return block.header.shell.to_json()
    if block.baker is None:
        activation = Activation.from_bytes(block.header.protocol_data)
        return {**block.header.shell.to_json(), **activation.to_json()}
    return full_header_json(block.header)


def header(chain: Chain, block: Block) -> Json:
    """The answer of ``/header``."""
    return {
        "protocol": protocol_of(block),
        "chain_id": chain.network.chain_id,
        "hash": block.hash,
        **raw_header(block),
    }


def head_item(block: Block) -> Json:
    """An item of ``/monitor/heads``."""
    return {"hash": block.hash, **block.header.shell_json()}


def applied_item(chain: Chain, block: Block) -> Json:
    """An item of ``/monitor/applied_blocks``."""
    return {
        "chain_id": chain.network.chain_id,
        "hash": block.hash,
        "header": block.header.shell_json(),
        "operations": [[operation.raw_json() for operation in passed] for passed in block.operations],
    }


def valid_item(chain: Chain, block: Block) -> Json:
    """An item of ``/monitor/valid_blocks``."""
    return {"chain_id": chain.network.chain_id, **head_item(block)}


def full_block(chain: Chain, block: Block, *, legacy: bool = False) -> Json:
    """The answer of a block's own RPC."""
    told = metadata(chain, block)
    return {
        "protocol": protocol_of(block),
        "chain_id": chain.network.chain_id,
        "hash": block.hash,
        "header": raw_header(block),
        "metadata": legacy_categories(told) if legacy else told,
        "operations": operations(chain, block, legacy=legacy),
    }


def metadata(chain: Chain, block: Block) -> Json:
    """What the application of a block told."""
    # The limits are those of the block that comes next.
    is_last_of_genesis = block.state.calendar is None
    common: Json = {
        "protocol": protocol_of(block),
        "next_protocol": block.state.protocol,
        "test_chain_status": {"status": "not_running"},
        "max_operations_ttl": chain.operations_ttl(block),
        "max_operation_data_length": 0 if is_last_of_genesis else MAX_OPERATION_SIZE,
        "max_block_header_length": GENESIS_HEADER_SIZE if is_last_of_genesis else MAX_HEADER_SIZE,
        "max_operation_list_length": [] if is_last_of_genesis else list(PASS_QUOTAS),
    }
    if block.baker is None:
        return common
    calendar, data = block.state.calendar, block.protocol_data
    assert calendar is not None
    assert data is not None
    assert block.proposer is not None
    ledger = block.state.ledger
    made, updates = list[Json](), list(block.updates)
    if block.level == calendar.first_level + 1:
        before = chain.predecessor(block).state.ledger
        made = opening.originations(block.protocol)
        updates = [*opening.balance_updates(before, block.protocol), *updates]
    launch = (
        {} if ledger.launch_cycle is None else {"adaptive_issuance_activation_cycle": ledger.launch_cycle}
    )
    return {
        **common,
        "proposer": block.proposer.pkh,
        "baker": block.baker.pkh,
        "level_info": calendar.level_info(block.level),
        "voting_period_info": block.state.amendment.info(block.level, calendar),
        "nonce_hash": data.seed_nonce_hash,
        "deactivated": list(block.deactivated),
        **({"balance_updates": updates} if updates else {}),
        "liquidity_baking_toggle_ema": 0,
        "adaptive_issuance_vote_ema": ledger.ema,
        **launch,
        "implicit_operations_results": [*made, *_subsidy(block)],
        "proposer_consensus_key": block.proposer.consensus_pkh,
        "baker_consensus_key": block.baker.consensus_pkh,
        "consumed_milligas": str(_gas(block)),
        "dal_attestation": "0",
    }


def operations(chain: Chain, block: Block, *, legacy: bool = False) -> list[list[Json]]:
    """The operations of a block by validation pass, with what their application told."""
    return [
        [_included(chain, block, operation, legacy=legacy) for operation in passed]
        for passed in block.operations
    ]


def signed(operation: Operation) -> Json:
    """An operation as its bytes tell it, where a signature of zeros cannot be told from none."""
    value = operation.to_json()
    if operation.signature is not None and not any(operation.signature):
        value.pop("signature", None)
    return value


def _included(chain: Chain, block: Block, operation: Operation, *, legacy: bool) -> Json:
    value = signed(operation)
    for content, receipt in zip(value["contents"], _receipts(block, operation), strict=True):
        content["metadata"] = receipt
    return {
        "protocol": block.protocol,
        "chain_id": chain.network.chain_id,
        "hash": operation.hash,
        **(legacy_names(value) if legacy else value),
    }


def _subsidy(block: Block) -> list[Json]:
    """The transaction that nobody made, to the treasury; what its script does is not known here."""
    if not block.subsidy:
        return []
    return [{"kind": "transaction", "balance_updates": list(block.subsidy)}]


def _gas(block: Block) -> int:
    """The gas that the manager operations of a block might have used: what counts are their limits."""
    return 1000 * sum(one.gas_limit for operation in block.operations[3] for one in operation.managed)


def _receipts(block: Block, operation: Operation) -> Sequence[Json]:
    """The metadata of each content."""
    known = block.results.get(operation.hash)
    return [_receipt(block, operation)] if known is None else known


def _receipt(block: Block, operation: Operation) -> Json:
    content = operation.content
    if isinstance(content, Proposals | Ballot):
        return {}
    if not isinstance(content, Consensus):
        culprit = block.forbids.get(operation.hash)
        # What is lost is lost at the end of a cycle, and no updates are not shown.
        return {} if culprit is None else {"forbidden_delegate": culprit}
    calendar = block.state.calendar
    assert calendar is not None
    owner = calendar.owner(content.level, content.slot)
    assert owner is not None
    power = len(calendar.slots(content.level)[owner.pkh])
    return {"delegate": owner.pkh, "consensus_power": power, "consensus_key": owner.consensus_pkh}


def legacy_names(operation: Json) -> Json:
    """An operation with the former names of kinds."""
    contents = []
    for content in operation["contents"]:
        renamed = {**content, "kind": LEGACY_NAMES.get(content["kind"], content["kind"])}
        if "metadata" in renamed:
            power = f"{renamed['kind'].removesuffix('_with_dal')}_power"
            told = renamed["metadata"].items()
            renamed["metadata"] = {
                power if name == "consensus_power" else name: value for name, value in told
            }
            renamed["metadata"] = legacy_categories(renamed["metadata"])
        for name in ("op1", "op2"):
            if name in renamed:
                inner = renamed[name]["operations"]
                inner = {**inner, "kind": LEGACY_NAMES.get(inner["kind"], inner["kind"])}
                renamed[name] = {**renamed[name], "operations": inner}
        contents.append(renamed)
    return {**operation, "contents": contents}


_LEGACY_CATEGORIES: Final = {
    "attesting rewards": "endorsing rewards",
    "lost attesting rewards": "lost endorsing rewards",
}


def legacy_categories(value: Any) -> Any:
    """A receipt with the former names of categories in its balance updates."""
    if isinstance(value, dict):
        shown = {name: legacy_categories(item) for name, item in value.items()}
        if shown.get("category") in _LEGACY_CATEGORIES:
            shown["category"] = _LEGACY_CATEGORIES[shown["category"]]
        return shown
    return [legacy_categories(item) for item in value] if isinstance(value, list) else value


def monitored(entry: Classified, protocol: str, *, legacy: bool = False) -> Json:
    """An operation in an item of ``monitor_operations``."""
    value = signed(entry.operation)
    shown = {
        "hash": entry.operation.hash,
        "protocol": protocol,
        **(legacy_names(value) if legacy else value),
    }
    return shown if entry.error is None else {**shown, "error": list(entry.error.trace)}


def pending(mempool: Mempool, classes: frozenset[Class], passes: frozenset[int], *, version: int) -> Json:
    """The answer of ``pending_operations``: these classes, these validation passes (all if empty)."""
    protocol = mempool.chain.head.state.protocol
    legacy = version == 1
    value: Json = {}
    for kind in Class:
        entries = mempool.of(kind) if kind in classes else []
        shown = [
            monitored(entry, protocol, legacy=legacy)
            for entry in entries
            if not passes or entry.operation.validation_pass in passes
        ]
        if kind is Class.VALIDATED:
            for operation in shown:
                del operation["protocol"]
        value["applied" if kind is Class.VALIDATED and legacy else kind.value] = shown
    value["unprocessed"] = []
    return value


def construction(value: Construction) -> Json:
    """The answer of ``preapply/block``."""
    return {
        "shell_header": value.shell.to_json(),
        "operations": [_preapplied(passed.applied, passed.refused) for passed in value.passes],
    }


def _preapplied(applied: Iterable[Operation], refused: Iterable[tuple[Operation, NodeError]]) -> Json:
    value: Json = {
        "applied": [{"hash": operation.hash, **operation.raw_json()} for operation in applied],
        "refused": [],
        "outdated": [],
        "branch_refused": [],
        "branch_delayed": [],
    }
    names = {"permanent": "refused", "outdated": "outdated", "branch": "branch_refused"}
    for operation, error in refused:
        entry = {"hash": operation.hash, **operation.raw_json(), "error": list(error.trace)}
        value[names.get(error.kind, "branch_delayed")].append(entry)
    return value


def validators(level: int, slots: dict[str, list[int]], delegates: Iterable[Delegate]) -> list[Json]:
    """The entries of one level in the answer of ``helpers/validators``, in upstream's order."""
    owners = sorted((one for one in delegates if one.pkh in slots), key=lambda one: one.pkh, reverse=True)
    return [
        {
            "level": level,
            "delegate": owner.pkh,
            "slots": slots[owner.pkh],
            "consensus_key": owner.consensus_pkh,
        }
        for owner in owners
    ]
