"""What looks at the tokens before: convolutions over the text, and tokens that are moved on.

A program pads the text, joins it with what was before, or cuts it; sizes are then N and a few more
or less, which no value of a graph has. Such a tensor is one of the classes here, which only ops of
this file understand, until it is of N tokens again.
"""

import dataclasses

import torch

from ..graph import Refused, Rows, Value
from .recurrences import state_of
from .table import converts


@dataclasses.dataclass
class Padded:
    """[C, N + some] of a convolution that is padded on both sides: `value` [C, N], and some columns
    behind it."""

    value: Value


@dataclasses.dataclass
class Late:
    """[C, before + N]: `before` columns of zeros, then the tokens' [N, C]; `added` [C] is added to
    all of them."""

    rows: Value
    before: int
    added: Value | None = None


@dataclasses.dataclass
class WithoutLast:
    """All but the last `count` of the tokens in `value`."""

    value: Value
    count: int


def moved(c, node, rows, by):
    """[N, C] of the token that is `by` before each; of those before the text zeros."""
    channels = rows.dims[1]
    state = state_of(c, node, "conv", [channels, by], rows.dtype)
    weight = torch.zeros(channels, by + 1)
    weight[:, 0] = 1
    return c.build.recur(
        state, "CAUSAL_CONV1D", rows, rows.type, {"weight": c.build.constant(weight)}
    )


def _moved_along(c, node, value, at, by):
    """`moved`, of a value with its tokens in dimension `at`."""
    order = [at, *(d for d in range(len(value.dims)) if d != at)]
    turned = c.build.permute(value, order)
    size = 1
    for d in turned.dims[1:]:
        size *= d
    rows = moved(c, node, c.build.view(turned, (Rows(), size)), by)
    return c.build.permute(
        c.build.view(rows, turned.dims), [order.index(d) for d in range(len(order))]
    )


def padded_tokens(c, node, x, dim, before, after):
    """The text with zeros before it, and as much, or nothing, cut from its end."""
    if before > 0 and after == -before:
        return _moved_along(c, node, c.value(x), c.axis(x, dim), before)
    if (
        before <= 0
        or after
        or dim != len(c.shape(x)) - 1
        or c.kept(c.shape(x)) != [c.shape(x)[1], Rows()]
    ):
        raise Refused("it pads the tokens of the batch")
    return Late(c.build.permute(c.value(x), (1, 0)), before)


def cut_tokens(c, node, x, dim, start, end):
    """All but the last of the text."""
    if start not in (0, None) or not isinstance(end, int) or end >= 0:
        raise Refused("it takes some of the tokens by their number in the batch")
    return WithoutLast(c.value(x), -end)


def joined_tokens(c, node, xs, dim):
    """What was before the text, the same for all texts, and all of it but the last."""
    first, rest = xs[0], c.raw(xs[-1])
    if (
        len(xs) != 2
        or c.shape(first)[dim] != rest.count
        or any(isinstance(d, Rows) for d in c.shape(first))
    ):
        raise Refused("it joins values along the tokens of the batch")
    at = c.axis(node, dim)
    if rest.count != 1:
        raise Refused("it joins several tokens with those of the batch")
    before = c.build.view(
        c.as_dtype(first, c.dtype(node)),
        [1 if i == at else d for i, d in enumerate(rest.value.dims)],
    )
    if is_zero(before):
        return _moved_along(c, node, rest.value, at, 1)
    others = c.build.arithmetic("SUB", rest.value, before)
    return c.build.arithmetic("ADD", _moved_along(c, node, others, at, 1), before)


def is_zero(value: Value) -> bool:
    """Whether it is made of zeros alone, in ways that keep them zeros."""
    node = value.node
    if node is None:
        return False
    if node.op == "CONSTANT":
        return not node.data.any()
    if node.op == "LINEAR":
        return not node.object.fields["bias"] and is_zero(node.inputs[0])
    if node.op == "AFFINE":
        return node.reals[1] == 0 and (node.reals[0] == 0 or is_zero(node.inputs[0]))
    return node.op in ("CAST", "VIEW", "PERMUTE", "REPEAT", "NARROW") and is_zero(node.inputs[0])


# ---- convolutions


@converts("keel_conv1d")
def keel_conv1d(c, node, x, weight, bias, silu):
    result = _by_channel(c, node, _rows_of(c, x, weight), weight, bias)
    result = c.build.act("silu", result) if silu else result
    return c.build.permute(result, (1, 0))


def _rows_of(c, x, weight):
    """[1, C, N] as [N, C]."""
    return c.build.view(c.laid(x, (0, 2, 1)), (Rows(), c.shape(weight)[0]))


