"""The public names, which `accuser` hands out on first use."""

from types import FunctionType as _FunctionType

from ._accuser import Accuser as Accuser
from ._accuser import open_accuser as open_accuser
from ._baker import Baker as Baker
from ._baker import open_baker as open_baker
from ._client import Client as Client
from ._client import init_with_protocol as init_with_protocol
from ._client import open_client as open_client
from ._compare import Comparison as Comparison
from ._compare import compare as compare
from ._daemon import Daemon as Daemon
from ._daemon import open_daemon as open_daemon
from ._decode import Event as Event
from ._decode import Malformed as Malformed
from ._errors import AccuserError as AccuserError
from ._errors import AlreadyRunning as AlreadyRunning
from ._errors import BinaryNotFound as BinaryNotFound
from ._errors import CommandFailed as CommandFailed
from ._errors import DaemonExited as DaemonExited
from ._errors import DirectoryError as DirectoryError
from ._errors import EventPipeError as EventPipeError
from ._errors import EventTimeout as EventTimeout
from ._errors import HandlerFailed as HandlerFailed
from ._errors import HttpError as HttpError
from ._errors import Lagged as Lagged
from ._errors import MalformedEvent as MalformedEvent
from ._errors import NodeUnreachable as NodeUnreachable
from ._errors import NoFreePort as NoFreePort
from ._errors import NotRunning as NotRunning
from ._errors import PortTaken as PortTaken
from ._errors import RecordingError as RecordingError
from ._errors import RpcError as RpcError
from ._errors import RunnerError as RunnerError
from ._errors import RunnerFault as RunnerFault
from ._errors import ScenarioFailed as ScenarioFailed
from ._errors import SigningUnavailable as SigningUnavailable
from ._errors import SpawnFailed as SpawnFailed
from ._errors import StatsUnavailable as StatsUnavailable
from ._errors import TerminatedBeforeEvent as TerminatedBeforeEvent
from ._errors import UnexpectedEvent as UnexpectedEvent
from ._errors import UnexpectedValue as UnexpectedValue
from ._errors import UnknownEvent as UnknownEvent
from ._errors import UnknownProtocol as UnknownProtocol
from ._errors import WaitReport as WaitReport
from ._exits import ExitExpectation as ExitExpectation
from ._in_process import Sandbox as Sandbox
from ._in_process import open_sandbox as open_sandbox
from ._keys import BOOTSTRAP as BOOTSTRAP
from ._keys import Account as Account
from ._logs import LogFormatter as LogFormatter
from ._logs import reset_names as reset_names
from ._logs import setup_logging as setup_logging
from ._logs import wants_color as wants_color
from ._node import Node as Node
from ._node import open_node as open_node
from ._operations import ConsensusOperation as ConsensusOperation
from ._protocol import Protocol as Protocol
from ._record import Recording as Recording
from ._replay import Replay as Replay
from ._replay import open_replay as open_replay
from ._replay import replay as replay
from ._rpc import Endpoint as Endpoint
from ._runner import SSHRunner as SSHRunner
from ._stats import Stats as Stats
from ._supervise import Restart as Restart
from ._supervise import RestartPolicy as RestartPolicy
from ._toolchain import SANDBOX as SANDBOX
from ._toolchain import Toolchain as Toolchain
from ._toolchain import installed as installed
from ._tracks import CompareRules as CompareRules
from ._transcript import ReadyEvent as ReadyEvent
from ._transcript import ReadyLine as ReadyLine
from ._waits import DEFAULT as DEFAULT
from ._waits import Expectation as Expectation
from ._waits import Mark as Mark

# Users see these names as members of the package, in tracebacks and documents too.
for _value in list(globals().values()):
    if isinstance(_value, type | _FunctionType) and _value.__module__.startswith("accuser._"):
        _value.__module__ = "accuser"
