"""The files of a client's base directory: keys by alias, and what was signed last.

``public_key_hashs``, ``public_keys`` and ``secret_keys`` are arrays of ``{"name", "value"}``
(``src/lib_client_base/client_aliases.ml``); secret keys are unencrypted.
``<chain>_highwatermarks`` keeps a delegate from signing twice at one level and round
(``lib_delegate/baking_highwatermarks.ml``).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, get_args

import attrs

from ..._mavryk.codec.base58 import Base58Error, Kind, decode
from ..._mavryk.codec.crypto import UNENCRYPTED, Key, key_of_secret

HASHES: Final = "public key hash"
PUBLIC_KEYS: Final = "public_key"
SECRET_KEYS: Final = "secret_key"
SHORT_CHAIN: Final = 13
"""Characters of a chain's id that stand in names of files (``src/lib_crypto/helpers.ml``)."""

_HASH_KINDS: Final = (Kind.MV1, Kind.MV2, Kind.MV3, Kind.MV4)

Signed = Literal["blocks", "preattestations", "attestations"]


class WalletError(Exception):
    """The wallet has not, or cannot hold, what is asked of it; the text is upstream's."""


@attrs.frozen
class Wallet:
    """The wallet of one base directory. Nothing is kept in memory between calls."""

    folder: Path

    def aliases(self, entity: str) -> dict[str, Any]:
        """Values by alias, in the order of the file. Raises ``WalletError``."""
        path = self._path(entity)
        entries = self._read(path, entity, [])
        try:
            return {str(entry["name"]): entry["value"] for entry in entries}
        except (KeyError, TypeError) as error:
            raise WalletError(f"did not understand the {entity} alias file {path} : {error}") from error

    def address(self, alias: str) -> str:
        """The public key hash of an alias. Raises ``WalletError``."""
        value = self.aliases(HASHES).get(alias)
        if value is None:
            raise WalletError(f"no {HASHES} alias named {alias}")
        return str(value)

    def public_key(self, alias: str) -> str | None:
        """The public key of an alias, if there is one. Raises ``WalletError``."""
        value = self.aliases(PUBLIC_KEYS).get(alias)
        return None if value is None else _plain(value)

    def keys(self) -> list[Key]:
        """All keys that can sign. Raises ``WalletError``."""
        hashes = self.aliases(HASHES)
        return [_parsed(alias, uri) for alias, uri in self.aliases(SECRET_KEYS).items() if alias in hashes]

    def key(self, pkh: str) -> Key:
        """The key that signs for a public key hash. Raises ``WalletError``."""
        names = [alias for alias, value in self.aliases(HASHES).items() if value == pkh]
        secrets = self.aliases(SECRET_KEYS)
        for alias in names:
            if alias in secrets:
                return _parsed(alias, secrets[alias])
        raise WalletError(f"Unknown secret key for {pkh}")

    def delegate(self, text: str) -> str:
        """The public key hash that an alias, or the hash itself, stands for. Raises ``WalletError``."""
        kind, _, rest = text.partition(":")
        if kind == "alias":
            return self.address(rest)
        if kind == "text":
            return _checked_hash(rest)
        known = self.aliases(HASHES).get(text)
        if known is not None:
            return str(known)
        try:
            return _checked_hash(text)
        except WalletError:
            raise WalletError(f"no {HASHES} alias named {text}\nCould not parse input.") from None

    def secret(self, text: str) -> Key:
        """The key of an alias, or of an unencrypted secret key. Raises ``WalletError``."""
        uri = self.aliases(SECRET_KEYS).get(text)
        if uri is not None:
            return _parsed(text, uri)
        try:
            return key_of_secret(text)
        except Base58Error:
            raise WalletError(f"no {SECRET_KEYS} alias named {text}\nCould not parse input.") from None

    def import_secret(self, alias: str, secret: str, *, force: bool) -> Key:
        """Add a key pair under an alias.

        Args:
            alias: its name.
            secret: ``unencrypted:edsk...``
            force: replace what has that alias.

        Raises:
            WalletError: the alias is taken, or the key cannot be read.
        """
        key = _parsed(alias, secret)
        values = {
            PUBLIC_KEYS: f"{UNENCRYPTED}{key.public_key}",
            SECRET_KEYS: f"{UNENCRYPTED}{key.secret_key}",
            HASHES: key.pkh,
        }
        with self.locked():
            if not force:
                self._check_fresh(alias, values)
            for entity, value in values.items():
                entries = {**self.aliases(entity), alias: value}
                content = [{"name": name, "value": entries[name]} for name in sorted(entries)]
                self._write(self._path(entity), content)
        return key

    def _check_fresh(self, alias: str, values: dict[str, str]) -> None:
        current = self.aliases(SECRET_KEYS).get(alias)
        if current is not None:
            raise WalletError(
                f"The {SECRET_KEYS} alias {alias} already exists.\n"
                f"  The current value is {current}.\n"
                "  Use --force to update"
            )
        for entity, value in values.items():
            for name, known in self.aliases(entity).items():
                if name == alias and _plain(known) != _plain(value):
                    raise WalletError(f"another {entity} is already aliased as {name}, use --force to update")
                if name != alias and _plain(known) == _plain(value):
                    raise WalletError(
                        f"this {entity} is already aliased as {name}, use --force to insert duplicate"
                    )

    def may_sign(
        self,
        chain: str,
        what: Signed,
        delegates: Sequence[str],
        level: int,
        round: int,
        *,
        force: bool = False,
    ) -> list[str]:
        """Those of ``delegates`` that have not signed as much; they are recorded as having.

        Args:
            chain: the chain's id.
            what: kind of what is to be signed.
            delegates: public key hashes.
            level: of what is to be signed.
            round: likewise.
            force: let all of them sign; the marks never go down.

        Raises:
            WalletError: the file of the marks cannot be read or written.
        """
        path = self._path(f"{chain[:SHORT_CHAIN]}_highwatermark")
        with self.locked():
            marks = self._read(path, f"{chain}_highwatermark", {})
            allowed = []
            try:
                entries = {kind: list(marks.get(kind, ())) for kind in get_args(Signed)}
                known = {entry["delegate"]: entry["highwatermark"] for entry in entries[what]}
                for delegate in delegates:
                    mark = known.get(delegate)
                    if mark is None or (mark["level"], mark["round"]) < (level, round):
                        known[delegate] = {"round": round, "level": level}
                        allowed.append(delegate)
            except (AttributeError, KeyError, TypeError) as error:
                raise WalletError(f"did not understand the highwatermark file {path} : {error}") from error
            if allowed:
                entries[what] = [
                    {"delegate": delegate, "highwatermark": known[delegate]} for delegate in sorted(known)
                ]
                self._write(path, entries)
        return list(delegates) if force else allowed

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other clients of this base directory out."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / "wallet_lock", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise WalletError(f"could not write in {self.folder}: {error.strerror}") from error
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _path(self, entity: str) -> Path:
        return self.folder / (entity.replace(" ", "_") + "s")

    def _read(self, path: Path, entity: str, default: Any) -> Any:
        try:
            return json.loads(path.read_bytes())
        except FileNotFoundError:
            return default
        except (OSError, ValueError) as error:
            raise WalletError(f"could not read the {entity} alias file: {error}") from error

    def _write(self, path: Path, content: object) -> None:
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            # Keys are nobody else's business.
            with open(temporary, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(json.dumps(content, indent=2) + "\n")
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise WalletError(f"could not write the {path.name} file: {error.strerror}") from error


def _parsed(alias: str, uri: str) -> Key:
    scheme, separator, _ = str(uri).partition(":")
    if separator and f"{scheme}:" != UNENCRYPTED:
        raise WalletError(f"uri scheme not supported: {scheme}")
    try:
        return key_of_secret(str(uri), alias)
    except Base58Error as error:
        raise WalletError(f"Cannot read the secret key {alias}: {error.reason}") from error


def _plain(value: object) -> str:
    # Upstream's own files hold public keys as objects, which carry the text in `locator`.
    text = value.get("locator", "") if isinstance(value, dict) else value
    return str(text).removeprefix(UNENCRYPTED)


def _checked_hash(text: str) -> str:
    for kind in _HASH_KINDS:
        try:
            decode(kind, text)
        except Base58Error:
            continue
        return text
    raise WalletError("Could not parse input.")
