"""JSON objects: records of fields, and unions that a field tells apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Final

from .schema import BOOL, BinaryError, Schema, Source


class Field:
    """A field that must be there. ``aliases`` are former names, which are written but never read."""

    def __init__(self, name: str, schema: Schema, *aliases: str) -> None:
        self.names: Final = (name, *aliases)
        self.name: Final = name
        self.schema: Final = schema

    def write(self, fields: dict[str, Any], out: bytearray) -> None:
        """Append the bytes of the field, and take it out of ``fields``. Raises ``BinaryError``."""
        name = self.name
        if name not in fields:
            name = next((alias for alias in self.names if alias in fields), "")
            if not name:
                raise BinaryError(f"Missing object field {self.name}")
        try:
            self.schema.write(fields.pop(name), out)
        except BinaryError as error:
            raise BinaryError(f"{name}: {error}") from error

    def read(self, source: Source, fields: dict[str, Any]) -> None:
        """Take the field from the bytes into ``fields``. Raises ``BinaryError``."""
        fields[self.name] = self.schema.read(source)


class Optional(Field):
    """A field that may be absent: a presence byte before it."""

    def write(self, fields: dict[str, Any], out: bytearray) -> None:
        """See `Field.write`."""
        present = self.name in fields
        out.append(0xFF if present else 0)
        if present:
            super().write(fields, out)

    def read(self, source: Source, fields: dict[str, Any]) -> None:
        """See `Field.read`."""
        if BOOL.read(source):
            super().read(source, fields)


class Default(Field):
    """A field that JSON leaves out when it has its default value, and the bytes do not."""

    def __init__(self, name: str, schema: Schema, default: Any) -> None:
        super().__init__(name, schema)
        self.default: Final = default

    def write(self, fields: dict[str, Any], out: bytearray) -> None:
        """See `Field.write`."""
        fields.setdefault(self.name, self.default)
        super().write(fields, out)

    def read(self, source: Source, fields: dict[str, Any]) -> None:
        """See `Field.read`."""
        value = self.schema.read(source)
        if value != self.default:
            fields[self.name] = value


class OfProtocol(Field):
    """A field that is the protocol's hash, and has no bytes."""

    def __init__(self, name: str = "protocol") -> None:
        super().__init__(name, BOOL)

    def write(self, fields: dict[str, Any], out: bytearray) -> None:
        """See `Field.write`."""
        fields.pop(self.name, None)

    def read(self, source: Source, fields: dict[str, Any]) -> None:
        """See `Field.read`."""
        fields[self.name] = source.protocol


class Part(Field):
    """Fields of the same object that have a size of their own, or are described elsewhere."""

    def __init__(self, wrap: Schema) -> None:
        super().__init__("", wrap)

    def write(self, fields: dict[str, Any], out: bytearray) -> None:
        """See `Field.write`."""
        self.schema.write(_Taken(fields), out)

    def read(self, source: Source, fields: dict[str, Any]) -> None:
        """See `Field.read`."""
        fields.update(self.schema.read(source))


class _Taken(dict[str, Any]):
    """The fields that a `Part` shares with the record around it: what it takes is gone there too."""

    def __init__(self, fields: dict[str, Any]) -> None:
        super().__init__()
        self.fields: Final = fields


class Record(Schema):
    """An object: its fields one after the other."""

    def __init__(self, *fields: Field) -> None:
        self.fields: Final = fields
        # Blocks have many fields that are just there: those are read without a call of the field.
        self._reads: Final = tuple(
            (field.name, field.schema.read) if type(field) is Field else (None, field.read)
            for field in fields
        )
        self._writes: Final = tuple(
            (field, field.name if type(field) is Field else None, field.schema.write) for field in fields
        )

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        if isinstance(value, _Taken):
            self._write(value.fields, out)
            return
        if not isinstance(value, (dict, Mapping)):
            raise BinaryError(f"{str(value)[:50]} is no object")
        fields = dict(value)
        self._write(fields, out)
        if fields:
            raise BinaryError(f"At /{next(iter(fields))}, unexpected object field {next(iter(fields))}")

    def _write(self, fields: dict[str, Any], out: bytearray) -> None:
        for field, name, write in self._writes:
            if name not in fields:
                field.write(fields, out)
                continue
            try:
                write(fields.pop(name), out)
            except BinaryError as error:
                raise BinaryError(f"{name}: {error}") from error

    def read(self, source: Source) -> dict[str, Any]:
        """See `Schema.read`."""
        fields: dict[str, Any] = {}
        read: Any
        for name, read in self._reads:
            if name is None:
                read(source, fields)
            else:
                fields[name] = read(source)
        return fields


class Case:
    """A case of a union: its tag, the value of the field that tells, and the other fields."""

    def __init__(self, tag: int, word: str, *fields: Field, former: Sequence[str] = ()) -> None:
        self.tag: Final = tag
        self.word: Final = word
        self.former: Final = tuple(former)
        self.record: Final = Record(*fields)


class Union(Schema):
    """Objects of several kinds: a tag of one byte, then the fields of the kind."""

    def __init__(self, *cases: Case, by: str = "kind") -> None:
        self.by: Final = by
        self.words: Final = {word: case for case in cases for word in (case.word, *case.former)}
        self.tags: Final = {case.tag: case for case in cases}

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        if not isinstance(value, (dict, Mapping)):
            raise BinaryError(f"{str(value)[:50]} is no object")
        fields = value.fields if isinstance(value, _Taken) else dict(value)
        word = fields.pop(self.by, None)
        case = self.words.get(word) if isinstance(word, str) else None
        if case is None:
            raise BinaryError(f"{self.by}: {str(word)[:50]!r} has no binary form here")
        out.append(case.tag)
        case.record.write(_Taken(fields) if isinstance(value, _Taken) else fields, out)

    def read(self, source: Source) -> dict[str, Any]:
        """See `Schema.read`."""
        tag = source.byte()
        if tag not in self.tags:
            raise BinaryError(f"Unexpected tag {tag}")
        case = self.tags[tag]
        return {self.by: case.word, **case.record.read(source)}


class Shapes(Schema):
    """Objects of several shapes, told apart by the names of their fields; a tag of one byte."""

    def __init__(self, cases: Mapping[int, Record]) -> None:
        self.cases: Final = dict(cases)
        self.by_names: Final = {
            frozenset(names): tag
            for tag, record in self.cases.items()
            for names in product(*(field.names for field in record.fields))
        }

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        tag = self.by_names.get(frozenset(value)) if isinstance(value, (dict, Mapping)) else None
        if tag is None:
            raise BinaryError(f"{str(value)[:50]} is of no shape that is known here")
        out.append(tag)
        self.cases[tag].write(value, out)

    def read(self, source: Source) -> dict[str, Any]:
        """See `Schema.read`."""
        tag = source.byte()
        if tag not in self.cases:
            raise BinaryError(f"Unexpected tag {tag}")
        return self.cases[tag].read(source)


class Tagged(Schema):
    """A value behind a tag that is always the same."""

    def __init__(self, tag: int, inner: Schema) -> None:
        self.tag: Final = tag
        self.inner: Final = inner

    def write(self, value: Any, out: bytearray) -> None:
        """See `Schema.write`."""
        out.append(self.tag)
        self.inner.write(value, out)

    def read(self, source: Source) -> Any:
        """See `Schema.read`."""
        if (tag := source.byte()) != self.tag:
            raise BinaryError(f"Unexpected tag {tag}")
        return self.inner.read(source)
