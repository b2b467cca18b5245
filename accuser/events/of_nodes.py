"""The events of nodes, and the parts of which their values are made."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias

import attrs

from .typed import TypedEvent


class _Main(TypedEvent, section=("node", "main"), kind="node"):
    __slots__ = ()


class _Chain(TypedEvent, section=("validator", "chain"), kind="node"):
    __slots__ = ()


class _Prevalidator(TypedEvent, section=("prevalidator",), kind="node"):
    __slots__ = ()


@attrs.frozen
class Version:
    """The version of a node's software (``src/lib_version``)."""

    major: int
    minor: int
    additional_info: str | dict[str, int]
    """``dev`` or ``release``, or for example ``{"rc": 1}``."""


@attrs.frozen
class StartingNode(_Main, name="starting_node.v0", level="notice"):
    """The node begins to start."""

    chain: str
    """Name of the network, as in ``MAVRYK``."""
    version: Version
    git_info: str
    """The commit that the node was built from."""


@attrs.frozen
class NodeIsReady(_Main, name="node_is_ready.v0", level="notice"):
    """The node is running."""


@attrs.frozen
class ShuttingDownNode(_Main, name="shutting_down_node.v0", level="notice"):
    """The node begins to stop."""


@attrs.frozen
class Bye(_Main, name="bye.v0", level="notice", bare="exit_code"):
    """The node's last event."""

    exit_code: int
    """Negative if a signal ended the node."""


@attrs.frozen
class ReadIdentity(
    TypedEvent,
    name="read_identity.v0",
    section=("node", "identity"),
    level="notice",
    kind="node",
    bare="peer_id",
):
    """The node's identity was read."""

    peer_id: str


@attrs.frozen
class View:
    """What a request of the chain validator was about: a block or a peer, the other is None."""

    hash: str | None = None
    peer_id: str | None = None

    def __attrs_post_init__(self) -> None:
        if (self.hash is None) == (self.peer_id is None):
            raise ValueError("expected one of hash and peer_id")


@attrs.frozen
class HeadIncrement(_Chain, name="head_increment.v0", level="notice"):
    """The head has a successor."""

    view: View
    level: int


@attrs.frozen
class BranchSwitch(_Chain, name="branch_switch.v0", level="notice"):
    """The head is on another branch now."""

    view: View
    level: int


@attrs.frozen
class IgnoreHead(_Chain, name="ignore_head.v0", level="notice"):
    """A block is no better than the head."""

    view: View
    level: int


@attrs.frozen
class Connection(_Chain, name="connection.v0", level="info", bare="peer_id"):
    """A peer was connected."""

    peer_id: str


@attrs.frozen
class Disconnection(_Chain, name="disconnection.v0", level="info", bare="peer_id"):
    """A peer was disconnected."""

    peer_id: str


@attrs.frozen
class SetHead(
    TypedEvent, name="set_head.v0", section=("node", "store"), level="info", kind="node", bare="head"
):
    """The store has a new head."""

    head: tuple[str, int]
    """Hash and level."""


@attrs.frozen
class WorkerStatus:
    """When a request was pushed, taken up and completed."""

    pushed: datetime
    treated: datetime
    completed: datetime


@attrs.frozen
class ShellOperation:
    """An operation whose protocol part is left as bytes."""

    branch: str
    data: bytes


@attrs.frozen
class Mempool:
    """Operations that a peer tells of, by their hashes."""

    known_valid: tuple[str, ...]
    pending: tuple[str, ...]


@attrs.frozen
class Flush:
    """The head has changed."""

    block: str
    event: Literal["ignored", "branch", "increment"]


@attrs.frozen
class Notify:
    """A peer tells of operations."""

    peer: str
    mempool: Mempool


@attrs.frozen
class Leftover:
    """The next batch of operations is taken up."""


@attrs.frozen
class Inject:
    """An operation comes through the RPC."""

    operation: ShellOperation
    force: bool


@attrs.frozen
class Arrived:
    """An operation came from a peer."""

    operation_hash: str
    operation: ShellOperation


@attrs.frozen
class Advertise:
    """Pending operations are told to the peers."""


@attrs.frozen
class Ban:
    """An operation is banned."""

    operation_hash: str


Request: TypeAlias = Flush | Notify | Leftover | Inject | Arrived | Advertise | Ban
"""What the mempool was asked; its class is the field ``request`` of the JSON."""


@attrs.frozen
class RequestCompletedInfo(_Prevalidator, name="request_completed_info.v0", level="info"):
    """The mempool has completed an ``inject`` or a ``flush``."""

    view: Request
    worker_status: WorkerStatus


@attrs.frozen
class RequestCompletedDebug(_Prevalidator, name="request_completed_debug.v0", level="debug"):
    """The mempool has completed a ``notify``, an ``arrived`` or another request."""

    view: Request
    worker_status: WorkerStatus


@attrs.frozen
class RequestFailed(_Prevalidator, name="request_failed.v0", level="notice"):
    """The mempool could not complete a request."""

    view: Request
    worker_status: WorkerStatus
    errors: tuple[dict[str, Any], ...]
    """The trace, outermost first."""


@attrs.frozen
class OperationInjected(_Prevalidator, name="operation_injected.v0", level="notice", bare="hash"):
    """An operation was injected into the mempool."""

    hash: str


@attrs.frozen
class CompilationError(
    TypedEvent,
    name="compilation_error.v0",
    section=("protocol_updater",),
    level="error",
    kind="node",
    bare="log_file",
):
    """A protocol could not be compiled."""

    log_file: str
