"""The condition of `skip_where`: comparisons, arithmetic, `and`, `or`, `not` over the settings that a sweep varies, and nothing else."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from priomon_core.errors import SettingError
from priomon_sim.scenario.problems import unknown
from priomon_sim.sweep.values import Plain, plain

Values = Mapping[str, Plain]
Evaluate = Callable[[Values], Any]

LONGEST = 1_000  # characters; deeper nesting than that allows would not fit Python's stack
ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.Not: operator.not_, ast.USub: operator.neg, ast.UAdd: operator.pos}


def condition(text: str, paths: Sequence[str]) -> Callable[[Values], bool]:
    """The condition `text` as a function of the values at `paths`.

    A name is a path or the last parts of one, if they belong to no other. Raises `SettingError` here for what is no condition, and
    from the function for values that cannot be compared.
    """
    if len(text) > LONGEST:
        raise SettingError(f"found {len(text)} characters, expected a condition of at most {LONGEST}")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = f" at character {error.offset}" if isinstance(error, SyntaxError) else ""
        raise SettingError(f"not a condition{place}; expected one such as fanout > 2 and loss == 0 (quote units: '20 %')") from None
    evaluate = _compile(tree.body, paths)

    def holds(values: Values) -> bool:
        try:
            return bool(evaluate(values))
        except (TypeError, ZeroDivisionError) as error:
            given = ", ".join(f"{path}={value}" for path, value in values.items())
            raise SettingError(f"cannot be decided for {given}: {error}") from None

    return holds


def _compile(node: ast.expr, paths: Sequence[str]) -> Evaluate:
    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            return lambda values: value
        case ast.Constant(value=str() as text):
            meant = plain(text)[0]
            return lambda values: meant
        case ast.Name() | ast.Attribute():
            path = _path(ast.unparse(node), paths)
            return lambda values: values[path]
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            parts = [_compile(element, paths) for element in elements]
            return lambda values: [part(values) for part in parts]
        case ast.BoolOp(op=op, values=operands):
            terms = [_compile(operand, paths) for operand in operands]
            choose = all if isinstance(op, ast.And) else any
            return lambda values: choose(term(values) for term in terms)
        case ast.UnaryOp(op=op, operand=operand) if type(op) in UNARY:
            change, inner = UNARY[type(op)], _compile(operand, paths)
            return lambda values: change(inner(values))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            combine, a, b = ARITHMETIC[type(op)], _compile(left, paths), _compile(right, paths)
            return lambda values: combine(_number(a(values)), _number(b(values)))
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in COMPARISONS for op in ops):
            sides = [_compile(side, paths) for side in (left, *others)]
            tests = [COMPARISONS[type(op)] for op in ops]
            return lambda values: all(test(a(values), b(values)) for test, a, b in zip(tests, sides, sides[1:], strict=False))
    raise SettingError(
        f"found {ast.unparse(node)!r}, expected comparisons, arithmetic (+ - * / %), and, or, not over the settings that vary"
    )


def _number(value: Any) -> float:
    """`value`, if arithmetic may have it: a text times a million would be a long one."""
    if isinstance(value, (int, float)):
        return value
    raise TypeError(f"{value!r} is no number")


def _path(name: str, paths: Sequence[str]) -> str:
    """The only one of `paths` that is `name` or ends with it."""
    if name in paths:
        return name
    found = [path for path in paths if path.endswith(f".{name}")]
    if len(found) > 1:
        raise SettingError(f"found {name!r}, which may be {' or '.join(found)}; expected one of them in full")
    if not found:
        known = paths if "." in name else sorted({path.rpartition(".")[2] for path in paths})
        raise SettingError(unknown("setting", name, known))
    return found[0]
