"""The file that tells upstream's remote tests about the other machine.

Facts: ``tezt/remote_tests/runner_config.ml``.
"""

from __future__ import annotations

import difflib
import json
import os
from pathlib import Path
from typing import Any, Final

import attrs

from ..._errors import RunnerConfigError
from .runner import SSHRunner

VARIABLE: Final = "TEZT_RUNNER_CONFIG"
DEFAULT_FILE: Final = "runner_config.json"

_KEYS: Final[dict[str, type]] = {
    "ip_address": str,
    "ssh_alias": str,
    "ssh_user": str,
    "ssh_port": int,
    "ssh_id": str,
    "node_path": str,
    "ssh_config": str,
}


@attrs.frozen
class RunnerConfig:
    """What a runner configuration says."""

    runner: SSHRunner
    """The other machine."""
    node_path: str | None
    """The node's executable there, absolute; None if the file does not tell."""


def load_runner_config(path: str | Path | None = None) -> RunnerConfig:
    """Read the JSON file that upstream's remote tests read.

    Its keys are ``ip_address``, which it must have, ``ssh_alias``, ``ssh_user``, ``ssh_port``,
    ``ssh_id`` (the file of a private key), ``node_path``, and, which upstream does not know,
    ``ssh_config`` (a configuration file for ``ssh``). Null is the same as nothing.

    Args:
        path: by default what the environment variable ``TEZT_RUNNER_CONFIG`` names, else
            ``runner_config.json`` in the working directory.

    Raises:
        RunnerConfigError: there is no such file, or it does not say what it must.
    """
    file = Path(path or os.environ.get(VARIABLE) or DEFAULT_FILE)

    def wrong(reason: str) -> RunnerConfigError:
        return RunnerConfigError(file, reason)

    try:
        value = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise wrong(f"there is no such file; {VARIABLE} may name another one") from None
    except OSError as error:
        raise wrong(f"it cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise wrong(f"it is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise wrong('it must be an object, as in {"ip_address": "192.0.2.7"}')
    given = _checked(value, wrong)
    if "ip_address" not in given:
        raise wrong('it needs "ip_address", the name or IP address of the other machine')
    node_path = given.get("node_path")
    if node_path is not None and not node_path.startswith("/"):
        raise wrong(f'"node_path" is a path there, and must be absolute: {node_path!r} is not')
    try:
        runner = SSHRunner(
            given["ip_address"],
            alias=given.get("ssh_alias"),
            user=given.get("ssh_user"),
            port=given.get("ssh_port"),
            identity=given.get("ssh_id"),
            config=given.get("ssh_config"),
        )
    except ValueError as error:
        raise wrong(str(error)) from error
    return RunnerConfig(runner, node_path)


def _checked(value: dict[str, Any], wrong: Any) -> dict[str, Any]:
    given = {name: part for name, part in value.items() if part is not None}
    for name, part in given.items():
        if name not in _KEYS:
            near = difflib.get_close_matches(name, _KEYS, 1)
            meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_KEYS)}"
            raise wrong(f"unknown key {name!r}; {meant}")
        kind = _KEYS[name]
        if not isinstance(part, kind) or isinstance(part, bool) or part == "":
            what = "a number" if kind is int else "a text that is not empty"
            raise wrong(f"{name!r} must be {what}, and is {part!r}")
    return given
