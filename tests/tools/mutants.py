"""Mutants of a module: copies that differ by one decision each, made on its syntax tree. Pure."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from types import CodeType
from typing import Final, cast

import attrs

Operators = dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]
_COMPARISONS: Final[Operators] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.GtE, ast.LtE),
    ast.LtE: (ast.Gt, ast.Lt),
    ast.Gt: (ast.LtE, ast.GtE),
    ast.GtE: (ast.Lt, ast.Gt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
"""The negation first, then the same with its boundary moved."""

_ARITHMETIC: Final[dict[type[ast.operator], ast.operator]] = {
    ast.Add: ast.Sub(),
    ast.Sub: ast.Add(),
    ast.Mult: ast.FloorDiv(),
    ast.FloorDiv: ast.Mult(),
}
_FUNCTIONS: Final = {"max": "min", "min": "max", "any": "all", "all": "any"}

_UNTOUCHED: Final = frozenset({"annotation", "returns", "decorator_list"})
"""Fields of the tree that decide nothing."""


@attrs.frozen
class _Place:
    parent: ast.AST
    field: str
    index: int | None
    """None where the field holds one node."""

    def put(self, new: ast.AST) -> ast.AST:
        """Put a node there; what was there."""
        held = getattr(self.parent, self.field)
        if self.index is None:
            setattr(self.parent, self.field, new)
            return cast("ast.AST", held)
        old: ast.AST = held[self.index]
        held[self.index] = new
        return old


@attrs.frozen
class Mutant:
    """One change. ``where`` is the qualified name of the function; ``change`` reads "old -> new"."""

    where: str
    line: int
    change: str
    is_condition: bool
    """Whether it changes what is decided, rather than what is then done or said."""
    _tree: ast.Module
    _place: _Place
    _new: ast.AST

    @property
    def name(self) -> str:
        """Where and what, without the line: stays the same when lines move."""
        return f"{self.where}: {self.change}"

    def code(self, filename: str) -> CodeType:
        """Compile it."""
        # All mutants share one tree, because copies take longer than the tests.
        old = self._place.put(self._new)
        try:
            return compile(ast.fix_missing_locations(self._tree), filename, "exec")
        finally:
            self._place.put(old)


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its text.

    Changed are conditions of every kind (made constant, negated, their boundary moved, an operand
    left out), numbers (by one), booleans and texts, arithmetic, the order of a ``sorted``, the
    parts of a key, and statements that do something (left out): returns, raises, yields, calls and
    assignments to what outlives the function.
    """
    tree = ast.parse(source)
    for place, node, where in _nodes(tree, "module"):
        for new in _changes(node):
            ast.copy_location(new, node)
            change = f"{_shown(node)} -> {_shown(new)}"
            if isinstance(node, ast.Constant):
                change += f" in {_shown(place.parent)}"
            yield Mutant(where, getattr(node, "lineno", 0), change, _is_condition(node), tree, place, new)


def _nodes(node: ast.AST, where: str) -> Iterator[tuple[_Place, ast.AST, str]]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        where = node.name if where == "module" else f"{where}.{node.name}"
    for name, value in ast.iter_fields(node):
        if name in _UNTOUCHED:
            continue
        several = isinstance(value, list)
        for index, child in enumerate(value if several else [value]):
            if isinstance(child, ast.AST) and not _is_silent(child):
                yield _Place(node, name, index if several else None), child, where
                yield from _nodes(child, where)


def _is_condition(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return not isinstance(node.value, str)
    return isinstance(
        node,
        ast.If
        | ast.While
        | ast.IfExp
        | ast.comprehension
        | ast.Compare
        | ast.BoolOp
        | ast.UnaryOp
        | ast.BinOp
        | ast.Call
        | ast.Return,
    )


def _is_silent(node: ast.AST) -> bool:
    """Docstrings and imports; and assertions, which tell the type checker what is known."""
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Import | ast.ImportFrom | ast.Assert)


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.If() | ast.While() | ast.IfExp():
            for constant in (True, False):
                new = copy.copy(node)
                new.test = ast.Constant(constant)
                yield new
        case ast.comprehension(ifs=[_, *_]):
            for index in range(len(node.ifs)):
                new_clause = copy.copy(node)
                new_clause.ifs = node.ifs[:index] + node.ifs[index + 1 :]
                yield new_clause
        case ast.Compare(ops=[operator]):
            yield from (
                ast.Compare(node.left, [other()], node.comparators) for other in _COMPARISONS[type(operator)]
            )
            yield from _shorter_comparisons(node)
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
            for index in range(len(node.values)):
                rest = node.values[:index] + node.values[index + 1 :]
                yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield _bare(node.operand)
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            yield ast.BinOp(node.left, _ARITHMETIC[type(node.op)], node.right)
        case ast.Call(func=ast.Name(id=name)) if name in _FUNCTIONS:
            yield ast.Call(ast.Name(_FUNCTIONS[name], ast.Load()), node.args, node.keywords)
        case ast.Call(func=ast.Name(id="sorted")):
            yield ast.Call(ast.Name("list", ast.Load()), node.args[:1], [])
            yield ast.Call(ast.Name("reversed", ast.Load()), [_bare(node)], [])
        case ast.Constant():
            yield from map(ast.Constant, _other_values(node.value))
        case ast.Assign(targets=[ast.Name()], value=ast.Tuple() as parts):
            for index in range(len(parts.elts)):
                elements = [*parts.elts[:index], ast.Constant(None), *parts.elts[index + 1 :]]
                yield ast.Assign(node.targets, ast.Tuple(elements, ast.Load()))
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]) if node.col_offset:
            yield ast.Pass()
        case ast.Expr() | ast.AugAssign() | ast.Delete() | ast.Return() | ast.Raise() | ast.Continue():
            yield ast.Pass()


def _shorter_comparisons(node: ast.Compare) -> Iterator[ast.AST]:
    """Of two tuples compared, each place left out on both sides."""
    match node:
        case ast.Compare(left=ast.Tuple() as left, comparators=[ast.Tuple() as right]):
            for index in range(len(left.elts)):
                sides = [
                    ast.Tuple(side.elts[:index] + side.elts[index + 1 :], ast.Load())
                    for side in (left, right)
                ]
                yield ast.Compare(sides[0], node.ops, [sides[1]])


def _bare(node: ast.expr) -> ast.expr:
    """A copy under another identity: the node itself is what is being replaced, or lies in it."""
    return copy.copy(node)


def _other_values(value: object) -> list[bool | int | str]:
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, value - 1]
        case str():
            return [f"{value}~"]
        case _:
            return []


def _shown(node: ast.AST) -> str:
    """One line of source, shortened: of a statement with a body, the first."""
    text = ast.unparse(node).partition("\n")[0]
    return text if len(text) <= 90 else f"{text[:87]}..."
