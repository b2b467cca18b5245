"""The files of a client's base directory: keys by alias, and what was signed last.

``public_key_hashs``, ``public_keys``, ``secret_keys`` and ``contracts`` are arrays of
``{"name", "value"}``, the newest first (``src/lib_client_base/client_aliases.ml``); secret keys are
unencrypted. Only their owner can read the files.
``<chain>_highwatermarks`` keeps a delegate from signing twice at one level and round
(``lib_delegate/baking_highwatermarks.ml``).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal, get_args

import attrs

from ..._mavryk.codec.base58 import Base58Error
from ..._mavryk.codec.crypto import UNENCRYPTED, Key, key_of_secret
from ..cli.json_text import pretty

HASHES: Final = "public key hash"
PUBLIC_KEYS: Final = "public_key"
SECRET_KEYS: Final = "secret_key"
SHORT_CHAIN: Final = 13
"""Characters of a chain's id that stand in names of files (``src/lib_crypto/helpers.ml``)."""

CONTRACTS: Final = "contract"
ROLLUPS: Final = "smart rollup"
LOCK_FILE: Final = "wallet_lock"

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
        return [
            parsed(str(uri), alias) for alias, uri in self.aliases(SECRET_KEYS).items() if alias in hashes
        ]

    def key(self, pkh: str) -> Key:
        """The key that signs for a public key hash. Raises ``WalletError``."""
        names = [alias for alias, value in self.aliases(HASHES).items() if value == pkh]
        secrets = self.aliases(SECRET_KEYS)
        for alias in names:
            if alias in secrets:
                return parsed(str(secrets[alias]), alias)
        raise WalletError(f"Unknown secret key for {pkh}")

    def check_fresh(self, alias: str) -> None:
        """Raise ``WalletError`` if there is a secret key of that alias."""
        current = self.aliases(SECRET_KEYS).get(alias)
        if current is not None:
            raise WalletError(
                f"The {SECRET_KEYS} alias {alias} already exists.\n"
                f"  The current value is {current}.\n"
                "  Use --force to update"
            )

    def check_pair(self, alias: str, key: Key) -> None:
        """Raise ``WalletError`` if that alias has the public key of another pair."""
        current = self.aliases(PUBLIC_KEYS).get(alias)
        if current is not None and _plain(current) != key.public_key:
            raise WalletError(f"public and secret keys '{alias}' don't correspond, please don't use --force")

    def import_secret(
        self, alias: str, uri: str, *, force: bool, tell: Callable[[Key], None] = lambda key: None
    ) -> None:
        """Add the pair of a secret key; ``tell`` is called before it is tried, as upstream does.

        Raises:
            WalletError: the URI is none that is known here, or the alias or the key is there.
        """
        if not force:
            self.check_fresh(alias)
        key = parsed(uri)
        if not force:
            self.check_pair(alias, key)
        tell(key)
        self.add(alias, key, force=force)

    def add(self, alias: str, key: Key, *, force: bool, with_key: bool = True) -> None:
        """Add a key pair under an alias: the newest entry of each file.

        Args:
            alias: its name.
            key: the pair; its own alias does not matter.
            force: replace what has that alias, and have other names for the same.
            with_key: write the public key beside its URI, as upstream does of a key that was imported.

        Raises:
            WalletError: the alias or the key is there.
        """
        uri = f"{UNENCRYPTED}{key.public_key}"
        values: dict[str, Any] = {
            PUBLIC_KEYS: {"locator": uri, "key": key.public_key} if with_key else uri,
            SECRET_KEYS: f"{UNENCRYPTED}{key.secret_key}",
            HASHES: key.pkh,
        }
        with self.locked():
            for entity, value in values.items():
                entries = self.aliases(entity)
                if not force and self._is_known(entity, entries, alias, value):
                    continue
                entries.pop(alias, None)
                self.write_aliases(entity, {alias: value, **entries})

    def _is_known(self, entity: str, entries: Mapping[str, Any], alias: str, value: object) -> bool:
        """Whether a value is there under its alias. Raises ``WalletError`` for half of it."""
        for name, known in entries.items():
            same = _plain(known) == _plain(value)
            if name == alias and same:
                return True
            if name == alias:
                raise WalletError(f"another {entity} is already aliased as {name}, use --force to update")
            if same:
                raise WalletError(
                    f"this {entity} is already aliased as {name}, use --force to insert duplicate"
                )
        return False

    def forget(self, alias: str, *, force: bool) -> None:
        """Remove what an alias has. Raises ``WalletError`` for one with keys, unless forced."""
        entities = (SECRET_KEYS, PUBLIC_KEYS, HASHES)
        if not force and any(alias in self.aliases(entity) for entity in entities[:2]):
            raise WalletError(f"secret or public key present for {alias}, use --force to delete")
        with self.locked():
            for entity in entities:
                entries = self.aliases(entity)
                entries.pop(alias, None)
                self.write_aliases(entity, entries)

    def forget_all(self) -> None:
        """Remove all keys."""
        with self.locked():
            for entity in (PUBLIC_KEYS, SECRET_KEYS, HASHES):
                self.write_aliases(entity, {})

    def write_aliases(self, entity: str, entries: Mapping[str, Any]) -> None:
        """Replace a file's values by alias. Raises ``WalletError``."""
        content = [{"name": name, "value": value} for name, value in entries.items()]
        self._write(self._path(entity), content)

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
        """Keep other clients of this base directory out, by the lock that upstream takes too.

        Who makes the file removes it. One that is there stays, since its maker counts on it.
        """
        path = self.folder / LOCK_FILE
        while True:
            lock, is_ours = self._opened(path)
            try:
                fcntl.lockf(lock, fcntl.LOCK_EX)
                # Its maker may have removed it while we waited, and somebody made a new one.
                if not (is_ours or _is_at(lock, path)):
                    continue
                try:
                    yield
                finally:
                    if is_ours:
                        path.unlink(missing_ok=True)
                return
            finally:
                os.close(lock)

    def _opened(self, path: Path) -> tuple[int, bool]:
        """A descriptor of the file, and whether it was made."""
        flags = os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC
        try:
            try:
                return os.open(path, flags | os.O_EXCL, 0o644), True
            except FileExistsError:
                return os.open(path, flags, 0o644), False
            except FileNotFoundError:
                self.folder.mkdir(parents=True, exist_ok=True)
                return self._opened(path)
        except OSError as error:
            raise WalletError(f"could not write in {self.folder}: {error.strerror}") from error

    def _path(self, entity: str) -> Path:
        return self.folder / (entity.replace(" ", "_") + "s")

    def _read(self, path: Path, entity: str, default: Any) -> Any:
        try:
            with open(path, "rb", buffering=0) as file:
                return json.loads(file.readall())
        except FileNotFoundError:
            return default
        except (OSError, ValueError) as error:
            raise WalletError(f"could not read the {entity} alias file: {error}") from error

    def _write(self, path: Path, content: object) -> None:
        text = pretty(content).encode()
        temporary = f"{path}.{os.getpid()}.tmp"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            # Keys are for nobody else's eyes, not even for a moment.
            file = os.open(temporary, flags, 0o600)
            try:
                while text:
                    text = text[os.write(file, text) :]
            finally:
                os.close(file)
            os.replace(temporary, path)
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary)
            raise WalletError(f"could not write the {path.name} file: {error.strerror}") from error


def parsed(uri: str, alias: str = "") -> Key:
    """The key of an unencrypted URI. Raises ``WalletError``, which never holds a key that can be read."""
    scheme, separator, secret = uri.partition(":")
    if separator and f"{scheme}:" != UNENCRYPTED:
        raise WalletError(f"The sandbox has no keys of the scheme {scheme}")
    try:
        return key_of_secret(uri, alias)
    except Base58Error:
        shown = secret if separator else uri
        raise WalletError(
            f'Failed to read a b58check_encoding data (Signature.Secret_key): "{shown}"'
        ) from None


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _plain(value: object) -> str:
    # Upstream's own files hold public keys as objects, which carry the text in `locator`.
    text = value.get("locator", "") if isinstance(value, dict) else value
    return str(text).removeprefix(UNENCRYPTED)
