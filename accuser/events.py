"""The events of accusers and nodes as classes, structured from an `Event` on demand.

Names, sections, levels and shapes: ``src/proto_*/lib_delegate/delegate_events.ml`` and
``client_baking_blocks.ml`` for the accuser (the three protocols declare the same events),
``src/lib_shell/chain_validator_events.ml``, ``prevalidator_events.ml``,
``src/lib_store/shared/store_events.ml`` and ``src/bin_node/node_run_command.ml`` for the node, the
requests to its mempool ``src/lib_shell_services/prevalidator_worker_state.ml``.

Structuring is strict: an array is a JSON array, an object has the declared fields and no others.
"""

from __future__ import annotations

import difflib
import functools
import operator
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, Self, TypeAlias, get_args

import attrs

from ._decode import Event
from ._errors import AccuserError, UnexpectedValue
from ._protocol import Protocol

_Bytes: TypeAlias = bytes  # which a field called bytes hides

PLACE: Final = "{protocol}"
"""Stands for the protocol's long name in names and sections."""

_DENUNCIATION: Final = (PLACE, "delegate", "denunciation")
_SCHEDULING: Final = (PLACE, "delegate", "baking-scheduling")


class TypedEvent:
    """Base of the classes; `find` gives the one of a name."""

    __slots__ = ()

    NAME: ClassVar[str]
    """The event's name with its version; ``{protocol}`` stands for the protocol's long name."""
    SECTION: ClassVar[tuple[str, ...]]
    """Path of its section, with the same place holder."""
    LEVEL: ClassVar[str]
    """``debug``, ``info``, ``notice`` or ``error``."""
    KIND: ClassVar[str]
    """Who emits it: ``accuser``, ``node`` or ``any``."""
    BARE: ClassVar[str | None] = None
    """The field that the event's value is, where it is no object of fields."""

    @classmethod
    def event_name(cls, protocol: Protocol | None) -> str:
        """Give the name as daemons of ``protocol`` write it.

        Raises:
            AccuserError: the name has the protocol in it, and None was given.
        """
        if PLACE not in cls.NAME:
            return cls.NAME
        if protocol is None:
            raise AccuserError(
                f"the name of {cls.__name__} has a protocol in it, and no protocol is known here"
            )
        return cls.NAME.replace(PLACE, protocol.long_name)

    @classmethod
    def from_event(cls, event: Event) -> Self:
        """Structure the value of an event.

        Raises:
            UnexpectedValue: it does not fit; the error says at which paths, and why.
        """
        value = event.value
        converter = _converter()
        try:
            typed: Self = converter.structure({cls.BARE: value} if cls.BARE else value, cls)
        except Exception as error:
            raise UnexpectedValue(event.name, _problems(error, cls.BARE)) from error
        return typed


# Of any daemon.


@attrs.frozen
class UriLoadedFromEnv(TypedEvent):
    """The first item of every event pipe: the sink's configuration."""

    NAME = "uri_loaded_from_env.v0"
    SECTION = ("internal_event_unix",)
    LEVEL = "notice"
    KIND = "any"
    variable: str
    value: str


# Of the accuser.


@attrs.frozen
class DaemonSetup(TypedEvent):
    """The protocol has started; the mempool's stream is about to be opened."""

    NAME, SECTION, LEVEL, KIND, BARE = "daemon_setup.v0", _SCHEDULING, "info", "accuser", "worker"
    worker: str
    """The protocol's long name."""


@attrs.frozen
class DaemonStart(TypedEvent):
    """The main loop begins."""

    NAME, SECTION, LEVEL, KIND, BARE = "daemon_start.v0", _SCHEDULING, "info", "accuser", "worker"
    worker: str
    """The protocol's long name."""


@attrs.frozen
class DaemonConnectionLost(TypedEvent):
    """The stream of blocks has ended."""

    NAME, SECTION, LEVEL, KIND, BARE = "daemon_connection_lost.v0", _SCHEDULING, "error", "accuser", "worker"
    worker: str
    """The protocol's long name."""


@attrs.frozen
class DaemonError(TypedEvent):
    """Handling a batch of operations failed; the daemon goes on."""

    NAME, SECTION, LEVEL, KIND = "daemon_error.v0", _SCHEDULING, "error", "accuser"
    worker: str
    errors: tuple[dict[str, Any], ...]
    """The trace, outermost first."""


