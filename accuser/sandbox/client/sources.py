"""What an argument of a command means: an alias, a file, or the thing itself.

Sources: ``src/lib_client_base/client_aliases.ml``, ``lib_client/client_proto_contracts.ml``. An
argument that means nothing is told with each way in which it was read.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from ..._mavryk.codec.base58 import Base58Error, Kind, decode
from ..._mavryk.codec.crypto import UNENCRYPTED, Key
from .ocaml import cannot_read
from .wallet import CONTRACTS, HASHES, SECRET_KEYS, Wallet, WalletError, parsed

T = TypeVar("T")
Ways = Mapping[str, Callable[[str], T]]

HASH_KINDS: Final = (Kind.MV1, Kind.MV2, Kind.MV3, Kind.MV4)

_FOREIGN: Final = ("encrypted", "ledger", "remote", "http", "https", "tcp", "unix")
"""Schemes of keys that upstream has, and the sandbox has not."""


def is_one_of(kinds: Iterable[Kind], text: str) -> bool:
    """Whether a text is of one of those kinds, its checksum included."""
    for kind in kinds:
        with contextlib.suppress(Base58Error):
            decode(kind, text)
            return True
    return False


def public_key_hash(text: str) -> str:
    """The hash of a public key. Raises ``WalletError``."""
    if is_one_of(HASH_KINDS, text):
        return text
    raise WalletError(f'Failed to read a b58check_encoding data (Signature.Public_key_hash): "{text}"')


def delegate(wallet: Wallet, text: str) -> str:
    """The public key hash that an alias, a file, or the hash itself stands for. Raises ``WalletError``."""
    return _first_of(
        text,
        {"alias": wallet.address, "file": lambda path: public_key_hash(_read(path)), "text": public_key_hash},
    )


def secret(wallet: Wallet, text: str) -> Key:
    """The key that an alias, a file or a URI stands for. Raises ``WalletError``."""

    def of_alias(alias: str) -> Key:
        uri = wallet.aliases(SECRET_KEYS).get(alias)
        if uri is None:
            raise WalletError(f"no {SECRET_KEYS} alias named {alias}")
        return parsed(str(uri), alias)

    def of_uri(uri: str) -> Key:
        return parsed(checked_uri(uri))

    return _first_of(text, {"alias": of_alias, "file": lambda path: of_uri(_read(path)), "text": of_uri})


def checked_uri(text: str) -> str:
    """The URI of a secret key, as given. Raises ``WalletError`` if it has no scheme."""
    if ":" not in text:
        raise WalletError("Error while parsing URI: SK_URI needs a scheme")
    return text


def known_scheme(uri: str) -> None:
    """Raise ``WalletError`` unless the scheme of a secret key's URI is one that the sandbox has."""
    scheme = uri.partition(":")[0]
    if f"{scheme}:" == UNENCRYPTED:
        return
    if scheme in _FOREIGN:
        raise WalletError(f"The sandbox has no keys of the scheme {scheme}")
    raise WalletError(f"No matching plugin for key scheme {scheme}")


def contract(wallet: Wallet, text: str) -> str:
    """The account that a hash or an alias stands for. Raises ``WalletError``."""
    kind, _, rest = text.partition(":")
    if kind in ("alias", "key", "text") and rest:
        ways: Ways[str] = {
            "alias": lambda name: _named_contract(wallet, name),
            "key": wallet.address,
            "text": _contract_hash,
        }
        return ways[kind](rest)
    try:
        return _contract_hash(text)
    except WalletError as first:
        try:
            return _named_contract(wallet, text)
        except WalletError as second:
            raise WalletError(f"{first}\n{second}") from None


def _contract_hash(text: str) -> str:
    if is_one_of((*HASH_KINDS, Kind.CONTRACT), text):
        return text
    raise WalletError(f'bad contract notation\nInvalid contract notation "{text}"')


def _named_contract(wallet: Wallet, name: str) -> str:
    found = wallet.aliases(CONTRACTS).get(name) or wallet.aliases(HASHES).get(name)
    if found is None:
        raise WalletError(f"no contract or key named {name}")
    return str(found)


def _first_of(text: str, ways: Ways[T]) -> T:
    """What the first way makes of a text, or the one that the text names: ``alias:bootstrap1``."""
    kind, colon, rest = text.partition(":")
    if colon and kind in ways:
        return ways[kind](rest)
    complaints = []
    for way in ways.values():
        try:
            return way(text)
        except WalletError as error:
            complaints.append(str(error))
    raise WalletError("\n".join([*complaints, "Could not parse input."])) from None


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise WalletError(cannot_read(error, path)) from error
