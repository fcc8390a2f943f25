"""Complex numbers, which ropes are written with, as pairs of real values."""

import dataclasses

from ..graph import F32, Refused, Value
from .table import TABLE, converts

SHAPES = {"view", "reshape", "_unsafe_view", "unsqueeze", "squeeze", "transpose", "permute",
          "slice", "select", "expand", "flatten", "clone", "contiguous", "alias", "detach", "to",
          "_to_copy", "unbind", "split", "chunk"}  # fmt: skip


@dataclasses.dataclass
class Complex:
    real: Value
    imaginary: Value


@converts("polar")
def polar(c, node, size, angle):
    rank = len(c.shape(node))
    size, angle = (c.with_ones(x, rank, F32) for x in (size, angle))
    parts = (c.build.arithmetic("MUL", size, c.build.unary(name, angle)) for name in ("cos", "sin"))
    return Complex(*(c.without_ones(part, node) for part in parts))


@converts("complex")
def complex_(c, node, real, imaginary):
    return Complex(c.as_dtype(real, F32), c.as_dtype(imaginary, F32))


@converts("view_as_complex")
def view_as_complex(c, node, x):
    """[.., 2] as [..]."""
    pairs, last = c.build.view(c.as_dtype(x, F32), c.shape(x)), len(c.shape(x)) - 1
    return Complex(*(c.without_ones(c.build.narrow(pairs, last, i, 1), node) for i in (0, 1)))


def follow(c, node, *args, **kwargs):
    """An op with a complex operand."""
    name = node.target._schema.name.split("::")[1].removesuffix("_")
    if name == "view_as_real":
        x = c.raw(args[0])
        parts = [c.build.view(part, [*c.shape(args[0]), 1]) for part in (x.real, x.imaginary)]
        return c.without_ones(c.build.cat(parts, len(parts[0].dims) - 1), node)
    if name in ("mul", "multiply"):
        return _product(c, node, *args)
    if name in SHAPES:
        return _each(c, node, name, *args, **kwargs)
    raise Refused("complex numbers in an op that no rope needs")


def _product(c, node, a, b):
    rank, build = len(c.shape(node)), c.build

    def parts(x):
        value = c.raw(x) if c.is_tensor(x) else None
        if isinstance(value, Complex):
            full = [1] * (rank - len(c.shape(x))) + c.shape(x)
            return [build.view(part, full) for part in (value.real, value.imaginary)]
        return [c.with_ones(x, rank, F32) if c.is_tensor(x) else c.number(x, F32), None]

    (ar, ai), (br, bi) = parts(a), parts(b)
    if ai is None or bi is None:
        (r, i), factor = ((ar, ai), br) if bi is None else ((br, bi), ar)
        results = build.arithmetic("MUL", r, factor), build.arithmetic("MUL", i, factor)
    else:
        rr, ii, ri, ir = (
            build.arithmetic("MUL", x, y) for x, y in ((ar, br), (ai, bi), (ar, bi), (ai, br))
        )
        results = build.arithmetic("SUB", rr, ii), build.arithmetic("ADD", ri, ir)
    return Complex(*(c.without_ones(x, node) for x in results))


def _each(c, node, name, x, *args, **kwargs):
    """The op on one part, then on the other."""
    results = []
    for part in (c.raw(x).real, c.raw(x).imaginary):
        with c.standing_for(x, part):
            results.append(TABLE[name](c, node, x, *args, **kwargs))
    if isinstance(results[0], list):
        return [Complex(r, i) for r, i in zip(*results, strict=True)]
    return Complex(*results)
