"""Products of matrices that are no declared linears, and of those that are."""

from ..graph import Refused
from .table import converts


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
    swaps = schema.name.split("::")[1] in ("t", "numpy_T", "transpose") or list(x.args[1:]) == [
        [1, 0]
    ]
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
