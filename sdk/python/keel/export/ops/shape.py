"""Shapes: casts, views, parts, joins, repeats."""

import torch

from .. import graph as g
from ..graph import Refused, Rows
from .convolutions import Padded, WithoutLast, cut_tokens, joined_tokens, padded_tokens
from .table import converts
from .writes import Pieces


@converts(
    "alias", "contiguous", "clone", "detach", "dropout", "lift_fresh_copy", "lift_fresh",
    "native_dropout", "feature_dropout", "positive", "alias_copy", "view_as_real_copy",
)  # fmt: skip
def same(c, node, x, *_, **__):
    return c.value(x)


@converts("to", "_to_copy", "type_as", "float", "to_dtype")
def cast(c, node, x, *_, **__):
    return c.as_dtype(x, c.dtype(node))


@converts(
    "view",
    "reshape",
    "_unsafe_view",
    "unsqueeze",
    "squeeze",
    "flatten",
    "unflatten",
    "view_as",
    "reshape_as",
)
def view(c, node, x, *_, **__):
    return c.without_ones(c.value(x), node)


@converts("transpose", "swapaxes")
def transpose(c, node, x, first, second):
    order = list(range(len(c.shape(x))))
    order[first], order[second] = order[second], order[first]
    return _permuted(c, x, order)


@converts("permute")
def permute(c, node, x, order):
    return _permuted(c, x, [d % len(order) for d in order])


@converts("t", "numpy_T")
def t(c, node, x):
    return _permuted(c, x, list(range(len(c.shape(x))))[::-1])


@converts("movedim")
def movedim(c, node, x, source, destination):
    rank = len(c.shape(x))
    order = [d for d in range(rank) if d != source % rank]
    order.insert(destination % rank, source % rank)
    return _permuted(c, x, order)


def _permuted(c, x, order):
    shape = c.shape(x)
    kept = [d for d in order if shape[d] != 1]
    return c.build.permute(c.value(x), [sorted(kept).index(d) for d in kept])


# ---- parts


@converts("slice")
def slice_(c, node, x, dim=0, start=None, end=None, step=1):
    if isinstance(c.raw(x), Pieces):
        return Pieces()
    if isinstance(c.raw(x), Padded):
        if c.shape(node)[-1] != Rows() or start not in (0, None) or step != 1:
            raise Refused("a causal convolution that is cut elsewhere than behind the last token")
        return c.raw(x).value
    size = c.shape(x)[dim]
    if isinstance(size, Rows) and c.is_short(node):
        return cut_tokens(c, node, x, dim, start, end)
    if c.shape(node) == c.shape(x):
        return c.value(x)
    if start in (0, None) and c.shape(node)[dim] == Rows() and not isinstance(size, Rows):
        return _as_far_as_the_text(c, node, x, dim)
    if isinstance(size, Rows) or not all(isinstance(e, (int, type(None))) for e in (start, end)):
        raise Refused("it takes some of the tokens by their number in the batch")
    start, end, _ = slice(start, end).indices(size)
    if step == 1:
        return c.without_ones(narrowed(c, x, dim, start, end - start, keep=True), node)
    return c.without_ones(_every(c, c.value(x), c.axis(x, dim), range(start, end, step)), node)


def _as_far_as_the_text(c, node, x, dim):
    """The first N of a table: of each token what is at its position."""
    at, value = c.axis(x, dim), c.value(x)
    order = [at, *(i for i in range(len(value.dims)) if i != at)]
    rows = c.build.gather_rows(c.build.permute(value, order), c.positions)
    return c.without_ones(c.build.permute(rows, [order.index(i) for i in range(len(order))]), node)


