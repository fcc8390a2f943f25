"""Norms that a model writes op by op, x * rsqrt(mean(x^2) + eps), mostly beside a gate: as the
norms that they are."""

import torch

from .. import graph as g
from ..graph import Rows, Value


def written_norm(c, node, a, b) -> Value | None:
    """What the product of a and b is, if it is a norm: of one without weights by its root, or of
    such a norm by weights."""
    if not all(c.is_tensor(x) and not c.is_a(x, torch.Tensor) for x in (a, b)):
        return None
    for x, other in ((a, b), (b, a)):
        result = _without_weight(c, node, x, other)
        result = _with_weight(c, node, x, other) if result is None else result
        if result is not None:
            return c.without_ones(result, node)
    return None


def _without_weight(c, node, x, root):
    value, shape = c.value(x), c.shape(x)
    if (
        value.dtype != g.F32
        or not shape
        or isinstance(shape[-1], Rows)
        or shape[-1] == 1
        or c.shape(root) != [*shape[:-1], 1]
    ):
        return None
    size, eps = shape[-1], _eps(value, c.value(root))
    if eps is None:
        return None
    fields = _fields(size, eps, no_weight=True)
    return c.build.norm(c.declare("norm", f"{c.module(node)}.norm.rms.{size}.{eps}", fields), value)


def _eps(x: Value, root: Value) -> float | None:
    """That of `root` = 1 / sqrt(mean(x^2) + eps) over the last dimension."""
    eps, value = None, root
    for op, reads in (("UNARY", lambda n: n.ints == (g.UNARY["rsqrt"],)),
                      ("AFFINE", lambda n: n.reals[0] == 1.0),
                      ("REDUCE", lambda n: n.ints[:2] == (len(x.dims) - 1, g.REDUCE["mean"])),
                      ("MUL", lambda n: n.inputs == (x, x))):  # fmt: skip
        while value.made_by("VIEW"):
            value = value.node.inputs[0]
        if not value.made_by(op) or not reads(value.node):
            return None
        eps = value.node.reals[1] if op == "AFFINE" else eps
        value = value.node.inputs[0]
    return eps


def _with_weight(c, node, x, weight):
    """weight * norm(x), where the norm counts in f32 and is rounded before the product, as Llama's
    is."""
    name = c.parameter(weight)
    rounded = c.value(x)
    if (
        name is None
        or not name.endswith(".weight")
        or len(c.shape(weight)) != 1
        or not rounded.made_by("CAST")
    ):
        return None
    inner = rounded.node.inputs[0]
    if (
        not inner.made_by("NORM")
        or not inner.node.object.fields["no_weight"]
        or inner.dims[-1] != c.shape(weight)[0]
    ):
        return None
    source = inner.node.inputs[0]
    if (
        rounded.dtype != g.MODEL
        or not source.made_by("CAST")
        or source.node.inputs[0].dtype != g.MODEL
    ):
        return None
    fields = _fields(inner.dims[-1], inner.node.object.fields["eps"], no_weight=False)
    object = c.declare("norm", name.removesuffix(".weight"), fields, tensors={"weight": name})
    return c.build.norm(object, source.node.inputs[0])


def _fields(size, eps, no_weight):
    return {"kind": "RMS", "size": size, "eps": eps, "weight_offset": 0.0, "bias": False,
            "no_weight": no_weight, "cast_last": False}  # fmt: skip
