"""Arithmetic: element by element, reductions, matrices, numbers."""

import math

import torch

from .. import graph as g
from ..graph import Refused, Rows
from . import own_attention
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
    return _binary(c, node, "MUL", a, b)


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
        return c.without_ones(_logical(c, {"ADD": "or", "MUL": "and"}[op], a, b, rank), node)
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
        return c.build.arithmetic("DIV", other, value) if swapped else c.build.arithmetic("DIV", value, other)
    if op == "ADD":
        return c.build.affine(value, 1.0, number * alpha) if not swapped else c.build.affine(value, alpha, number)
    if op == "SUB":
        return c.build.affine(value, -alpha, number) if swapped else c.build.affine(value, 1.0, -number * alpha)
    if op == "MUL":
        return c.build.affine(value, number, 0.0)
    return c.build.affine(value, 1 / number, 0.0)


# ---- functions of one value


def _unary(name):
    def convert(c, node, x, *_, **__):
        return c.build.unary(name, c.as_dtype(x, c.dtype(node)))

    return convert


for _name in ("neg", "exp", "log", "sqrt", "rsqrt", "tanh", "sigmoid", "sin", "cos", "abs", "floor", "expm1", "erf"):
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
                other = c.with_ones(bound, rank, dtype) if c.is_tensor(bound) else c.number(bound, dtype)
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


# ---- comparisons and logic


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


def _logical(c, name, a, b, rank):
    return c.build.logical(name, c.with_ones(a, rank, g.BOOL), c.with_ones(b, rank, g.BOOL))


for _name in ("and", "or", "xor"):
    for _prefix in ("logical_", "bitwise_", "__"):
        _full = f"__{_name}__" if _prefix == "__" else f"{_prefix}{_name}"

        @converts(_full)
        def logical(c, node, a, b, _name=_name):
            if c.dtype(node) != g.BOOL:
                raise Refused("logic of the bits of numbers")
            return c.without_ones(_logical(c, _name, a, b, len(c.shape(node))), node)


@converts("logical_not", "bitwise_not")
def logical_not(c, node, x):
    if c.dtype(node) != g.BOOL:
        raise Refused("logic of the bits of numbers")
    return c.build.unary("not", c.as_dtype(x, g.BOOL))


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


# ---- reductions


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
def variance(c, node, x, dim=None, correction=1, unbiased=None, keepdim=False):
    """mean((x - mean)^2), of all elements of one dimension."""
    if isinstance(dim, list) and len(dim) == 1:
        dim = dim[0]
    if not isinstance(dim, int):
        raise Refused("a variance over several dimensions")
    at = c.axis(x, dim)
    correction = (1 if unbiased else 0) if unbiased is not None else correction
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


# ---- matrices


@converts("matmul", "bmm", "mm")
def matmul(c, node, a, b):
    if _is_transposed_parameter(c, b):
        return c.table["linear"](c, node, a, b.args[0])
    if c.parameter(b) is not None and len(c.shape(b)) == 2:
        return c.table["linear"](c, node, a, b, transposed=True)
    if c.parameter(a) is not None and len(c.shape(a)) == 2:
        return c.build.permute(c.table["linear"](c, node, b, a, flipped=True), (1, 0))
    return _matmul(c, node, a, b)


def _is_transposed_parameter(c, x):
    """weight.T, as some models write a linear."""
    schema = getattr(x.target, "_schema", None)
    if x.op != "call_function" or schema is None or not x.args or not c.is_tensor(x.args[0]):
        return False
    swaps = schema.name.split("::")[1] in ("t", "numpy_T", "transpose") or list(x.args[1:]) == [[1, 0]]
    return swaps and len(c.shape(x)) == 2 and c.parameter(x.args[0]) is not None


def _matmul(c, node, a, b):
    dtype = c.dtype(node)
    left, right = (c.build.view(c.as_dtype(x, dtype), c.shape(x)) for x in (a, b))
    if len(left.dims) < 2 or len(right.dims) < 2:
        raise Refused("a product of a vector")
    return c.without_ones(c.build.matmul(left, right), node)


@converts("addmm")
def addmm(c, node, bias, a, b, beta=1, alpha=1):
    if c.parameter(b) is not None and (beta, alpha) == (1, 1):
        return c.table["linear"](c, node, a, b, bias, transposed=True)
    return _scaled_sum(c, node, bias, a, b, beta, alpha)


@converts("baddbmm")
def baddbmm(c, node, x, a, b, beta=1, alpha=1):
    return _scaled_sum(c, node, x, a, b, beta, alpha)


def _scaled_sum(c, node, x, a, b, beta, alpha):
    """beta x + alpha a b."""
    product = c.build.affine(_matmul(c, node, a, b), alpha, 0.0)
    x = c.build.affine(c.with_ones(x, len(c.shape(node)), c.dtype(node)), beta, 0.0)
    full = c.build.view(product, c.shape(node))
    return c.without_ones(c.build.arithmetic("ADD", x, full), node)


# ---- numbers that the model makes


@converts("arange")
def arange(c, node, *args, **kwargs):
    size = c.shape(node)[0]
    if not isinstance(size, Rows):
        return c.constant(torch.arange(*args).to(node.meta["val"].dtype), c.dtype(node))
    if size.times != 1 or [x for x in args if x != 0][1:]:
        raise Refused("a count of tokens that does not go 0, 1, 2 ...")
    return c.build.cast(c.positions, c.dtype(node))  # 0 .. N - 1 of a row: its positions


def _filled(number):
    def convert(c, node, *args, **kwargs):
        fill = number(node, args)
        if not isinstance(fill, (int, float)):
            raise Refused("a fill by what is no number")
        return c.filled(fill, node)

    return convert


for _name, _number in {
    "zeros": lambda node, args: 0,
    "zeros_like": lambda node, args: 0,
    "new_zeros": lambda node, args: 0,
    "ones": lambda node, args: 1,
    "ones_like": lambda node, args: 1,
    "new_ones": lambda node, args: 1,
    "full": lambda node, args: args[1],
    "full_like": lambda node, args: args[1],
    "new_full": lambda node, args: args[2],
    "scalar_tensor": lambda node, args: args[0],
}.items():
    converts(_name)(_filled(_number))
