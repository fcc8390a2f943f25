"""Comparisons, logic, and choices by truths."""

from .. import graph as g
from ..graph import Refused
from .table import converts


def _compare(name):
    def convert(c, node, a, b):
        rank = len(c.shape(node))
        dtype = c.dtype(a)
        if not c.is_tensor(b):
            other = c.number(b, dtype)
        else:
            if c.dtype(b) != dtype:
                wide = {*(c.dtype(x) for x in (a, b))}
                dtype = next(d for d in (g.F32, g.MODEL, g.I64, g.I32, g.BOOL) if d in wide)
            other = c.with_ones(b, rank, dtype)
        return c.without_ones(c.build.compare(name, c.with_ones(a, rank, dtype), other), node)

    return convert


for _name in g.COMPARE:
    converts(_name)(_compare(_name))


def logical_of(c, name, a, b, rank):
    return c.build.logical(name, c.with_ones(a, rank, g.BOOL), c.with_ones(b, rank, g.BOOL))


for _name in ("and", "or", "xor"):
    for _prefix in ("logical_", "bitwise_", "__"):
        _full = f"__{_name}__" if _prefix == "__" else f"{_prefix}{_name}"

        @converts(_full)
        def logical(c, node, a, b, _name=_name):
            if c.dtype(node) != g.BOOL:
                raise Refused("logic of the bits of numbers")
            return c.without_ones(logical_of(c, _name, a, b, len(c.shape(node))), node)


@converts("logical_not", "bitwise_not")
def logical_not(c, node, x):
    if c.dtype(node) != g.BOOL:
        raise Refused("logic of the bits of numbers")
    return c.build.unary("not", c.as_dtype(x, g.BOOL))


@converts("where")
def where(c, node, condition, a=None, b=None):
    if a is None:
        raise Refused("where without values: the number of results depends on the data")
    rank, dtype = len(c.shape(node)), c.dtype(node)
    sides = [c.with_ones(x, rank, dtype) if c.is_tensor(x) else c.number(x, dtype) for x in (a, b)]
    return c.without_ones(c.build.where(c.with_ones(condition, rank, g.BOOL), *sides), node)


@converts("masked_fill")
def masked_fill(c, node, x, mask, value):
    return where(c, node, mask, value, x)
