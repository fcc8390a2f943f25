"""Along one dimension: sums, means, the largest, softmax, running sums."""

from .. import graph as g
from ..graph import Refused, Rows
from . import own_attention
from .table import converts


def _reduced(c, x, dims, name, dtype):
    value = c.as_dtype(x, dtype)
    for at in sorted((a for a in (c.axis(x, d) for d in dims) if a is not None), reverse=True):
        if isinstance(value.dims[at], Rows):
            raise Refused(f"{name} over the tokens of the batch")
        value = c.build.reduce(value, at, name)
    return value


def _reduction(name):
    def convert(c, node, x, dim=None, keepdim=False, dtype=None):
        if dim is None or dim == []:
            dim = list(range(len(c.shape(x))))
        return _reduced(c, x, [dim] if isinstance(dim, int) else dim, name, c.dtype(node))

    return convert


for _name in ("sum", "mean", "amax"):
    converts(_name)(_reduction(_name))


@converts("norm", "linalg_vector_norm")
def vector_norm(c, node, x, order=2, dim=None, keepdim=False, dtype=None):
    """(sum |x|^order)^(1/order)."""
    if order not in (1, 2) or dim is None:
        raise Refused(f"a norm of the order {order}, expected 1 or 2")
    dims, kind = [dim] if isinstance(dim, int) else dim, c.dtype(node)
    value = c.as_dtype(x, kind)
    powers = c.build.unary("abs", value) if order == 1 else c.build.arithmetic("MUL", value, value)
    with c.standing_for(x, powers):
        total = _reduced(c, x, dims, "sum", kind)
    return total if order == 1 else c.build.unary("sqrt", total)


@converts("var")
def variance(c, node, x, dim=None, unbiased=True, keepdim=False, correction=None):
    """mean((x - mean)^2), of all elements of one dimension."""
    if isinstance(dim, list) and len(dim) == 1:
        dim = dim[0]
    if not isinstance(dim, int) or isinstance(dim, bool):
        raise Refused("a variance over several dimensions")
    at = c.axis(x, dim)
    correction = int(unbiased) if correction is None else correction
    value = c.value(x)
    mean = c.build.reduce(value, at, "mean")
    mean = c.build.view(mean, (*value.dims[:at], 1, *value.dims[at + 1 :]))
    centred = c.build.arithmetic("SUB", value, mean)
    result = c.build.reduce(c.build.arithmetic("MUL", centred, centred), at, "mean")
    size = value.dims[at]
    return result if not correction else c.build.affine(result, size / (size - correction), 0.0)


@converts("std")
def deviation(c, node, x, *args, **kwargs):
    return c.build.unary("sqrt", variance(c, node, x, *args, **kwargs))


@converts("softmax", "_softmax")
def softmax(c, node, x, dim, dtype=None):
    if isinstance(c.shape(x)[dim], Rows):
        return own_attention.weights_of(c, node, x)
    at = c.axis(x, dim)
    value = c.as_dtype(x, c.dtype(node))
    if at is None:
        return c.build.affine(value, 0.0, 1.0)
    return c.build.softmax(value, at)


@converts("log_softmax", "_log_softmax")
def log_softmax(c, node, x, dim, dtype=None):
    return c.build.unary("log", softmax(c, node, x, dim, dtype))


@converts("cumsum")
def cumsum(c, node, x, dim, dtype=None):
    at, value = c.axis(x, dim), c.as_dtype(x, c.dtype(node))
    if at is not None and isinstance(value.dims[at], Rows):
        raise Refused("a running sum over the tokens of the batch")
    return value if at is None else c.build.cumsum(value, at)


@converts("topk")
def topk(c, node, x, k, dim=-1, largest=True, sorted=True):
    at, value = c.axis(x, dim), c.value(x)
    if at is None and k == 1:  # of one there is
        return [value, c.build.affine(c.build.cast(value, g.I64), 0.0, 0.0)]
    if not largest or at != len(value.dims) - 1:
        raise Refused("the smallest, or not of the last dimension")
    results = c.build.topk(value, k)
    return [c.without_ones_of(r, node.meta["val"][i]) for i, r in enumerate(results)]


@converts("argmax")
def argmax(c, node, x, dim=None, keepdim=False):
    at, value = c.axis(x, dim), c.value(x)
    if at != len(value.dims) - 1:
        raise Refused("the largest of another than the last dimension")
    return c.without_ones(c.build.topk(value, 1)[1], node)


def _minmax(name, reduction):
    def convert(c, node, a, b=None, keepdim=False):
        if c.is_tensor(b):
            rank, dtype = len(c.shape(node)), c.dtype(node)
            both = (c.with_ones(x, rank, dtype) for x in (a, b))
            return c.without_ones(c.build.minmax(name, *both), node)
        if reduction is None or b is None:
            raise Refused(f"{name} over everything")
        value = _reduced(c, a, [b], reduction, c.dtype(a))
        of, at = c.value(a), c.axis(a, b)
        if at is None or at != len(of.dims) - 1:
            return [value, None]  # its index is not given
        return [value, c.build.view(c.build.topk(of, 1)[1], value.dims)]

    return convert


converts("maximum", "max")(_minmax("max", "amax"))
converts("minimum", "min")(_minmax("min", None))