def _every(c, value, at, numbers):
    """The elements `numbers` of dimension `at`; as one of each `step`, where they go through all of
    it."""
    size, step = value.dims[at], numbers.step
    if size % step or numbers.start >= step or len(numbers) != size // step:
        return c.build.take(value, at, _indices(c, value, at, list(numbers)))
    value = c.build.view(value, (*value.dims[:at], size // step, step, *value.dims[at + 1 :]))
    return c.build.narrow(value, at + 1, numbers.start, 1)


def _indices(c, value, at, numbers):
    ones = [1] * len(value.dims)
    ones[at] = len(numbers)
    return c.build.constant(torch.tensor(numbers).view(ones))


def narrowed(c, x, dim, start, length, keep=False):
    """A part of dimension `dim`; of length one it goes, unless `keep`."""
    at, value = c.axis(x, dim), c.value(x)
    if at is None:
        return value
    value = c.build.narrow(value, at, start, length)
    if length == 1 and not keep:
        value = c.build.view(value, (*value.dims[:at], *value.dims[at + 1 :]))
    return value


@converts("narrow")
def narrow(c, node, x, dim, start, length):
    return narrowed(c, x, dim, start, length)


@converts("select")
def select(c, node, x, dim, index):
    size = c.shape(x)[dim]
    if isinstance(size, Rows):
        raise Refused("it takes one of the tokens by its number in the batch")
    return narrowed(c, x, dim, index % size, 1)


@converts("split", "split_with_sizes", "chunk", "tensor_split")
def split(c, node, x, _, dim=0):
    parts, start = [], 0
    for part in node.meta["val"]:
        length = part.shape[dim]
        if not isinstance(length, int):
            raise Refused("it splits the tokens of the batch")
        parts.append(narrowed(c, x, dim, start, length))
        start += length
    return parts


@converts("unbind")
def unbind(c, node, x, dim=0):
    return [narrowed(c, x, dim, i, 1) for i in range(len(node.meta["val"]))]


# ---- joins


@converts("cat", "concat", "concatenate")
def cat(c, node, xs, dim=0):
    dim %= len(c.shape(node))
    if any(c.is_a(x, WithoutLast) for x in xs):
        return joined_tokens(c, node, xs, dim)
    return _joined(c, node, [(x, c.shape(x)) for x in xs if 0 not in c.shape(x)], dim)


@converts("stack")
def stack(c, node, xs, dim=0):
    dim %= len(c.shape(node))
    shape = c.shape(node)
    each = [*shape[:dim], 1, *shape[dim + 1 :]]
    return _joined(c, node, [(x, each) for x in xs], dim)


def _joined(c, node, parts, dim):
    shape = c.shape(node)
    kept = [i for i, size in enumerate(shape) if size != 1 or i == dim]
    values = [
        c.build.view(c.as_dtype(x, c.dtype(node)), [sizes[i] for i in kept]) for x, sizes in parts
    ]
    return c.without_ones(c.build.cat(values, kept.index(dim)), node)


@converts("expand", "expand_as", "broadcast_to", "repeat")
def expand(c, node, x, *_, **__):
    """Dimensions of one element, or none, repeated. `repeat` of others is a join of copies."""
    want = c.shape(node)
    have = [1] * (len(want) - len(c.shape(x))) + c.shape(x)
    value = c.build.view(c.value(x), have)
    for i, (old, new) in enumerate(zip(have, want)):
        if old != new and isinstance(new, Rows):
            return _for_each_token(c, node, x)
        if old == 1 != new:
            value = c.build.repeat(value, i, new)
        elif old != new:
            value = c.build.cat([value] * (new // old), i)
    return c.without_ones(value, node)


def _for_each_token(c, node, x):
    """Added to zeros of the whole shape."""
    rank, dtype = len(c.shape(node)), c.dtype(node)
    if dtype == g.BOOL:
        raise Refused("one truth for all tokens")
    zeros = c.build.view(c.filled(0, node), c.shape(node))
    return c.without_ones(c.build.arithmetic("ADD", zeros, c.with_ones(x, rank)), node)


@converts("repeat_interleave")
def repeat_interleave(c, node, x, times, dim=None, output_size=None):
    if not isinstance(times, int) or dim is None:
        raise Refused("repeats that depend on the data")
    return c.without_ones(
        c.build.repeat(c.build.view(c.value(x), c.shape(x)), dim % len(c.shape(x)), times), node
    )


@converts("flip")
def flip(c, node, x, dims):
    value = c.value(x)
    for at in (c.axis(x, d) for d in dims):
        if at is not None:
            value = c.build.take(
                value, at, _indices(c, value, at, list(range(value.dims[at]))[::-1])
            )
    return value


@converts("roll")
def roll(c, node, x, shifts, dims=()):
    value = c.value(x)
    for shift, at in zip(shifts, (c.axis(x, d) for d in dims), strict=True):
        if at is not None:
            size = value.dims[at]
            parts = (
                c.build.narrow(value, at, size - shift % size, shift % size),
                c.build.narrow(value, at, 0, size - shift % size),
            )
            value = c.build.cat(parts, at) if shift % size else value
    return value


@converts("pad", "constant_pad_nd")
def pad(c, node, x, widths, mode="constant", value=0):
    if mode not in ("constant", 0) and isinstance(mode, str):
        raise Refused(f"padding by {mode}")
    number = mode if not isinstance(mode, str) else (value or 0)
    result, rank = c.build.view(c.value(x), c.shape(x)), len(c.shape(x))
    for i in range(len(widths) // 2):
        dim, (before, after) = rank - 1 - i, widths[2 * i : 2 * i + 2]
        if isinstance(result.dims[dim], Rows) and (before or after):
            if number or any(w for j, w in enumerate(widths) if j // 2 != i):
                raise Refused("it pads the tokens of the batch")
            return padded_tokens(c, node, x, dim, before, after)
        if before < 0 or after < 0:
            result = c.build.narrow(
                result, dim, max(-before, 0), result.dims[dim] + min(before, 0) + min(after, 0)
            )
        parts = [_block(c, result, dim, n, number) for n in (before, after)]
        result = c.build.cat([p for p in (parts[0], result, parts[1]) if p is not None], dim)
    return c.without_ones(result, node)


def _block(c, like, dim, size, number):
    """`size` elements of a number along `dim`; of the tokens by what they are times nothing."""
    if size <= 0:
        return None
    part = c.build.narrow(like, dim, 0, 1)
    return c.build.repeat(c.build.affine(part, 0.0, float(number)), dim, size)


@converts("tril", "triu")
def triangle(c, node, x, diagonal=0):
    dims = c.shape(node)
    if any(isinstance(d, Rows) for d in dims):
        raise Refused("a mask over pairs of tokens, outside of attention")
    keep = getattr(torch, node.target._schema.name.split("::")[1].strip("_"))(
        torch.ones(dims), diagonal
    )
    return c.without_ones(
        c.build.arithmetic("MUL", c.value(x), c.constant(keep, c.dtype(node))), node
    )