def _by_channel(c, node, rows, weight, bias):
    channels, kernel = c.shape(weight)[0], c.shape(weight)[-1]
    state = state_of(c, node, "conv", [channels, kernel - 1], rows.dtype)
    arguments = {"weight": c.value(weight)} | ({} if bias is None else {"bias": c.value(bias)})
    return c.build.recur(state, "CAUSAL_CONV1D", rows, rows.type, arguments)


@converts("conv1d")
def conv1d(c, node, x, weight, bias=None, stride=(1,), padding=(0,), dilation=(1,), groups=1):
    """A causal one: padded on both sides, and cut behind the last token by what follows; or behind
    zeros that are there."""
    channels, of_group, kernel = c.shape(weight)
    if [*stride, *dilation] != [1, 1]:
        raise Refused("a convolution with strides")
    if c.is_a(x, Late) and list(padding) == [0]:
        return _late(c, node, c.raw(x), weight, bias, groups)
    if kernel == 1 and list(padding) == [0] and c.shape(x)[-1] == Rows():
        return _of_one_token(c, node, x, weight, bias, groups)
    if (
        c.shape(x)[-1] != Rows()
        or (of_group, groups) != (1, channels)
        or list(padding) != [kernel - 1]
    ):
        raise Refused(
            "a convolution that is not causal by channel: padded by its width less one, and cut "
            "behind the text"
        )
    return Padded(
        c.build.permute(_by_channel(c, node, _rows_of(c, x, weight), weight, bias), (1, 0))
    )


def _of_one_token(c, node, x, weight, bias, groups):
    """A linear of each token, or of each group of its channels."""
    dtype = c.dtype(node)
    rows = c.build.view(c.build.cast(c.laid(x, (0, 2, 1)), dtype), (Rows(), c.shape(x)[1]))
    rows = _by_group(c, [rows], weight, groups, dtype)
    rows = rows if bias is None else c.build.arithmetic("ADD", rows, c.as_dtype(bias, dtype))
    return c.build.permute(rows, (1, 0))


def _late(c, node, x, weight, bias, groups):
    """What is added to all columns before is added to all behind as well, times the sum of the
    weights."""
    channels, of_group, kernel = c.shape(weight)
    left = x.before - (kernel - 1)
    if left < 0:
        raise Refused("a convolution that is wider than what the text is padded with")
    dtype = c.dtype(node)
    if (of_group, groups) == (1, channels):
        rows = _by_channel(c, node, x.rows, weight, None)
        total = c.build.reduce(c.as_dtype(weight, dtype), 1, "sum")
        added = None if x.added is None else c.build.arithmetic("MUL", x.added, total)
    else:
        earlier = [
            x.rows if k == kernel - 1 else moved(c, node, x.rows, kernel - 1 - k)
            for k in range(kernel)
        ]
        rows = _by_group(c, earlier, weight, groups, dtype)
        added = None
        if x.added is not None:
            alike = c.build.view(x.added, (1, x.added.dims[0]))
            added = c.build.view(_by_group(c, [alike] * kernel, weight, groups, dtype), (channels,))
    if bias is not None:
        own = c.as_dtype(bias, dtype)
        added = own if added is None else c.build.arithmetic("ADD", added, own)
    if left:
        return Late(rows, left, added)
    rows = rows if added is None else c.build.arithmetic("ADD", rows, added)
    return c.build.permute(rows, (1, 0))


def _by_group(c, earlier, weight, groups, dtype):
    """[R, C_in] of each place of the kernel -> [R, C_out]: the channels of a group with those of
    the same group."""
    channels, of_group, kernel = c.shape(weight)
    count = earlier[0].dims[0]
    parts = [c.build.view(x, (count, groups, of_group)) for x in earlier]
    x = c.build.permute(c.build.cat(parts, 2), (1, 0, 2))
    matrix = c.build.view(c.as_dtype(weight, dtype), (groups, channels // groups, of_group, kernel))
    matrix = c.build.view(
        c.build.permute(matrix, (0, 3, 2, 1)), (groups, kernel * of_group, channels // groups)
    )
    return c.build.view(c.build.permute(c.build.matmul(x, matrix), (1, 0, 2)), (count, channels))


@converts("convolution")
def convolution(
    c, node, x, weight, bias, stride, padding, dilation, transposed, output_padding, groups
):
    if transposed or len(c.shape(weight)) != 3:
        raise Refused("a convolution of another kind than over the text")
    return conv1d(c, node, x, weight, bias, stride, padding, dilation, groups)