@attrs.frozen
class CannotFetchEvent(TypedEvent):
    """Declared, and not emitted by the accuser."""

    NAME, SECTION, LEVEL, KIND, BARE = "cannot_fetch_event.v0", _SCHEDULING, "info", "accuser", "worker"
    worker: str


@attrs.frozen
class DaemonWakeup(TypedEvent):
    """Declared, and not emitted by the accuser."""

    NAME, SECTION, LEVEL, KIND, BARE = "daemon_wakeup.v0", _SCHEDULING, "debug", "accuser", "worker"
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
class BlockSeen(TypedEvent):
    """A block came from the stream of applied blocks; nothing was done with it yet."""

    NAME, SECTION, LEVEL, KIND = "block-seen-{protocol}.v0", (), "info", "accuser"
    hash: str
    occurrence: Occurrence
    header: ShellHeader


@attrs.frozen
class AccuserSawBlock(TypedEvent):
    """The processing of a block begins."""

    NAME, SECTION, LEVEL, KIND = "accuser_saw_block.v0", _DENUNCIATION, "debug", "accuser"
    level: int
    hash: str


@attrs.frozen
class AccuserProcessedBlock(TypedEvent):
    """The processing of a block has ended without an error of its own."""

    NAME, SECTION, LEVEL, KIND = "accuser_processed_block.v0", _DENUNCIATION, "notice", "accuser"
    BARE = "hash"
    hash: str


@attrs.frozen
class AccuserBlockError(TypedEvent):
    """A block could not be had or processed."""

    NAME, SECTION, LEVEL, KIND = "accuser_block_error.v0", _DENUNCIATION, "error", "accuser"
    hash: str
    errors: tuple[dict[str, Any], ...]
    """The trace, outermost first."""


@attrs.frozen
class FetchOperationsError(TypedEvent):
    """A block has no list of operations, which must not be."""

    NAME, SECTION, LEVEL, KIND, BARE = "fetch_operations_error.v0", _DENUNCIATION, "error", "accuser", "hash"
    hash: str


@attrs.frozen
class UnexpectedPrunedBlock(TypedEvent):
    """A block came without its metadata."""

    NAME, SECTION, LEVEL, KIND, BARE = "unexpected_pruned_block.v0", _DENUNCIATION, "error", "accuser", "hash"
    hash: str


@attrs.frozen
class ProtocolChangeDetected(TypedEvent):
    """A block whose next protocol is another; it is skipped."""

    NAME, SECTION, LEVEL, KIND = "protocol_change_detected.v0", _DENUNCIATION, "error", "accuser"


@attrs.frozen
class DoubleBakingDetected(TypedEvent):
    """A second block of one level, round and delegate; the evidence is about to be injected."""

    NAME, SECTION, LEVEL, KIND = "double_baking_detected.v0", _DENUNCIATION, "notice", "accuser"


@attrs.frozen
class DoubleBakingDenounced(TypedEvent):
    """The evidence of a double baking was injected."""

    NAME, SECTION, LEVEL, KIND = "double_baking_denounced.v0", _DENUNCIATION, "notice", "accuser"
    hash: str
    """Of the operation."""
    bytes: _Bytes
    """The signed operation."""


@attrs.frozen
class DoubleBakingButNot(TypedEvent):
    """The same block was seen again."""

    NAME, SECTION, LEVEL, KIND = "double_baking_but_not.v0", _DENUNCIATION, "debug", "accuser"


@attrs.frozen
class DoubleAttestationDetected(TypedEvent):
    """Two attestations that conflict; the evidence is about to be injected.

    The daemon writes the two hashes into each other's fields
    (``src/proto_*/lib_delegate/client_baking_denunciation.ml``). Here each is what its name says.
    """

    NAME, SECTION, LEVEL, KIND = "double_attestation_detected.v0", _DENUNCIATION, "notice", "accuser"
    existing: str = attrs.field(metadata={"json": "new_attestation"})
    """The operation that was known before."""
    new: str = attrs.field(metadata={"json": "existing_attestation"})
    """The one that has just been seen."""


