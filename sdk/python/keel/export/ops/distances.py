"""What is added to attention's scores by how far a key is from the query, found by trying.

A source is what the bias is taken of: a parameter [buckets, heads] (T5, MPNet), or a value of each
query or key [heads, N, buckets] (DeBERTa). Which element of it a pair of tokens gets is read off
numbers that the model's own ops give: what they are of a source that holds its own indices.
"""

import dataclasses

import torch
from torch.fx import Node as FxNode

from ..graph import Refused, Rows, Value

TOLERANCE = 1e-3
OF_ALL, OF_QUERIES, OF_KEYS = "distance_bias", "query_distance_bias", "key_distance_bias"


@dataclasses.dataclass
class Source:
    """`columns` and `factors` [2 length - 1] by distance, from that of the key furthest before the
    query: which number of the source is added, and times what."""

    node: FxNode
    kind: str
    axes: dict[str, int | None]  # of the node: "rows", "heads", "distances"
    columns: torch.Tensor
    factors: torch.Tensor

    def added(self, held: torch.Tensor, heads: int) -> torch.Tensor:
        """[heads, length, length] of what the node holds."""
        order = [axis for axis in self.axes.values() if axis is not None]
        ones = [d for d in range(held.dim()) if d not in order]
        by = held.permute(*order, *ones).reshape([held.shape[d] for d in order])
        for at, axis in enumerate(self.axes.values()):
            by = by.unsqueeze(at) if axis is None else by
        by = by.expand(-1, heads, -1)[:, :, self.columns] * self.factors  # [rows, heads, distances]
        length = (len(self.columns) + 1) // 2
        at = distances(length) + length - 1
        if self.kind == OF_ALL:
            return by[0][:, at]
        at = at if self.kind == OF_QUERIES else at.T
        out = by.transpose(0, 1).gather(2, at.expand(heads, -1, -1))
        return out if self.kind == OF_QUERIES else out.transpose(1, 2)


def distances(length: int) -> torch.Tensor:
    """[length, length]: the key's position less the query's."""
    at = torch.arange(length)
    return at[None] - at[:, None]


def recognised(node: FxNode, shape: list[int], rows: int | None, see: torch.Tensor, feed) -> Source:
    """`feed` gives [heads, length, length] of what is added where the node holds a tensor; `rows`
    is its dimension of the tokens."""
    factors = feed(torch.ones(shape))
    used = see & (factors.abs() > 1e-9)
    if not used.any():
        raise Refused("a bias of attention scores that takes nothing of what it is made of")
    axes: dict[str, int | None] = {"rows": rows, "heads": None, "distances": None}
    kind, columns = OF_ALL, torch.zeros(2 * len(see) - 1, dtype=torch.long)
    for dim, size in enumerate(shape):
        if size == 1:
            continue
        indices = torch.arange(size).view([-1 if d == dim else 1 for d in range(len(shape))])
        found = (feed(indices.float().expand(shape)) / factors)[used]
        at = found.round()
        if (found - at).abs().max() > 0.1:
            raise Refused("a bias of attention scores that is no part of what it is made of")
        h, i, j = used.nonzero().T
        if dim == rows and torch.equal(at, i.float()):
            kind = OF_QUERIES
        elif dim == rows and torch.equal(at, j.float()):
            kind = OF_KEYS
        elif dim != rows and size == len(factors) and torch.equal(at, h.float()):
            axes["heads"] = dim
        elif dim != rows and axes["distances"] is None:
            axes["distances"] = dim
            columns = _by_distance(at, used, 0.0).long()
        else:
            raise Refused("a bias of attention scores that does not go by heads and distances")
    factors = _by_distance(factors[used], used, TOLERANCE)
    return Source(node, kind, axes, *(t[_nearest_seen(see)] for t in (columns, factors)))


def _by_distance(numbers: torch.Tensor, used: torch.Tensor, tolerance: float) -> torch.Tensor:
    """[2 length - 1] of numbers at the pairs `used`, which must be the same at the same distance,
    but for a part of the largest; 0 at distances that no pair has."""
    length = used.shape[-1]
    at = (distances(length) + length - 1).expand(used.shape)[used]
    out = torch.zeros(2 * length - 1)
    out[at] = numbers
    if ((out[at] - numbers).abs() > tolerance * numbers.abs().max()).any():
        raise Refused("a bias of attention scores that goes by more than the distance")
    return out


def _nearest_seen(see: torch.Tensor) -> torch.Tensor:
    """[2 length - 1]: the distance itself, or the nearest at which a query sees a key."""
    length = len(see)
    seen = distances(length)[see] + length - 1
    return torch.arange(2 * length - 1).clamp(seen.min(), seen.max())


def farthest(sources: list[Source]) -> int:
    """D: what is added at a distance of D is added beyond it too."""
    most = 0
    for numbers in (t for source in sources for t in (source.columns, source.factors)):
        length = (len(numbers) + 1) // 2
        for side in (numbers[length - 1 :], numbers[:length].flip(0)):
            changes = ((side - side[-1]).abs() > 1e-9).nonzero()
            most = max(most, int(changes[-1]) + 1 if len(changes) else 0)
    return most


def arguments_of(c, sources: list[Source], heads: int, most: int) -> dict[str, Value]:
    """The named arguments of the attention, with a column for each distance up to `most`."""
    out: dict[str, Value] = {}
    for source in sources:
        value = _argument(c, source, heads, most)
        known = out.get(source.kind)
        out[source.kind] = value if known is None else c.build.arithmetic("ADD", known, value)
    return out


def _argument(c, source: Source, heads: int, most: int) -> Value:
    length = (len(source.columns) + 1) // 2
    at = slice(length - 1 - most, length + most)
    columns, factors = source.columns[at], source.factors[at]
    shape = c.shape(source.node)
    order = [axis for axis in source.axes.values() if axis is not None]
    kept = [d for d in range(len(shape)) if shape[d] != 1]
    value = c.build.permute(c.value(source.node), [kept.index(d) for d in order])
    whole = [1 if axis is None else shape[axis] for axis in source.axes.values()]
    value = c.build.view(value, whole)  # [rows, heads, buckets], ones where there is no such axis
    if source.axes["heads"] is None:
        value = c.build.repeat(value, 1, heads)
    if source.kind == OF_ALL:
        by_bucket = c.build.permute(c.build.view(value, value.dims[1:]), (1, 0))
        value = c.build.gather_rows(by_bucket, c.build.constant(columns))
        value = _times(c, value, factors[:, None])
        return c.build.permute(value, (1, 0))
    if value.dims[2] != len(columns) or not torch.equal(columns, torch.arange(len(columns))):
        value = c.build.take(value, 2, c.build.constant(columns[None, None]))
    return _times(c, value, factors)


def _times(c, value: Value, factors: torch.Tensor) -> Value:
    """By one number, where they are all the same."""
    first = float(factors.flatten()[0])
    if (factors - first).abs().max() < 1e-6 * abs(first):
        return value if abs(first - 1) < 1e-6 else c.build.affine(value, first, 0.0)
    number = c.build.cast(c.build.constant(factors.float()), value.dtype)
    return c.build.arithmetic("MUL", value, number)


def rows_of(shape: list) -> int | None:
    """The dimension of the tokens."""
    found = [at for at, size in enumerate(shape) if isinstance(size, Rows)]
    if len(found) > 1 or any(shape[at] != Rows() for at in found):
        raise Refused("a bias of attention scores that is made of pairs of tokens")
    return found[0] if found else None
