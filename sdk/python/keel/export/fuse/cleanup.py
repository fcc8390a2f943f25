"""Local rules: shape changes that cancel, numbers that are folded, activations that are multiplied.

Each rule looks at one node and its inputs (made anew already) and gives what stands for it, or
None. They are applied until nothing changes.
"""

import torch

from .. import graph as g
from ..graph import Builder, Function, Node, Rows, Value

ROUNDS = 8


def cleaned(function: Function) -> Function:
    for _ in range(ROUNDS):
        before = _outline(function)
        function = function.rebuilt(_rule)
        if _outline(function) == before:
            break
    return function


def _outline(function: Function) -> list[tuple]:
    return [(node.op, node.output.type) for node in function.nodes()]


def _rule(build: Builder, node: Node, x: tuple[Value | None, ...]) -> Value | None:
    for rule in RULES.get(node.op, ()):
        result = rule(build, node, x)
        if result is not None:
            return result
    return None


def _view(build, node, x):
    """A view of a view."""
    source = x[0].node.inputs[0] if x[0].made_by("VIEW") else x[0]
    dims = node.output.dims
    return source if dims == source.dims else build.view(source, dims)


def _permute(build, node, x):
    """A permutation of a permutation, or of ones only."""
    if x[0].made_by("PERMUTE"):
        return build.permute(x[0].node.inputs[0], [x[0].node.ints[i] for i in node.ints])
    return None


def _cast(build, node, x):
    """There and back to a type that holds it all."""
    inner = x[0].node
    if (
        x[0].made_by("CAST")
        and inner.inputs[0].dtype == node.output.dtype
        and _holds(x[0].dtype, node.output.dtype)
    ):
        return inner.inputs[0]
    return x[0] if x[0].dtype == node.output.dtype else None


def _holds(wide: str, narrow: str) -> bool:
    return (wide, narrow) in {(g.F32, g.MODEL), (g.F32, g.F16), (g.I64, g.I32), (g.I64, g.BOOL)}


def _behind_permute(build, node, x):
    """op(permute(x)) is permute(op(x)), so that permutations meet and cancel."""
    first = x[0].node
    if not x[0].made_by("PERMUTE"):
        return None
    order, last = first.ints, len(first.ints) - 1
    if node.op in ("NORM", "SOFTMAX") and order[last] != last:
        return None
    if node.op == "SOFTMAX" and node.ints[0] not in (-1, last):
        return None
    return build.permute(_with_input(build, node, first.inputs[0]), order)


def _behind_view(build, node, x):
    """op(view(x)) is view(op(x)), where the view adds or drops ones alone, or has several rows of a
    token.

    So views meet and cancel, and a row is a token.
    """
    if not x[0].made_by("VIEW"):
        return None
    source, last = x[0].node.inputs[0], x[0].dims[-1:]
    rows = _rows_of_token(build, x[0])
    if rows is not None:
        source = rows
    elif [d for d in source.dims if d != 1] != [d for d in x[0].dims if d != 1]:
        return None
    if node.op in ("NORM", "SOFTMAX") and source.dims[-1:] != last:
        return None
    if node.op == "SOFTMAX" and node.ints[0] not in (-1, len(x[0].dims) - 1):
        return None
    ints = (-1,) if node.op == "SOFTMAX" else node.ints
    type = g.Type(node.output.dtype, source.dims)
    result = build.emit(
        node.op, [source], type, object=node.object, ints=ints, reals=node.reals, names=node.names
    )[0]
    return build.view(result, x[0].dims)


def _rows_of_token(build, value):
    """[k N, ..] that is a view of something else as [N, k, ..]."""
    if (
        not value.made_by("VIEW")
        or not value.dims
        or not isinstance(value.dims[0], Rows)
        or value.dims[0] == Rows()
    ):
        return None
    return build.view(value.node.inputs[0], (Rows(), value.dims[0].times, *value.dims[1:]))


def _both_rows_of_token(build, node, x):
    """The same of two, or of one and weights."""
    inner = [_rows_of_token(build, v) for v in x]
    if inner[0] is None and inner[1] is None:
        return None
    for i, v in enumerate(inner):
        if v is None and (
            len(x[i].dims) >= len(node.output.dims) or any(isinstance(d, Rows) for d in x[i].dims)
        ):
            return None
    inner = [v if v is not None else x[i] for i, v in enumerate(inner)]
    result = build.emit(
        node.op,
        inner,
        g.Type(node.output.dtype, g.broadcast(*(v.dims for v in inner))),
        ints=node.ints,
    )[0]
    return build.view(result, node.output.dims)


