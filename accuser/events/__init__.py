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

from .._errors import AccuserError, UnexpectedValue
from .._mavryk.protocol import Protocol
from .._stream.event import Event

_Bytes: TypeAlias = bytes  # which a field called bytes hides

PLACE: Final = "{protocol}"
"""Stands for the protocol's long name in names and sections."""


class TypedEvent:
    """Base of the classes; `find` gives the one of a name."""

    __slots__ = ()

    NAME: ClassVar[str] = ""
    """The event's name with its version; ``{protocol}`` stands for the protocol's long name."""
    SECTION: ClassVar[tuple[str, ...]] = ()
    """Path of its section, with the same place holder."""
    LEVEL: ClassVar[str] = "info"
    """``debug``, ``info``, ``notice`` or ``error``."""
    KIND: ClassVar[str] = "any"
    """Who emits it: ``accuser``, ``node`` or ``any``."""
    BARE: ClassVar[str | None] = None
    """The field that the event's value is, where it is no object of fields."""

    def __init_subclass__(
        cls,
        *,
        name: str | None = None,
        section: tuple[str, ...] | None = None,
        level: str | None = None,
        kind: str | None = None,
        bare: str | None = None,
    ) -> None:
        # What is not given is inherited; attrs makes each class anew, and gives nothing.
        cls.NAME = cls.NAME if name is None else name
        cls.SECTION = cls.SECTION if section is None else section
        cls.LEVEL = cls.LEVEL if level is None else level
        cls.KIND = cls.KIND if kind is None else kind
        cls.BARE = cls.BARE if bare is None else bare

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


# Who writes them, and in which section.


class _Scheduling(TypedEvent, section=(PLACE, "delegate", "baking-scheduling"), kind="accuser"):
    __slots__ = ()


class _Denunciation(TypedEvent, section=(PLACE, "delegate", "denunciation"), kind="accuser"):
    __slots__ = ()


class _Main(TypedEvent, section=("node", "main"), kind="node"):
    __slots__ = ()


class _Chain(TypedEvent, section=("validator", "chain"), kind="node"):
    __slots__ = ()


class _Prevalidator(TypedEvent, section=("prevalidator",), kind="node"):
    __slots__ = ()


# Of any daemon.


@attrs.frozen
class UriLoadedFromEnv(
    TypedEvent, name="uri_loaded_from_env.v0", section=("internal_event_unix",), level="notice", kind="any"
):
    """The first item of every event pipe: the sink's configuration."""

    variable: str
    value: str


# Of the accuser.


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
    """A block could not be had or processed."""

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


# Of the node.


@attrs.frozen
class Version:
    """The version of a node's software."""

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


CLASSES: Final[tuple[type[TypedEvent], ...]] = tuple(
    value
    for value in list(globals().values())
    if isinstance(value, type) and issubclass(value, TypedEvent) and value.NAME
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