@attrs.frozen
class DoubleAttestationDenounced(TypedEvent):
    """The evidence of a double attestation was injected."""

    NAME, SECTION, LEVEL, KIND = "double_attestation_denounced.v0", _DENUNCIATION, "notice", "accuser"
    hash: str
    """Of the operation."""
    bytes: _Bytes
    """The signed operation."""


@attrs.frozen
class DoublePreattestationDetected(TypedEvent):
    """As `DoubleAttestationDetected`, with the same quirk put right."""

    NAME, SECTION, LEVEL, KIND = "double_preattestation_detected.v0", _DENUNCIATION, "notice", "accuser"
    existing: str = attrs.field(metadata={"json": "new_preattestation"})
    """The operation that was known before."""
    new: str = attrs.field(metadata={"json": "existing_preattestation"})
    """The one that has just been seen."""


@attrs.frozen
class DoublePreattestationDenounced(TypedEvent):
    """The evidence of a double preattestation was injected."""

    NAME, SECTION, LEVEL, KIND = "double_preattestation_denounced.v0", _DENUNCIATION, "notice", "accuser"
    hash: str
    """Of the operation."""
    bytes: _Bytes
    """The signed operation."""


@attrs.frozen
class DoubleConsensusAlreadyDenounced(TypedEvent):
    """The delegate had been denounced for this level, round and kind; it was done again."""

    NAME, SECTION, LEVEL = "double_consensus_already_denounced.v0", _DENUNCIATION, "debug"
    KIND, BARE = "accuser", "hash"
    hash: str
    """Of the previous evidence."""


@attrs.frozen
class ConsensusOperationTooOld(TypedEvent):
    """An operation below the preserved levels is ignored."""

    NAME, SECTION, LEVEL, KIND = "consensus_operation_too_old.v0", _DENUNCIATION, "debug", "accuser"
    BARE = "hash"
    hash: str


@attrs.frozen
class ConsensusOperationTooFarInFuture(TypedEvent):
    """An operation more than two levels above the highest block is ignored."""

    NAME, SECTION, LEVEL = "consensus_operation_too_far_in_future.v0", _DENUNCIATION, "debug"
    KIND, BARE = "accuser", "hash"
    hash: str


@attrs.frozen
class InvalidLevelConversion(TypedEvent):
    """Internal, and never expected."""

    NAME, SECTION, LEVEL, KIND = "invalid_level_conversion.v0", _DENUNCIATION, "error", "accuser"
    BARE = "errors"
    errors: tuple[dict[str, Any], ...]


@attrs.frozen
class InconsistentAttestation(TypedEvent):
    """Declared, and never emitted."""

    NAME, SECTION, LEVEL, KIND = "inconsistent_attestation.v0", _DENUNCIATION, "error", "accuser"
    BARE = "hash"
    hash: str


# Of the node.


@attrs.frozen
class Version:
    """The version of a node's software."""

    major: int
    minor: int
    additional_info: str | dict[str, int]
    """``dev`` or ``release``, or for example ``{"rc": 1}``."""


@attrs.frozen
class StartingNode(TypedEvent):
    """The node begins to start."""

    NAME, SECTION, LEVEL, KIND = "starting_node.v0", ("node", "main"), "notice", "node"
    chain: str
    """Name of the network, as in ``MAVRYK``."""
    version: Version
    git_info: str
    """The commit that the node was built from."""


@attrs.frozen
class NodeIsReady(TypedEvent):
    """The node is running."""

    NAME, SECTION, LEVEL, KIND = "node_is_ready.v0", ("node", "main"), "notice", "node"


@attrs.frozen
class ShuttingDownNode(TypedEvent):
    """The node begins to stop."""

    NAME, SECTION, LEVEL, KIND = "shutting_down_node.v0", ("node", "main"), "notice", "node"


@attrs.frozen
class Bye(TypedEvent):
    """The node's last event."""

    NAME, SECTION, LEVEL, KIND, BARE = "bye.v0", ("node", "main"), "notice", "node", "exit_code"
    exit_code: int
    """Negative if a signal ended the node."""


