"""A tensor that is written in parts."""

import torch

from ..graph import Refused, Rows
from .table import converts


class Pieces:
    """An empty tensor that is being filled by slices along one dimension."""

    def __init__(self, parts=None):
        self.parts = parts or {}

    def filled(self, c, at, size):
        values, start = [], 0
        while start < size and start in self.parts:
            length, value = self.parts[start]
            values.append(value)
            start += length
        return c.build.cat(values, at) if start == size else None


@converts("new_empty", "empty", "empty_like", "new_empty_strided", "empty_strided")
def empty(c, node, *_, **__):
    return Pieces()


@converts("copy")
def copy(c, node, x, source, non_blocking=False):
    return (
        c.table["expand"](c, node, source)
        if c.shape(source) != c.shape(node)
        else c.as_dtype(source, c.dtype(node))
    )


@converts("slice_scatter")
def slice_scatter(c, node, base, source, dim=0, start=None, end=None, step=1):
    size = c.shape(node)[dim]
    if isinstance(size, Rows):
        if c.shape(source) == c.shape(node):
            return c.as_dtype(source, c.dtype(node))
        raise Refused("it writes tokens by their number in the batch")
    start, end, _ = slice(start, end).indices(size)
    if step != 1:
        return _every_written(c, node, base, source, dim, range(start, end, step))
    return _written(c, node, base, source, dim, start, end)


def _every_written(c, node, base, source, dim, places):
    """Elements `places` of a dimension: where a mask says so, those of the source, spread."""
    if not places:
        return c.value(base)
    shape = c.shape(node)
    dim %= len(shape)
    size = shape[dim]
    spread = [places.index(i) if i in places else 0 for i in range(size)]
    source_value = c.build.view(c.as_dtype(source, c.dtype(node)), c.shape(source))
    ones = [size if i == dim else 1 for i in range(len(shape))]
    spread = c.build.take(source_value, dim, c.build.constant(torch.tensor(spread).view(ones)))
    mask = c.build.constant(torch.tensor([i in places for i in range(size)]).view(ones))
    old = c.build.view(c.value(base), shape)
    return c.without_ones(c.build.where(mask, spread, old), node)


@converts("select_scatter")
def select_scatter(c, node, base, source, dim, index):
    size = c.shape(node)[dim]
    if isinstance(size, Rows):
        raise Refused("it writes one of the tokens by its number in the batch")
    return _written(c, node, base, source, dim, index % size, index % size + 1)


def _written(c, node, base, source, dim, start, end):
    shape = c.shape(node)
    dim %= len(shape)
    kept = [i for i, size in enumerate(shape) if size != 1 or i == dim]
    at, size = kept.index(dim), shape[dim]
    part = c.build.view(
        c.as_dtype(source, c.dtype(node)), [end - start if i == dim else shape[i] for i in kept]
    )
    old = c.raw(base)
    if isinstance(old, Pieces):
        pieces = Pieces({**old.parts, start: (end - start, part)})
        whole = pieces.filled(c, at, size)
        return pieces if whole is None else c.without_ones(whole, node)
    old = c.build.view(c.value(base), [shape[i] for i in kept])
    before = [c.build.narrow(old, at, 0, start)] if start else []
    after = [c.build.narrow(old, at, end, size - end)] if end < size else []
    return c.without_ones(c.build.cat([*before, part, *after], at), node)
