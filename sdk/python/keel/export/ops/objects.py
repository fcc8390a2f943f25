"""What the model declares: linears, embeddings, norms, experts."""

from .. import graph as g
from ..graph import Refused, Rows
from .table import converts


def _module_of(parameter: str) -> str:
    return parameter.removesuffix(".weight")


@converts("linear")
def linear(c, node, x, weight, bias=None, transposed=False, flipped=False):
    """x W^T + b; `transposed`: W [in, out], as GPT-2's Conv1D has it; `flipped`: x is [.., in, N],
    the result [N, out]."""
    name = c.parameter(weight)
    shape = c.shape(weight)
    size_in, size_out = (shape if transposed else reversed(shape)) if len(shape) == 2 else (1, 1)
    if name is None or 1 in (size_in, c.shape(x)[-1]) or (flipped and size_out == 1):
        if flipped:
            raise Refused("a product of one element")
        return _product(c, node, x, weight, bias, transposed)
    bias_name = None if bias is None else c.parameter(bias)
    named_so = bias_name == f"{_module_of(name)}.bias"
    fields = {"in": size_in, "out": size_out, "bias": bias is not None and named_so}
    tensors = {"weight": name} | ({"bias": bias_name} if fields["bias"] else {})
    if transposed:
        tensors["transposed"] = name
    object = c.declare("linear", _module_of(name), fields, tensors=tensors)
    value = c.as_dtype(x, c.dtype(node))
    result = c.build.linear(object, c.build.permute(value, (1, 0)) if flipped else value)
    if bias is not None and not named_so:
        result = c.build.arithmetic("ADD", result, c.as_dtype(bias, c.dtype(node)))
    return c.without_ones(result, node) if size_out == 1 else result


def _product(c, node, x, weight, bias, transposed):
    dtype = c.dtype(node)
    right = c.build.view(c.as_dtype(weight, dtype), c.shape(weight))
    right = right if transposed else c.build.permute(right, (1, 0))
    left = c.build.view(c.as_dtype(x, dtype), c.shape(x))
    rows = left.dims[:-1]
    if len(left.dims) > 2:  # one matrix
        left = c.build.view(c.as_dtype(x, dtype), [d for d in rows if d != 1] + [left.dims[-1]])
    result = c.without_ones(c.build.matmul(left, right), node)
    if bias is None:
        return result
    return c.build.arithmetic("ADD", result, c.as_dtype(bias, dtype))


@converts("embedding")
def embedding(c, node, weight, ids, *_, **__):
    name = c.parameter(weight)
    if name is None:
        return c.build.gather_rows(c.value(weight), c.value(ids))
    rows, size = c.shape(weight)
    fields = {"rows": rows, "size": size}
    object = c.declare("embedding", _module_of(name), fields, tensors={"weight": name})
    return c.build.embed(object, c.value(ids))


# ---- norms


@converts("keel_norm")
def keel_norm(c, node, x, weight, bias, eps, mean, offset, cast_last):
    return _norm(c, node, x, weight, bias, eps, mean, offset, cast_last)


@converts("layer_norm")
def layer_norm(c, node, x, size, weight=None, bias=None, eps=1e-5, *_):
    return _norm(c, node, x, weight, bias, eps, True, 0.0, True)


@converts("rms_norm")
def rms_norm(c, node, x, size, weight=None, eps=None):
    return _norm(c, node, x, weight, None, 1e-6 if eps is None else eps, False, 0.0, True)


def _norm(c, node, x, weight, bias, eps, mean, offset, cast_last):
    names = [None if t is None else c.parameter(t) for t in (weight, bias)]
    size, value = c.shape(x)[-1], c.value(x)
    if isinstance(size, Rows) or size == 1:
        raise Refused("a norm over one element, or over the tokens of the batch")
    declared = weight is not None and names[0] is not None
    with_bias = declared and names[1] is not None and names[1] == f"{_module_of(names[0])}.bias"
    fields = {
        "kind": "LAYER" if mean else "RMS", "size": size, "eps": eps,
        "weight_offset": offset if declared else 0.0, "bias": with_bias, "no_weight": not declared,
        "cast_last": cast_last,
    }  # fmt: skip
    if declared:
        tensors = {"weight": names[0]} | ({"bias": names[1]} if with_bias else {})
        return _with_bias(c, node, c.build.norm(c.declare("norm", _module_of(names[0]), fields,
                          tensors=tensors), value), None if with_bias else bias)  # fmt: skip
    # Named by where it is, so that a pipeline knows its layer.
    name = f"{c.module(node)}.norm.{fields['kind'].lower()}.{size}.{eps}" + (
        ".cast_last" if cast_last else ""
    )
    result = c.build.norm(c.declare("norm", name, fields), value)
    if weight is not None:
        result = c.build.arithmetic(
            "MUL", result, c.build.affine(c.as_dtype(weight, result.dtype), 1.0, offset)
        )
    return _with_bias(c, node, result, bias)


def _with_bias(c, node, result, bias):
    return (
        result
        if bias is None
        else c.build.arithmetic("ADD", result, c.as_dtype(bias, c.dtype(node)))
    )


@converts("keel_act")
def keel_act(c, node, x, name):
    return c.build.act(name, c.value(x))


# ---- experts


def _common_module(*names):
    """The innermost module that all are in."""
    parts = [name.split(".")[:-1] for name in names]
    depth = next(
        (i for i, words in enumerate(zip(*parts)) if len(set(words)) > 1), min(map(len, parts))
    )
    return ".".join(parts[0][:depth])


@converts("keel_experts")
def keel_experts(c, node, x, ids, weights, gate_up, down, gate_up_bias, down_bias, act, limit,
                 up_offset, concatenated, transposed, gated=True):  # fmt: skip
    names = {key: None if t is None else c.parameter(t) for key, t in (
        ("gate_up", gate_up), ("down", down), ("gate_up_bias", gate_up_bias),
        ("down_bias", down_bias))}  # fmt: skip
    if names["gate_up"] is None:
        raise Refused("experts whose matrices are no parameters")
    experts, width = c.shape(down)[0], c.shape(gate_up)[2 if transposed else 1]
    top_k = c.shape(ids)[-1]
    name = _common_module(names["gate_up"], names["down"])
    fields = {
        "act": g.ACTS[act], "experts": experts, "top_k": top_k, "hidden_size": c.shape(x)[-1],
        "intermediate_size": width // 2 if gated else width, "bias": gate_up_bias is not None,
        "gate": "{e}.gate_proj" if gated else "", "up": "{e}.up_proj", "down": "{e}.down_proj",
        "limit": limit, "up_offset": up_offset, "routed_scale": 1.0,
    }  # fmt: skip
    layout = {"concatenated": concatenated, "transposed": transposed, "gated": gated}
    object = c.declare(
        "moe", name, fields | {"layout": layout}, tensors={k: n for k, n in names.items() if n}
    )
    ids, weights = (
        c.build.view(c.value(t), [d for d in c.shape(t)[:-1] if d != 1] + [top_k])
        for t in (ids, weights)
    )
    return c.build.moe_routed(object, c.value(x), ids, weights)
