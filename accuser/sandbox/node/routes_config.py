"""The RPC that replaces the event sinks of a running node.

Sources: ``src/lib_shell_services/config_services.ml``, ``src/lib_base/internal_event_config.ml``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ..._http.server import HttpFailure
from ..._mavryk.codec.fields import Fields, ForgeError
from ..chain.trace import (
    PERMANENT,
    NodeError,
    failure,
    shell_error,
)
from ..sink.uri import SinkUriError, UnknownScheme
from .cors import is_of_a_page
from .router import Call, Router

Reconfigure = Callable[[Sequence[str]], Awaitable[None]]
"""Makes these URIs the sinks. Raises ``SinkUriError`` and ``OSError``."""


def register(routes: Router, reconfigure: Reconfigure) -> None:
    """Add the RPC. There is none to read the configuration, as upstream has none."""

    async def configure(call: Call) -> object:
        if is_of_a_page(call.request.headers):
            # It names files to be written.
            raise HttpFailure(403, "Pages do not choose where this node writes.\n")
        fields = Fields(call.request.json())
        # The former name stands alone, as the new one does: no body has both.
        name = "activate" if fields.has("activate") else "active_sinks"
        uris = [_text(uri) for uri in fields.items(name)] if fields.has(name) else []
        fields.end()
        try:
            await reconfigure(uris)
        except UnknownScheme as error:
            raise _activation_error(error) from error
        except SinkUriError as error:
            raise failure(str(error)) from error
        except OSError as error:
            raise failure(f"Unix error in open: {error.strerror}") from error
        return {}

    routes.add("PUT", "/config/logging", configure)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ForgeError("/active_sinks", "not a list of strings")
    return value


def _activation_error(error: UnknownScheme) -> NodeError:
    case = "uri-scheme-not-registered" if error.scheme else "missing-uri-scheme"
    return shell_error(PERMANENT, "internal-event-activation-error", **{case: {"uri": error.uri}})
