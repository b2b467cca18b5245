"""Values of JSON to instances of classes, strictly: every array an array, every field declared, no other."""

from __future__ import annotations

import functools
import operator
import types
from datetime import datetime
from typing import Any, Final, TypeVar, Union, get_args, get_origin

import attrs

T = TypeVar("T")

TAG: Final = "request"
"""The field that says which class of a union a value has; its value is the class's name in lower case."""


def structure(value: object, cls: type[T]) -> T:
    """Make an instance of an attrs class from decoded JSON.

    A field whose metadata has ``json`` is called by that in JSON. Raises any `Exception`, which `problems`
    reads, for a value that does not fit.
    """
    made: T = _converter().structure(value, cls)
    return made


@functools.cache
def _converter() -> Any:
    import cattrs
    from cattrs.gen import make_dict_structure_fn, override

    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_structure_hook(str, _exactly(str))
    converter.register_structure_hook(int, _exactly(int))
    converter.register_structure_hook(bool, _exactly(bool))
    converter.register_structure_hook(bytes, _structure_hex)
    converter.register_structure_hook(datetime, _structure_time)
    converter.register_structure_hook_func(
        functools.partial(operator.eq, dict[str, Any]), lambda value, _: dict(_object(value))
    )
    # Left to itself, cattrs iterates over strings and the keys of objects as well.
    for array in (tuple[str, ...], tuple[bytes, ...], tuple[dict[str, Any], ...], tuple[str, int]):
        items: Any = converter.get_structure_hook(array)
        converter.register_structure_hook_func(
            functools.partial(operator.eq, array), functools.partial(_structure_array, items)
        )
    converter.register_structure_hook(str | dict[str, int], _structure_additional_info)
    converter.register_structure_hook_func(_is_union, functools.partial(_structure_union, converter))

    def of_class(cls: type) -> Any:
        names = {
            field.name: override(rename=field.metadata["json"])
            for field in attrs.fields(cls)
            if "json" in field.metadata
        }
        hook: Any = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, **names)  # type: ignore[arg-type]  # its keywords are one mapping here
        return functools.partial(_structure_object, hook)

    converter.register_structure_hook_factory(attrs.has, of_class)
    return converter


def _structure_object(hook: Any, value: object, cls: type) -> Any:
    return hook(_object(value), cls)


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, got {type(value).__name__}")
    return value


def _structure_array(hook: Any, value: object, array: Any) -> Any:
    if not isinstance(value, list):
        raise TypeError(f"expected an array, got {type(value).__name__}")
    return hook(value, array)


def _structure_additional_info(value: object, _: Any) -> str | dict[str, int]:
    if isinstance(value, str):
        return value
    return {kind: _exactly(int)(number, int) for kind, number in _object(value).items()}


def _is_union(cls: Any) -> bool:
    return get_origin(cls) in (types.UnionType, Union) and all(map(attrs.has, get_args(cls)))


def _structure_union(converter: Any, value: object, union: Any) -> Any:
    fields = dict(_object(value))
    what = fields.pop(TAG, None)
    for cls in get_args(union):
        if cls.__name__.lower() == what:
            return converter.structure(fields, cls)
    raise ValueError(f"no {TAG}" if what is None else f"no {TAG} is called {what!r}")


def _structure_hex(text: object, _: type) -> bytes:
    data = bytes.fromhex(_exactly(str)(text, str))
    if len(text) != 2 * len(data):  # type: ignore[arg-type]  # a text, as just checked
        raise ValueError("white space among hexadecimal digits")
    return data


def _exactly(wanted: type) -> Any:
    def structure(value: object, _: type) -> object:
        if type(value) is not wanted:
            raise TypeError(f"expected {wanted.__name__}, got {type(value).__name__}")
        return value

    return structure


def _structure_time(text: object, _: type) -> datetime:
    time = datetime.fromisoformat(_exactly(str)(text, str))
    if time.tzinfo is None:
        raise ValueError("a time without its zone")
    return time


def problems(error: Exception, bare: str | None) -> tuple[str, ...]:
    """Say at which paths a value does not fit, and why.

    Args:
        error: what `structure` raised.
        bare: the field that the whole value is, where it is no object of fields.
    """
    from cattrs import transform_error

    described = transform_error(error, path="$", format_exception=_describe)
    # The field of a bare value is ours; what was written is the value itself.
    return tuple(text.replace(f"$.{bare}", "$") if bare else text for text in described)


def _describe(error: BaseException, _: type | None) -> str:
    if isinstance(error, KeyError):
        return "required field missing"
    if type(error).__name__ == "ForbiddenExtraKeysError":
        return f"unknown fields {', '.join(sorted(error.extra_fields))}"  # type: ignore[attr-defined]  # forbidden keys, by its kind
    return str(error) or type(error).__name__