@attrs.frozen
class ReadIdentity(TypedEvent):
    """The node's identity was read."""

    NAME, SECTION, LEVEL, KIND, BARE = "read_identity.v0", ("node", "identity"), "notice", "node", "peer_id"
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
class HeadIncrement(TypedEvent):
    """The head has a successor."""

    NAME, SECTION, LEVEL, KIND = "head_increment.v0", ("validator", "chain"), "notice", "node"
    view: View
    level: int


@attrs.frozen
class BranchSwitch(TypedEvent):
    """The head is on another branch now."""

    NAME, SECTION, LEVEL, KIND = "branch_switch.v0", ("validator", "chain"), "notice", "node"
    view: View
    level: int


@attrs.frozen
class IgnoreHead(TypedEvent):
    """A block is no better than the head."""

    NAME, SECTION, LEVEL, KIND = "ignore_head.v0", ("validator", "chain"), "notice", "node"
    view: View
    level: int


@attrs.frozen
class Connection(TypedEvent):
    """A peer was connected."""

    NAME, SECTION, LEVEL, KIND, BARE = "connection.v0", ("validator", "chain"), "info", "node", "peer_id"
    peer_id: str


@attrs.frozen
class Disconnection(TypedEvent):
    """A peer was disconnected."""

    NAME, SECTION, LEVEL, KIND, BARE = "disconnection.v0", ("validator", "chain"), "info", "node", "peer_id"
    peer_id: str


@attrs.frozen
class SetHead(TypedEvent):
    """The store has a new head."""

    NAME, SECTION, LEVEL, KIND, BARE = "set_head.v0", ("node", "store"), "info", "node", "head"
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
class RequestCompletedInfo(TypedEvent):
    """The mempool has completed an ``inject`` or a ``flush``."""

    NAME, SECTION, LEVEL, KIND = "request_completed_info.v0", ("prevalidator",), "info", "node"
    view: Request
    worker_status: WorkerStatus


@attrs.frozen
class RequestCompletedDebug(TypedEvent):
    """The mempool has completed a ``notify``, an ``arrived`` or another request."""

    NAME, SECTION, LEVEL, KIND = "request_completed_debug.v0", ("prevalidator",), "debug", "node"
    view: Request
    worker_status: WorkerStatus


@attrs.frozen
class RequestFailed(TypedEvent):
    """The mempool could not complete a request."""

    NAME, SECTION, LEVEL, KIND = "request_failed.v0", ("prevalidator",), "notice", "node"
    view: Request
    worker_status: WorkerStatus
    errors: tuple[dict[str, Any], ...]
    """The trace, outermost first."""


@attrs.frozen
class OperationInjected(TypedEvent):
    """An operation was injected into the mempool."""

    NAME, SECTION, LEVEL, KIND, BARE = "operation_injected.v0", ("prevalidator",), "notice", "node", "hash"
    hash: str


@attrs.frozen
class CompilationError(TypedEvent):
    """A protocol could not be compiled."""

    NAME, SECTION, LEVEL, KIND = "compilation_error.v0", ("protocol_updater",), "error", "node"
    BARE = "log_file"
    log_file: str


CLASSES: Final[tuple[type[TypedEvent], ...]] = tuple(
    value
    for value in list(globals().values())
    if isinstance(value, type) and issubclass(value, TypedEvent) and value is not TypedEvent
)

_PARTS: Final = (
    *(ShellHeader, Occurrence, Version, View, WorkerStatus, ShellOperation, Mempool),
    *get_args(Request),
)


@functools.cache
def catalogue(kind: str, protocol: Protocol | None) -> frozenset[str]:
    """The names of events that a daemon of this kind can emit; empty for a kind that is not known.

    Of the accuser it is all of them; nodes emit many more than upstream's tests use.
    """
    if kind not in ("accuser", "node"):
        return frozenset()
    protocols = list(Protocol) if protocol is None else [protocol]
    classes = [cls for cls in CLASSES if cls.KIND in (kind, "any")]
    return frozenset(cls.event_name(one) for cls in classes for one in protocols)


@functools.cache
def find(name: str) -> type[TypedEvent] | None:
    """Give the class of an event's name, of whatever protocol; None if it has none."""
    for cls in CLASSES:
        if name in {cls.event_name(protocol) for protocol in Protocol}:
            return cls
    return None


