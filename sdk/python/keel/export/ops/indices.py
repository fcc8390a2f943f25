"""What is taken, or put, by indices."""

import torch

from .. import graph as g
from ..graph import Refused, Rows
from .table import converts


@converts("gather", "take_along_dim")
def gather(c, node, x, dim, indices, sparse_grad=False):
    x_dims, at = _kept_for(c, x, dim)
    value = c.build.view(c.value(x), [c.shape(x)[i] for i in x_dims])
    index = c.build.view(c.as_dtype(indices, g.I64), [c.shape(indices)[i] for i in x_dims])
    if isinstance(value.dims[at], Rows):
        raise Refused("it takes tokens by their number in the batch")
    rows = _one_a_row(c, index) if at == 0 else None
    if rows is not None:
        return c.without_ones(c.build.gather_rows(value, rows), node)
    return c.without_ones(c.build.take(value, at, index), node)


def _one_a_row(c, index):
    """[N] of an index [N, ..] that is the same along all but the first dimension; None: it is
    not."""
    while index.made_by("REPEAT") and index.node.ints[0] > 0:
        index = index.node.inputs[0]
    if index.dims[0] != Rows() or any(d != 1 for d in index.dims[1:]):
        return None
    return c.build.view(index, (Rows(),))


@converts("scatter")
def scatter(c, node, x, dim, indices, source=None, value=None):
    source = value if source is None else source
    x_dims, at = _kept_for(c, x, dim)
    base = c.build.view(c.value(x), [c.shape(x)[i] for i in x_dims])
    index = c.build.view(c.as_dtype(indices, g.I64), [c.shape(indices)[i] for i in x_dims])
    if isinstance(base.dims[at], Rows):
        raise Refused("it puts tokens by their number in the batch")
    if c.is_tensor(source) and c.shape(source) == c.shape(indices):
        values = c.build.view(c.as_dtype(source, base.dtype), index.dims)
    else:
        number = (
            c.as_dtype(source, base.dtype) if c.is_tensor(source) else c.number(source, base.dtype)
        )
        values = c.build.expand(c.build.view(number, [1] * len(index.dims)), index)
    return c.without_ones(c.build.scatter(base, at, index, values), node)


def _kept_for(c, x, dim):
    """The dimensions of x that are not one, with `dim` in any case, and where that is among
    them."""
    dim %= len(c.shape(x))
    kept = [i for i, size in enumerate(c.shape(x)) if size != 1 or i == dim]
    return kept, kept.index(dim)


@converts("index")
def index(c, node, x, indices):
    dim, indices = _only(indices)
    if c.dtype(indices) != g.BOOL:
        return _picked(c, node, x, dim, indices)
    truths = _known_truths(c, indices)
    c.learn(node.meta["val"].shape[dim], int(truths.sum()))
    if truths.all():
        return c.value(x)
    if not truths.any():
        raise Refused("nothing, which is what an index by truths takes here")
    return _taken(c, node, x, dim, truths.nonzero()[:, 0])


@converts("index_put")
def index_put(c, node, x, indices, values, accumulate=False):
    """All or nothing of a dimension."""
    dim, indices = _only(indices)
    truths = _known_truths(c, indices) if c.dtype(indices) == g.BOOL else None
    if truths is None or accumulate or not (truths.all() or not truths.any()):
        raise Refused("it puts values by indices")
    return c.table["copy"](c, node, x, values) if truths.all() else c.value(x)


def _only(indices):
    given = [(dim, i) for dim, i in enumerate(indices) if i is not None]
    if len(given) != 1:
        raise Refused("an index by several values")
    return given[0]


def _known_truths(c, indices):
    """[size], where they depend on no input."""
    known = c.raw(indices)
    if not isinstance(known, torch.Tensor) or known.dim() != 1:
        raise Refused("an index by truths that depend on the tokens")
    return known


@converts("index_select")
def index_select(c, node, x, dim, indices):
    return _picked(c, node, x, dim, indices)


def _picked(c, node, x, dim, indices):
    if c.axis(x, dim) == 0 and _counts_rows(c, indices):
        return c.value(x)
    known = c.raw(indices) if isinstance(c.raw(indices), torch.Tensor) else c.buffer(indices)
    return _taken(c, node, x, dim, known, indices)


def _counts_rows(c, indices):
    """Whether it is 0, 1 .. of all rows: each takes its own."""
    return getattr(indices.target, "__name__", "").startswith("arange") and c.shape(indices) == [
        Rows()
    ]


def _taken(c, node, x, dim, known, indices=None):
    """By numbers that are known, or by a value."""
    at, value = c.axis(x, dim), c.value(x)
    if at is None:
        raise Refused("an index of one element")
    if isinstance(value.dims[at], Rows):
        raise Refused("it takes tokens by their number in the batch")
    order = [at, *(i for i in range(len(value.dims)) if i != at)]
    if known is not None:
        known = known % value.dims[at]  # from the end, where it is below 0
        if known.dim() == 1 and torch.equal(known, known[0] + torch.arange(len(known))):
            return c.without_ones(c.build.narrow(value, at, int(known[0]), len(known)), node)
    index = c.value(indices) if known is None else c.constant(known)
    picked = c.build.gather_rows(c.build.permute(value, order), index)
    before, count = list(range(len(index.dims), len(index.dims) + at)), len(picked.dims)
    back = [*before, *range(len(index.dims)), *range(len(index.dims) + at, count)]
    return c.without_ones(c.build.permute(picked, back), node)


@converts("one_hot")
def one_hot(c, node, x, classes=-1):
    if classes < 1:
        raise Refused("one_hot of an unknown number of classes")
    value = c.build.view(c.value(x), (*c.shape(x), 1))
    numbers = c.build.constant(torch.arange(classes))
    return c.without_ones(c.build.cast(c.build.compare("eq", value, numbers), c.dtype(node)), node)