def _narrow(build, node, x):
    """A part of what is permuted."""
    if not x[0].made_by("PERMUTE"):
        return None
    dim, start, length = node.ints
    order = x[0].node.ints
    return build.permute(build.narrow(x[0].node.inputs[0], order[dim], start, length), order)


def _with_input(build: Builder, node: Node, x: Value) -> Value:
    type = g.Type(node.output.dtype, x.dims)
    return build.emit(
        node.op, [x], type, object=node.object, ints=node.ints, reals=node.reals, names=node.names
    )[0]


def _both_permuted(build, node, x):
    if not all(v.made_by("PERMUTE") for v in x) or x[0].node.ints != x[1].node.ints:
        return None
    inner = [v.node.inputs[0] for v in x]
    dims = g.broadcast(*(v.dims for v in inner))
    result = build.emit(node.op, inner, g.Type(node.output.dtype, dims), ints=node.ints)[0]
    return build.permute(result, x[0].node.ints)


def _all_permuted(build, node, x):
    """A join of values that are permuted alike."""
    if not all(v.made_by("PERMUTE") and v.node.ints == x[0].node.ints for v in x):
        return None
    order = x[0].node.ints
    return build.permute(build.cat([v.node.inputs[0] for v in x], order[node.ints[0]]), order)


def _choice(build, node, x):
    """1 where c, else y, written as c + (not c) * y."""
    for chosen, rest in ((x[0], x[1]), (x[1], x[0])):
        if not rest.made_by("MUL") or not _is_truth(chosen):
            continue
        for other, y in (rest.node.inputs, rest.node.inputs[::-1]):
            if not _is_truth(other):
                continue
            c, opposite = chosen.node.inputs[0], other.node.inputs[0]
            if (
                opposite.made_by("UNARY")
                and opposite.node.ints[0] == g.UNARY["not"]
                and opposite.node.inputs[0] is c
            ):
                return build.where(c, build.cast(build.constant(torch.ones(1)), y.dtype), y)
    return None


def _is_truth(v: Value) -> bool:
    return v.made_by("CAST") and v.node.inputs[0].dtype == g.BOOL


def _number(v: Value) -> float | None:
    """The number that a constant is, behind a cast."""
    node = v.node
    while node is not None and node.op in ("CAST", "VIEW"):
        node = node.inputs[0].node
    if (
        node is not None
        and node.op == "CONSTANT"
        and node.data.numel() == 1
        and node.data.dtype.is_floating_point
    ):
        return node.data.item()
    return None


def _by_number(build, node, x):
    """Arithmetic with a constant of one element."""
    for i, (value, other) in enumerate(((x[0], x[1]), (x[1], x[0]))):
        number = _number(other)
        if number is None or value.dims != node.output.dims or (node.op == "DIV" and i):
            continue
        mul, add = {
            "ADD": (1.0, number),
            "SUB": (-1.0, number) if i else (1.0, -number),
            "MUL": (number, 0.0),
            "DIV": (1 / number if number else 0.0, 0.0),
        }[node.op]
        return build.affine(value, mul, add)
    return None


def _act_mul(build, node, x):
    """act(gate) * up."""
    if x[0].dims != x[1].dims:
        return None
    for gate, up in ((x[0], x[1]), (x[1], x[0])):
        if gate.made_by("UNARY") and gate.node.ints[0] > g.UNARY_ACT:
            return build.act_mul(gate.node.ints[0] - g.UNARY_ACT, gate.node.inputs[0], up)
    return None


def _nothing(build, node, x):
    return x[0] if node.reals == (1.0, 0.0) else None


RULES = {
    "VIEW": [_view],
    "PERMUTE": [_permute],
    "CAST": [_cast, _behind_permute, _behind_view],
    "CAT": [_all_permuted],
    "NARROW": [_narrow],
    "NORM": [_behind_permute, _behind_view],
    "SOFTMAX": [_behind_permute, _behind_view],
    "UNARY": [_behind_permute, _behind_view],
    "AFFINE": [_nothing, _behind_permute, _behind_view],
    "CLAMP": [_behind_permute, _behind_view],
    "ADD": [_by_number, _choice, _both_permuted, _both_rows_of_token],
    "SUB": [_by_number, _both_permuted, _both_rows_of_token],
    "MUL": [_by_number, _act_mul, _both_permuted, _both_rows_of_token],
    "DIV": [_by_number, _both_permuted, _both_rows_of_token],
    "ACT_MUL": [_both_rows_of_token],
}
