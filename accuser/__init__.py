"""Spawn accusers of the Mavryk network, and control them, in Trio's structured concurrency.

The packages, from the top; each imports only what stands below it, which `lint` checks:

    commands/  pytest/         programs and the plugin, which users start
    scenarios/  testing/       made of the public interface alone
    explore/  _explore/        networks drawn from seeds, and a judge of accusers
    _daemons/                  what users hold: daemons, clients, endpoints, replays
    _engine/                   one run of a daemon: session, transcript, readiness, waits, exits
    _hosts/                    where daemons run: this machine, one by SSH, a container, this process
    _comparison/  timeline/    recordings put to use
    sandbox/                   executables of our own: node, accuser, baker, client
    events/  _recording/       events as classes; the entries of recordings
    _mavryk/  _http/           what the chain defines; HTTP/1.1
    _stream/                   bytes of a pipe, events, history and watches
    _errors, _report, ...      leaves
"""

from __future__ import annotations

import importlib as _importlib
import types as _types
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ._comparison.compare import Comparison as Comparison
    from ._comparison.compare import compare as compare
    from ._comparison.tracks import CompareRules as CompareRules
    from ._daemons.accuser import Accuser as Accuser
    from ._daemons.accuser import AccuserOptions as AccuserOptions
    from ._daemons.accuser import open_accuser as open_accuser
    from ._daemons.baker import Baker as Baker
    from ._daemons.baker import BakerOptions as BakerOptions
    from ._daemons.baker import open_baker as open_baker
    from ._daemons.client import Client as Client
    from ._daemons.client import ClientOptions as ClientOptions
    from ._daemons.client import init_with_protocol as init_with_protocol
    from ._daemons.client import open_client as open_client
    from ._daemons.daemon import Daemon as Daemon
    from ._daemons.endpoint import Endpoint as Endpoint
    from ._daemons.node import Node as Node
    from ._daemons.node import NodeOptions as NodeOptions
    from ._daemons.node import open_node as open_node
    from ._daemons.opening import open_daemon as open_daemon
    from ._daemons.operations import ConsensusOperation as ConsensusOperation
    from ._daemons.options import DaemonOptions as DaemonOptions
    from ._daemons.replay import Replay as Replay
    from ._daemons.replay import open_replay as open_replay
    from ._daemons.replay import replay as replay
    from ._daemons.several import retry as retry
    from ._daemons.several import wait_for_any as wait_for_any
    from ._daemons.waits import WaitOptions as WaitOptions
    from ._engine.exits import ExitExpectation as ExitExpectation
    from ._engine.readiness import ReadyEvent as ReadyEvent
    from ._engine.readiness import ReadyLine as ReadyLine
    from ._engine.supervise import Restart as Restart
    from ._engine.supervise import RestartPolicy as RestartPolicy
    from ._engine.waits import DEFAULT as DEFAULT
    from ._engine.waits import Absence as Absence
    from ._engine.waits import Expectation as Expectation
    from ._engine.waits import Mark as Mark
    from ._errors import AccuserError as AccuserError
    from ._errors import AlreadyRunning as AlreadyRunning
    from ._errors import BinaryNotFound as BinaryNotFound
    from ._errors import CommandFailed as CommandFailed
    from ._errors import DaemonExited as DaemonExited
    from ._errors import DirectoryError as DirectoryError
    from ._errors import EventPipeError as EventPipeError
    from ._errors import EventTimeout as EventTimeout
    from ._errors import HandlerFailed as HandlerFailed
    from ._errors import Lagged as Lagged
    from ._errors import MalformedEvent as MalformedEvent
    from ._errors import NoFreePort as NoFreePort
    from ._errors import NotRunning as NotRunning
    from ._errors import PortTaken as PortTaken
    from ._errors import RecordingError as RecordingError
    from ._errors import RpcError as RpcError
    from ._errors import RunnerConfigError as RunnerConfigError
    from ._errors import RunnerError as RunnerError
    from ._errors import ScenarioFailed as ScenarioFailed
    from ._errors import SigningUnavailable as SigningUnavailable
    from ._errors import SpawnFailed as SpawnFailed
    from ._errors import StatsUnavailable as StatsUnavailable
    from ._errors import TerminatedBeforeEvent as TerminatedBeforeEvent
    from ._errors import UnexpectedEvent as UnexpectedEvent
    from ._errors import UnexpectedValue as UnexpectedValue
    from ._errors import UnknownEvent as UnknownEvent
    from ._errors import UnknownProtocol as UnknownProtocol
    from ._hosts.container.network import ContainerNetwork as ContainerNetwork
    from ._hosts.container.network import open_network as open_network
    from ._hosts.container.runner import ContainerRunner as ContainerRunner
    from ._hosts.container.runner import open_container as open_container
    from ._hosts.memory.machine import MEMORY as MEMORY
    from ._hosts.memory.machine import Sandbox as Sandbox
    from ._hosts.memory.machine import open_sandbox as open_sandbox
    from ._hosts.remote.runner import Runner as Runner
    from ._hosts.remote.runner import TransportRunner as TransportRunner
    from ._hosts.remote.transport import Shell as Shell
    from ._hosts.remote.transport import Transport as Transport
    from ._hosts.ssh.runner import SSHRunner as SSHRunner
    from ._hosts.ssh.runner_config import RunnerConfig as RunnerConfig
    from ._hosts.ssh.runner_config import load_runner_config as load_runner_config
    from ._hosts.toolchain import SANDBOX as SANDBOX
    from ._hosts.toolchain import Toolchain as Toolchain
    from ._hosts.toolchain import installed as installed
    from ._hosts.usage import Stats as Stats
    from ._http.errors import HttpError as HttpError
    from ._http.errors import NodeUnreachable as NodeUnreachable
    from ._logs import LogFormatter as LogFormatter
    from ._logs import reset_names as reset_names
    from ._logs import setup_logging as setup_logging
    from ._logs import wants_color as wants_color
    from ._mavryk.accounts import BOOTSTRAP as BOOTSTRAP
    from ._mavryk.accounts import Account as Account
    from ._mavryk.protocol import Protocol as Protocol
    from ._recording.doings import step as step
    from ._recording.writer import Recording as Recording
    from ._report import RunnerFault as RunnerFault
    from ._report import WaitReport as WaitReport
    from ._stream.event import Event as Event
    from ._stream.event import Malformed as Malformed

