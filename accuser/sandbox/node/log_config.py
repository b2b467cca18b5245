"""Which sinks a node has by its configuration file and command line.

Sources: ``src/lib_base/unix/{internal_event_unix,logs_simple_config}.ml``, ``level_config_rules.ml``.
Upstream's node also writes a daily file; this one does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from ..sink.uri import Level
from .config import Config, ConfigError

RULES_VARIABLES: Final = ("MAVRYK_LOG", "LWT_LOG")
"""Environment variables with rules, the first one that is set wins over the configuration file's."""

_FIELDS: Final = {"output": str, "level": str, "colors": bool, "rules": str}
_SCHEMES: Final = {
    "stdout": "file-descriptor-stdout:",
    "stderr": "file-descriptor-stderr:",
    "null": "file-descriptor-null:",
    "/dev/null": "file-descriptor-null:",
}


def sinks(config: Config, verbosity: int, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The URIs of the sinks beside those of the environment.

    ``internal-events`` of the configuration takes the place of the log, whose ``output``, ``level``,
    ``colors`` and ``rules`` are under ``log``.

    Args:
        config: of the node, with the command line applied.
        verbosity: how many ``-v`` were given.
        environ: the environment of the process.

    Raises:
        ConfigError: the configuration cannot be understood.
    """
    events = config.get("internal-events")
    if events is not None:
        return _active(events)
    log = config.get("log", default={})
    check(log)
    level = {0: log.get("level", "notice"), 1: "info"}.get(verbosity, "debug")
    origin, rules = _rules(log, environ)
    query = [f"section-prefix={quote(pattern, safe='')}:{least}" for pattern, least in _parsed(origin, rules)]
    colors = "true" if log.get("colors", True) else "false"
    query += ["format=pp-short", f"level-at-least={level}", f"colors={colors}"]
    return (f"{_place(log.get('output', 'stderr'))}?{'&'.join(query)}",)


def check(log: object) -> None:
    """Raise ``ConfigError`` unless this is the ``log`` of a configuration."""
    if not isinstance(log, dict) or set(log) - set(_FIELDS):
        raise ConfigError("The configuration's /log is an object of output, level, colors and rules.")
    for name, kind in _FIELDS.items():
        if name in log and not isinstance(log[name], kind):
            raise ConfigError(f"The configuration's /log/{name} is not of type {kind.__name__}.")
    if log.get("level", "notice") not in [level.name.lower() for level in Level]:
        raise ConfigError(f"The configuration's /log/level is no level: {log['level']}")


def _active(events: Any) -> tuple[str, ...]:
    if isinstance(events, dict) and len(events) <= 1 and set(events) <= {"active_sinks", "activate"}:
        uris: Any = next(iter(events.values()), [])
        if isinstance(uris, list) and all(isinstance(uri, str) for uri in uris):
            return tuple(uris)
    raise ConfigError('The configuration\'s /internal-events is {"active_sinks": [URI, ...]}.')


def _place(output: str) -> str:
    """The scheme and path of a log's output."""
    if output in _SCHEMES:
        return _SCHEMES[output]
    if output.startswith("syslog:"):
        return f"file-descriptor-{output}"
    return f"file-descriptor-path:{quote(output)}"


def _rules(log: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[str, str]:
    for name in RULES_VARIABLES:
        if name in environ:
            return f"environment variable {name}", environ[name]
    return "configuration file", log.get("rules", "")


def _parsed(origin: str, rules: str) -> list[tuple[str, str]]:
    """``p2p -> debug; * -> info`` as patterns (empty for all sections) and levels."""
    found = []
    for rule in rules.split(";"):
        if not rule.strip():
            continue
        pattern, arrow, name = rule.partition("->")
        pattern, name = (pattern.strip(), name.strip()) if arrow else ("*", pattern.strip())
        level = Level.parse(name)
        if not pattern or level is None:
            raise ConfigError(f"Incorrect log rules defined in {origin}")
        found.append(("" if pattern == "*" else pattern, level.name.lower()))
    return found
