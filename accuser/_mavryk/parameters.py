"""The parameters that a protocol is activated with: upstream's sandbox constants, and changes to them.

The files in ``parameters/`` have the fields and values that upstream generates
(``src/proto_*/lib_parameters/default_parameters.ml``, ``constants_sandbox``), in the JSON of the
protocol's own encoding: numbers of up to 32 bits are numbers, larger ones, amounts (in mumav) and
periods (in seconds) are texts. Real protocols refuse a field that is missing and one too many.
"""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from .._files import writing
from .accounts import BOOTSTRAP
from .protocol import Protocol

BOOTSTRAP_BALANCE: Final = 4_000_000_000_000
"""What each bootstrap account has at first, in mumav."""

_OPTIONAL: Final = (
    "bootstrap_contracts",
    "bootstrap_smart_rollups",
    "commitments",
    "security_deposit_ramp_up_cycles",
    "no_reward_cycles",
    "testnet_dictator",
    "initial_seed",
)
"""Fields that the encodings know and the sandbox parameters leave out."""


def parameters(protocol: Protocol, overrides: Mapping[str, object] | None = None) -> dict[str, Any]:
    """Give the sandbox parameters of ``protocol``, with the five bootstrap accounts.

    Args:
        protocol: whose parameters.
        overrides: new values by dotted path, as in ``{"consensus_threshold": 6,
            "minimal_block_delay": 2, "dal_parametric.feature_enable": False}``, applied in this
            order. A value replaces the old one whole; None takes the field away; an int becomes
            a text where the protocol wants one.

    Raises:
        ValueError: a path names no field; the message has the nearest names.
    """
    result: dict[str, Any] = {
        "bootstrap_accounts": [[account.public_key, str(BOOTSTRAP_BALANCE)] for account in BOOTSTRAP],
        **_sandbox_constants(protocol),
    }
    for path, value in (overrides or {}).items():
        _override(result, path, value, protocol)
    return result


def write_parameter_file(
    protocol: Protocol, path: Path, overrides: Mapping[str, object] | None = None
) -> Path:
    """Write the `parameters` to the file ``path``, for ``activate protocol``; return ``path``.

    Raises:
        ValueError: as `parameters`; nothing is written then.
        TypeError: a new value has no JSON; nothing is written then.
        OSError: the file cannot be written.
    """
    text = parameters_text(protocol, overrides)
    with writing(path):
        path.write_text(text, encoding="utf-8")
    return path


def parameters_text(protocol: Protocol, overrides: Mapping[str, object] | None = None) -> str:
    """What `write_parameter_file` writes. Raises what `parameters` raises, and TypeError."""
    return json.dumps(parameters(protocol, overrides), indent=2) + "\n"


def _sandbox_constants(protocol: Protocol) -> dict[str, Any]:
    # Imported here because most programs that import the package activate nothing.
    from importlib import resources

    file = resources.files(__package__).joinpath("data", f"{protocol.tag}.json")
    constants: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return constants


def _override(result: dict[str, Any], path: str, value: object, protocol: Protocol) -> None:
    *parents, name = path.split(".")
    holder: Any = result
    for parent in parents:
        holder = holder.get(parent) if isinstance(holder, dict) else None
    optional = not parents and name in _OPTIONAL
    if not optional and not (isinstance(holder, dict) and name in holder):
        raise ValueError(_unknown(path, result, protocol))
    if value is None:
        holder.pop(name, None)
    elif isinstance(holder.get(name), str) and isinstance(value, int) and not isinstance(value, bool):
        holder[name] = str(value)
    else:
        # A copy, since who changes the result must not change what the caller keeps.
        holder[name] = copy.deepcopy(value)


def _unknown(path: str, result: dict[str, Any], protocol: Protocol) -> str:
    known = [*_paths(result), *_OPTIONAL]
    last = path.rpartition(".")[2]
    near = [name for name in known if last and name.rpartition(".")[2] == last]
    near += [name for name in difflib.get_close_matches(path, known) if name not in near]
    text = f"no parameter {path!r} in those of {protocol.long_name}"
    return f"{text}; near it are {', '.join(near)}" if near else text


def _paths(holder: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in holder.items():
        yield prefix + name
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{name}.")