def suggest(name: str, known: frozenset[str]) -> tuple[str, ...]:
    """Give up to three known names that may have been meant, the likeliest first."""
    if f"{name}.v0" in known:
        return (f"{name}.v0",)
    # The names of protocols differ by more than a slip of the pen.
    stem = BlockSeen.NAME.partition("-" + PLACE)[0]
    if name.startswith(stem):
        return tuple(sorted(one for one in known if one.startswith(stem)))
    return tuple(difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.8))


@functools.cache
def _converter() -> Any:
    import cattrs
    from cattrs.gen import make_dict_structure_fn, override

    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(str, _exactly(str))
    converter.register_structure_hook(int, _exactly(int))
    converter.register_structure_hook(bool, _exactly(bool))
    converter.register_structure_hook(bytes, _structure_hex)
    converter.register_structure_hook(datetime, _structure_time)
    converter.register_structure_hook_func(
        functools.partial(operator.eq, dict[str, Any]), lambda value, _: dict(_object(value))
    )
    # Left to itself, cattrs iterates over strings and the keys of objects as well.
    for array in (tuple[str, ...], tuple[bytes, ...], tuple[dict[str, Any], ...], tuple[str, int]):
        items: Any = converter.get_structure_hook(array)
        converter.register_structure_hook_func(
            functools.partial(operator.eq, array), functools.partial(_structure_array, items)
        )
    converter.register_structure_hook(str | dict[str, int], _structure_additional_info)
    # The parts first: the hook of a class takes those of its fields as they are then.
    converter.register_structure_hook(Request, functools.partial(_structure_request, converter))
    for cls in (*_PARTS, *CLASSES):
        names = {
            field.name: override(rename=field.metadata["json"])
            for field in attrs.fields(cls)
            if "json" in field.metadata
        }
        hook: Any = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, **names)  # type: ignore[arg-type]
        converter.register_structure_hook(cls, functools.partial(_structure_object, hook))
    return converter


def _structure_object(hook: Any, value: object, cls: type) -> Any:
    return hook(_object(value), cls)


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, got {type(value).__name__}")
    return value


def _structure_array(hook: Any, value: object, array: Any) -> Any:
    if not isinstance(value, list):
        raise TypeError(f"expected an array, got {type(value).__name__}")
    return hook(value, array)


def _structure_additional_info(value: object, _: Any) -> str | dict[str, int]:
    if isinstance(value, str):
        return value
    return {kind: _exactly(int)(number, int) for kind, number in _object(value).items()}


def _structure_request(converter: Any, value: object, _: Any) -> Any:
    fields = dict(_object(value))
    what = fields.pop("request", None)
    for cls in get_args(Request):
        if cls.__name__.lower() == what:
            return converter.structure(fields, cls)
    raise ValueError("no request" if what is None else f"no request is called {what!r}")


def _structure_hex(text: object, _: type) -> bytes:
    data = bytes.fromhex(_exactly(str)(text, str))
    if len(text) != 2 * len(data):  # type: ignore[arg-type]
        raise ValueError("white space among hexadecimal digits")
    return data


def _exactly(wanted: type) -> Any:
    def structure(value: object, _: type) -> object:
        if type(value) is not wanted:
            raise TypeError(f"expected {wanted.__name__}, got {type(value).__name__}")
        return value

    return structure


def _structure_time(text: object, _: type) -> datetime:
    time = datetime.fromisoformat(_exactly(str)(text, str))
    if time.tzinfo is None:
        raise ValueError("a time without its zone")
    return time


def _problems(error: Exception, bare: str | None) -> tuple[str, ...]:
    from cattrs import transform_error

    described = transform_error(error, path="$", format_exception=_describe)
    # The field of a bare value is ours; what was written is the value itself.
    return tuple(text.replace(f"$.{bare}", "$") if bare else text for text in described)


def _describe(error: BaseException, _: type | None) -> str:
    if isinstance(error, KeyError):
        return "required field missing"
    if type(error).__name__ == "ForbiddenExtraKeysError":
        return f"unknown fields {', '.join(sorted(error.extra_fields))}"  # type: ignore[attr-defined]
    return str(error) or type(error).__name__
