"""Strict decoding of JSON values, with the complaints that upstream's decoder makes.

Upstream's client takes exactly the fields that it knows: one missing or one more, and the whole
value is refused. A shape here is a function of a value and its path that raises ``Mismatch``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

Path = tuple[str, ...]
Shape = Callable[[object, Path], None]


class Mismatch(ValueError):
    """A value does not have the expected shape.

    ``str()`` is the complaint without its place; ``at_path`` says where, as upstream does inside
    the alternatives of a union.
    """

    def __init__(self, path: Path, reason: str) -> None:
        self.path: Final = path
        self.reason: Final = reason
        super().__init__(reason[:1].upper() + reason[1:])

    @property
    def at_path(self) -> str:
        """The complaint with its place."""
        return f"At /{'/'.join(self.path)}, {self.reason}" if self.path else str(self)


_KINDS: Final = {
    type(None): "null",
    bool: "boolean",
    str: "string",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
}
"""Of what JSON is read as."""


def _expect(value: object, expected: str, path: Path) -> None:
    if (kind := _KINDS.get(type(value), "object")) != expected:
        raise Mismatch(path, f"unexpected {kind} instead of {expected}")


def anything(value: object, path: Path) -> None: ...


def text(value: object, path: Path) -> None:
    _expect(value, "string", path)


def number(value: object, path: Path) -> None:
    _expect(value, "number", path)
    if isinstance(value, float) and not value.is_integer():
        raise Mismatch(path, "unexpected float instead of integer")


def boolean(value: object, path: Path) -> None:
    _expect(value, "boolean", path)


def constant(expected: str) -> Shape:

    def check(value: object, path: Path) -> None:
        _expect(value, "string", path)
        if value != expected:
            raise Mismatch(path, f"unexpected string instead of {expected}")

    return check


def optional(shape: Shape) -> Shape:
    """Null, or a value of that shape."""

    def check(value: object, path: Path) -> None:
        if value is not None:
            shape(value, path)

    return check


def array(shape: Shape) -> Shape:
    """A list of values of that shape."""

    def check(value: object, path: Path) -> None:
        _expect(value, "array", path)
        assert isinstance(value, list)
        if shape is number and set(map(type, value)) <= {int}:
            return  # a committee's slots, level after level
        for index, item in enumerate(value):
            shape(item, (*path, str(index)))

    return check


def record(required: Mapping[str, Shape], may_have: Mapping[str, Shape] | None = None) -> Shape:
    """An object with all of the first fields, maybe some of the second, and no others."""
    optional_fields = may_have or {}

    def check(value: object, path: Path) -> None:
        _expect(value, "object", path)
        assert isinstance(value, dict)
        for name, shape in required.items():
            if name not in value:
                raise Mismatch(path, f"missing object field {name}")
            shape(value[name], (*path, name))
        for name, item in value.items():
            if name in optional_fields:
                optional_fields[name](item, (*path, name))
            elif name not in required:
                raise Mismatch((*path, name), f"unexpected object field {name}")

    return check