else:
    # Loaded on first use: the sandbox's programs are modules of this package too, start dozens of times in a
    # scenario, and need none of it.
    _WHERE: Final = {
        "Comparison": "._comparison.compare",
        "compare": "._comparison.compare",
        "CompareRules": "._comparison.tracks",
        "Accuser": "._daemons.accuser",
        "AccuserOptions": "._daemons.accuser",
        "open_accuser": "._daemons.accuser",
        "Baker": "._daemons.baker",
        "BakerOptions": "._daemons.baker",
        "open_baker": "._daemons.baker",
        "Client": "._daemons.client",
        "ClientOptions": "._daemons.client",
        "init_with_protocol": "._daemons.client",
        "open_client": "._daemons.client",
        "Daemon": "._daemons.daemon",
        "open_daemon": "._daemons.opening",
        "Endpoint": "._daemons.endpoint",
        "Node": "._daemons.node",
        "NodeOptions": "._daemons.node",
        "open_node": "._daemons.node",
        "WaitOptions": "._daemons.waits",
        "ConsensusOperation": "._daemons.operations",
        "DaemonOptions": "._daemons.options",
        "Replay": "._daemons.replay",
        "open_replay": "._daemons.replay",
        "replay": "._daemons.replay",
        "ExitExpectation": "._engine.exits",
        "ReadyEvent": "._engine.readiness",
        "ReadyLine": "._engine.readiness",
        "Restart": "._engine.supervise",
        "RestartPolicy": "._engine.supervise",
        "retry": "._daemons.several",
        "wait_for_any": "._daemons.several",
        "Absence": "._engine.waits",
        "DEFAULT": "._engine.waits",
        "Expectation": "._engine.waits",
        "Mark": "._engine.waits",
        "AccuserError": "._errors",
        "AlreadyRunning": "._errors",
        "BinaryNotFound": "._errors",
        "CommandFailed": "._errors",
        "DaemonExited": "._errors",
        "DirectoryError": "._errors",
        "EventPipeError": "._errors",
        "EventTimeout": "._errors",
        "HandlerFailed": "._errors",
        "HttpError": "._http.errors",
        "Lagged": "._errors",
        "MalformedEvent": "._errors",
        "NodeUnreachable": "._http.errors",
        "NoFreePort": "._errors",
        "NotRunning": "._errors",
        "PortTaken": "._errors",
        "RecordingError": "._errors",
        "RpcError": "._errors",
        "RunnerConfigError": "._errors",
        "RunnerError": "._errors",
        "RunnerFault": "._report",
        "ScenarioFailed": "._errors",
        "SigningUnavailable": "._errors",
        "SpawnFailed": "._errors",
        "StatsUnavailable": "._errors",
        "TerminatedBeforeEvent": "._errors",
        "UnexpectedEvent": "._errors",
        "UnexpectedValue": "._errors",
        "UnknownEvent": "._errors",
        "UnknownProtocol": "._errors",
        "ContainerNetwork": "._hosts.container.network",
        "open_network": "._hosts.container.network",
        "ContainerRunner": "._hosts.container.runner",
        "open_container": "._hosts.container.runner",
        "MEMORY": "._hosts.memory.machine",
        "Sandbox": "._hosts.memory.machine",
        "open_sandbox": "._hosts.memory.machine",
        "Runner": "._hosts.remote.runner",
        "TransportRunner": "._hosts.remote.runner",
        "Shell": "._hosts.remote.transport",
        "Transport": "._hosts.remote.transport",
        "SSHRunner": "._hosts.ssh.runner",
        "RunnerConfig": "._hosts.ssh.runner_config",
        "load_runner_config": "._hosts.ssh.runner_config",
        "SANDBOX": "._hosts.toolchain",
        "Toolchain": "._hosts.toolchain",
        "installed": "._hosts.toolchain",
        "Stats": "._hosts.usage",
        "LogFormatter": "._logs",
        "reset_names": "._logs",
        "setup_logging": "._logs",
        "wants_color": "._logs",
        "BOOTSTRAP": "._mavryk.accounts",
        "Account": "._mavryk.accounts",
        "Protocol": "._mavryk.protocol",
        "step": "._recording.doings",
        "Recording": "._recording.writer",
        "WaitReport": "._report",
        "Event": "._stream.event",
        "Malformed": "._stream.event",
    }

    def __getattr__(name: str) -> object:
        if name == "__all__":
            return sorted(_WHERE)
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(_importlib.import_module(_WHERE[name], __name__), name)
        if isinstance(value, type | _types.FunctionType):
            # Users see these names as members of the package, in tracebacks and documents too.
            value.__module__ = __name__
        return value

    def __dir__() -> list[str]:
        return sorted({*_WHERE, *(name for name in globals() if name.startswith("__"))})
