"""Arithmetic, element by element: with numbers or tensors, and functions of one value."""

import math

from .. import graph as g
from ..graph import Refused
from .logic import logical_of
from .written_norms import written_norm
from .table import converts

FLOATS = (g.MODEL, g.F32, g.F16)


@converts("add")
def add(c, node, a, b, alpha=1):
    return _binary(c, node, "ADD", a, b, alpha)


@converts("sub", "subtract")
def sub(c, node, a, b, alpha=1):
    return _binary(c, node, "SUB", a, b, alpha)


@converts("rsub")
def rsub(c, node, a, b, alpha=1):
    if alpha != 1:
        raise Refused("rsub with a factor")
    return _binary(c, node, "SUB", b, a)


@converts("mul", "multiply")
def mul(c, node, a, b):
    norm = written_norm(c, node, a, b)
    return _binary(c, node, "MUL", a, b) if norm is None else norm


@converts("div", "divide", "true_divide")
def div(c, node, a, b, rounding_mode=None):
    if rounding_mode == "floor" and c.dtype(node) in FLOATS:
        return c.build.unary("floor", _binary(c, node, "DIV", a, b))
    if rounding_mode is not None:
        raise Refused(f"a division with the rounding {rounding_mode}")
    return _binary(c, node, "DIV", a, b)


@converts("square")
def square(c, node, x):
    return _binary(c, node, "MUL", x, x)


@converts("reciprocal")
def reciprocal(c, node, x):
    return _binary(c, node, "DIV", 1.0, x)


@converts("pow")
def power(c, node, x, exponent):
    if not isinstance(exponent, (int, float)) or not c.is_tensor(x):
        raise Refused("a power that is no number")
    value = c.as_dtype(x, c.dtype(node))
    if exponent in (0.5, -0.5):
        return c.build.unary("sqrt" if exponent > 0 else "rsqrt", value)
    if exponent in (2, 3):
        square = c.build.arithmetic("MUL", value, value)
        return square if exponent == 2 else c.build.arithmetic("MUL", square, value)
    raise Refused(f"the power {exponent}")


@converts("lerp")
def lerp(c, node, a, b, weight):
    """a + weight (b - a)."""
    dtype = c.dtype(node)
    rank = len(c.shape(node))
    a, b = (c.with_ones(x, rank, dtype) for x in (a, b))
    difference = c.build.arithmetic("SUB", b, a)
    if c.is_tensor(weight):
        scaled = c.build.arithmetic("MUL", difference, c.with_ones(weight, rank, dtype))
    else:
        scaled = c.build.affine(difference, weight, 0.0)
    return c.without_ones(c.build.arithmetic("ADD", a, scaled), node)


def _binary(c, node, op, a, b, alpha=1):
    dtype, rank = c.dtype(node), len(c.shape(node))
    if not c.is_tensor(a) or not c.is_tensor(b):
        return _with_number(c, op, a, b, alpha, dtype)
    if dtype == g.BOOL:
        return c.without_ones(logical_of(c, {"ADD": "or", "MUL": "and"}[op], a, b, rank), node)
    b_value = c.with_ones(b, rank, dtype)
    if alpha != 1:
        b_value = c.build.affine(b_value, alpha, 0.0)
    return c.without_ones(c.build.arithmetic(op, c.with_ones(a, rank, dtype), b_value), node)


def _with_number(c, op, a, b, alpha, dtype):
    tensor, number, swapped = (a, b, False) if c.is_tensor(a) else (b, a, True)
    if not isinstance(number, (int, float)):
        raise Refused("arithmetic with the number of tokens")
    value = c.as_dtype(tensor, dtype)
    if op == "DIV" and (swapped or dtype not in FLOATS):
        other = c.number(number, dtype)
        return (
            c.build.arithmetic("DIV", other, value)
            if swapped
            else c.build.arithmetic("DIV", value, other)
        )
    if op == "ADD":
        return (
            c.build.affine(value, 1.0, number * alpha)
            if not swapped
            else c.build.affine(value, alpha, number)
        )
    if op == "SUB":
        return (
            c.build.affine(value, -alpha, number)
            if swapped
            else c.build.affine(value, 1.0, -number * alpha)
        )
    if op == "MUL":
        return c.build.affine(value, number, 0.0)
    return c.build.affine(value, 1 / number, 0.0)


# ---- functions of one value


def _unary(name):
    def convert(c, node, x, *_, **__):
        return c.build.unary(name, c.as_dtype(x, c.dtype(node)))

    return convert


@converts("neg")
def neg(c, node, x):
    value = c.as_dtype(x, c.dtype(node))
    return (
        c.build.affine(value, -1.0, 0.0) if value.dtype in FLOATS else c.build.unary("neg", value)
    )


for _name in (
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "tanh",
    "sigmoid",
    "sin",
    "cos",
    "abs",
    "floor",
    "expm1",
    "erf",
):
    converts(_name)(_unary(_name))


@converts("softplus")
def softplus(c, node, x, beta=1, threshold=20):
    if beta != 1:
        raise Refused(f"softplus with the beta {beta}, expected 1")
    return c.build.unary("softplus", c.value(x))


@converts("log1p")
def log1p(c, node, x):
    return c.build.unary("log", c.build.affine(c.value(x), 1.0, 1.0))


@converts("silu")
def silu(c, node, x):
    return c.build.act("silu", c.value(x))


@converts("relu")
def relu(c, node, x):
    return c.build.act("relu", c.value(x))


@converts("gelu")
def gelu(c, node, x, approximate="none"):
    return c.build.act("gelu_tanh" if approximate == "tanh" else "gelu", c.value(x))


@converts("leaky_relu")
def leaky_relu(c, node, x, slope=0.01):
    """max(x, slope x), for a slope below 1."""
    if not 0 <= slope <= 1:
        raise Refused(f"leaky_relu with the slope {slope}, expected 0 to 1")
    return c.build.minmax("max", c.value(x), c.build.affine(c.value(x), slope, 0.0))


@converts("clamp", "hardtanh", "clip")
def clamp(c, node, x, min=None, max=None):
    if any(c.is_tensor(bound) for bound in (min, max)):
        rank, dtype = len(c.shape(node)), c.dtype(node)
        value = c.with_ones(x, rank, dtype)
        for name, bound in (("max", min), ("min", max)):
            if bound is not None:
                other = (
                    c.with_ones(bound, rank, dtype)
                    if c.is_tensor(bound)
                    else c.number(bound, dtype)
                )
                value = c.build.minmax(name, value, other)
        return c.without_ones(value, node)
    low, high = -math.inf if min is None else min, math.inf if max is None else max
    return c.build.clamp(c.as_dtype(x, c.dtype(node)), low, high)


@converts("clamp_min")
def clamp_min(c, node, x, low):
    return clamp(c, node, x, min=low)


@converts("clamp_max")
def clamp_max(c, node, x, high):
    return clamp(c, node, x, max=high)
