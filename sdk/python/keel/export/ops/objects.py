"""What the model declares: linears, embeddings, norms, attention, experts, recurrences."""

from .. import graph as g
from ..graph import Refused, Rows, Type
from .shape import Padded
from .table import converts


def _module_of(parameter: str) -> str:
    return parameter.removesuffix(".weight")


@converts("linear")
def linear(c, node, x, weight, bias=None, transposed=False, flipped=False):
    """x W^T + b; `transposed`: W [in, out], as GPT-2's Conv1D has it; `flipped`: x is [.., in, N], the result [N, out]."""
    name = c.parameter(weight)
    shape = c.shape(weight)
    if name is None or len(shape) != 2 or 1 in c.shape(x)[-1:] or 1 in shape:
        if flipped:
            raise Refused("a product of one element")
        return _product(c, node, x, weight, bias, transposed)
    bias_name = None if bias is None else c.parameter(bias)
    size_in, size_out = shape if transposed else reversed(shape)
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
    return result


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
        "kind": "LAYER" if mean else "RMS", "size": size, "eps": eps, "weight_offset": offset if declared else 0.0,
        "bias": with_bias, "no_weight": not declared, "cast_last": cast_last,
    }  # fmt: skip
    if declared:
        tensors = {"weight": names[0]} | ({"bias": names[1]} if with_bias else {})
        return _with_bias(c, node, c.build.norm(c.declare("norm", _module_of(names[0]), fields, tensors=tensors), value),
                          None if with_bias else bias)  # fmt: skip
    # Named by where it is, so that a pipeline knows its layer.
    name = f"{c.module(node)}.norm.{fields['kind'].lower()}.{size}.{eps}" + (".cast_last" if cast_last else "")
    result = c.build.norm(c.declare("norm", name, fields), value)
    if weight is not None:
        result = c.build.arithmetic("MUL", result, c.build.affine(c.as_dtype(weight, result.dtype), 1.0, offset))
    return _with_bias(c, node, result, bias)


def _with_bias(c, node, result, bias):
    return result if bias is None else c.build.arithmetic("ADD", result, c.as_dtype(bias, c.dtype(node)))


@converts("keel_act")
def keel_act(c, node, x, name):
    return c.build.act(name, c.value(x))


# ---- experts


@converts("keel_experts")
def keel_experts(c, node, x, ids, weights, gate_up, down, gate_up_bias, down_bias, act, limit, up_offset, concatenated,
                 transposed, gated=True):  # fmt: skip
    names = {key: None if t is None else c.parameter(t) for key, t in (
        ("gate_up", gate_up), ("down", down), ("gate_up_bias", gate_up_bias), ("down_bias", down_bias))}  # fmt: skip
    if names["gate_up"] is None:
        raise Refused("experts whose matrices are no parameters")
    experts, width = c.shape(gate_up)[0], c.shape(gate_up)[2 if transposed else 1]
    top_k = c.shape(ids)[-1]
    name = names["gate_up"].rpartition(".")[0]
    fields = {
        "act": g.ACTS[act], "experts": experts, "top_k": top_k, "hidden_size": c.shape(x)[-1],
        "intermediate_size": width // 2 if gated else width, "bias": gate_up_bias is not None,
        "gate": "{e}.gate_proj" if gated else "", "up": "{e}.up_proj", "down": "{e}.down_proj", "limit": limit, "up_offset": up_offset, "routed_scale": 1.0,
    }  # fmt: skip
    layout = {"concatenated": concatenated, "transposed": transposed, "gated": gated}
    object = c.declare("moe", name, fields | {"layout": layout}, tensors={k: n for k, n in names.items() if n})
    ids, weights = (c.build.view(c.value(t), [d for d in c.shape(t)[:-1] if d != 1] + [top_k]) for t in (ids, weights))
    return c.build.moe_routed(object, c.value(x), ids, weights)


# ---- recurrences


def _state(c, node, kind, shape):
    """A state of the layer, named by the module that it is in."""
    kinds = {"conv": 0, "ssm": 1, "delta": 2, "scan": 3}
    layer = c.build.layer
    if layer is None:
        raise Refused("a recurrence outside of the layers")
    name = f"{c.module(node)}.{kind}_state"
    fields = {"kind": kinds[kind], "layer": layer, "shape": shape}
    count = sum(d.startswith(name) for k, d in c.declared() if k == "state")
    return c.declare("state", name if not count else f"{name}.{count}", fields)


def _given(c, **arguments):
    return {name: c.value(x) for name, x in arguments.items() if x is not None}


@converts("keel_conv1d")
def keel_conv1d(c, node, x, weight, bias, silu):
    result = _causal_conv(c, node, x, weight, bias)
    result = c.build.act("silu", result) if silu else result
    return c.build.permute(result, (1, 0))


def _causal_conv(c, node, x, weight, bias):
    channels, kernel = c.shape(weight)[0], c.shape(weight)[-1]
    state = _state(c, node, "conv", [channels, kernel - 1])
    value = c.laid(x, (0, 2, 1))
    value = c.build.view(value, (Rows(), channels))
    return c.build.recur(state, "CAUSAL_CONV1D", value, value.type, _given(c, weight=weight, bias=bias))


@converts("conv1d")
def conv1d(c, node, x, weight, bias=None, stride=(1,), padding=(0,), dilation=(1,), groups=1):
    """A causal one: padded on both sides, and cut behind the last token by what follows."""
    channels, of_group, kernel = c.shape(weight)
    if c.shape(x)[-1] != Rows() or (of_group, groups) != (1, channels) or list(padding) != [kernel - 1]:
        raise Refused("a convolution that is not causal by channel: padded by its width less one, and cut behind the text")
    if [*stride, *dilation] != [1, 1]:
        raise Refused("a convolution with strides")
    return Padded(c.build.permute(_causal_conv(c, node, x, weight, bias), (1, 0)))


@converts("convolution")
def convolution(c, node, x, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    if transposed or len(c.shape(weight)) != 3:
        raise Refused("a convolution of another kind than over the text")
    return conv1d(c, node, x, weight, bias, stride, padding, dilation, groups)


@converts("keel_linear_scan")
def keel_linear_scan(c, node, x, a):
    channels = c.shape(x)[2]
    state = _state(c, node, "scan", [channels])
    value, decay = (c.build.view(c.as_dtype(t, c.dtype(a)), (Rows(), channels)) for t in (x, a))
    return c.build.cast(c.build.recur(state, "SCAN", value, value.type, {"a": decay}), c.dtype(node))


@converts("keel_linear_attention")
def keel_linear_attention(c, node, q, k, v, gate):
    heads, v_size = c.shape(v)[2:]
    state = _state(c, node, "delta", [heads, c.shape(k)[3], v_size])
    q, k, v = (c.build.view(c.value(t), (Rows(), *c.shape(t)[2:])) for t in (q, k, v))
    arguments = {"k": k, "v": v, "g": c.build.view(c.value(gate), (Rows(), heads))}
    result = c.build.recur(state, "LINEAR_ATTENTION", q, Type(q.dtype, (Rows(), heads, v_size)), arguments)
    return c.without_ones(c.build.cast(result, c.dtype(node)), node)


@converts("keel_ssd")
def keel_ssd(c, node, x, dt, a, b, cc, d, dt_bias, dt_min, dt_max):
    _, _, heads, size = c.shape(x)
    groups, state_size = c.shape(b)[2:]
    state = _state(c, node, "ssm", [heads, size, state_size])
    value = c.build.view(c.value(x), (Rows(), heads, size))
    arguments = _given(c, dt=dt, A=a, B=b, C=cc, D=d, dt_bias=dt_bias)
    for name in "BC":
        arguments[name] = c.build.view(arguments[name], (Rows(), groups, state_size))
    if dt_min > 0:
        arguments["dt_min"] = dt_min
    if dt_max < float("inf"):
        arguments["dt_max"] = dt_max
    return c.without_ones(c.build.recur(state, "SSD", value, value.type, arguments), node)


@converts("keel_scan")
def keel_scan(c, node, x, dt, a, b, cc, d, dt_bias):
    channels, state_size = c.shape(a)
    state = _state(c, node, "ssm", [channels, state_size])
    rows = {n: c.laid(t, (0, 2, 1)) for n, t in (("x", x), ("dt", dt), ("B", b), ("C", cc))}
    rows = {n: c.build.view(v, (Rows(), v.dims[-1])) for n, v in rows.items()}
    value = rows.pop("x")
    rest = _given(c, A=a, D=d, dt_bias=dt_bias)
    arguments = {n: (rows | rest)[n] for n in ("dt", "A", "B", "C", "D", "dt_bias") if n in rows | rest}
    return c.build.permute(c.build.recur(state, "SELECTIVE_SCAN", value, value.type, arguments), (1, 0))


@converts("keel_delta")
def keel_delta(c, node, q, k, v, gate, beta, scale, l2norm):
    """Norms and scales of q and k are the model's: ops before the recurrence."""
    heads, v_size = c.shape(v)[2:]
    state = _state(c, node, "delta", [heads, c.shape(k)[3], v_size])
    q, k = (c.build.view(c.value(t), (Rows(), *c.shape(t)[2:])) for t in (q, k))
    if l2norm:
        q, k = _normed(c, node, q), _normed(c, node, k)
    q = c.build.affine(q, scale, 0.0)
    value = c.build.view(c.value(v), (Rows(), heads, v_size))
    arguments = {"k": k, "v": value} | _given(c, g=gate, beta=beta)
    out = Type(q.dtype, (Rows(), heads, v_size))
    result = c.build.recur(state, "GATED_DELTA", q, out, arguments)
    return c.without_ones(c.build.cast(result, c.dtype(node)), node)


def _normed(c, node, x):
    """x / sqrt(sum(x^2) + 1e-6): a norm of the mean, with its eps and scale divided by the size."""
    size = x.dims[-1]
    fields = {"kind": "RMS", "size": size, "eps": 1e-6 / size, "weight_offset": 0.0, "bias": False, "no_weight": True,
              "cast_last": True}  # fmt: skip
    return c.build.affine(c.build.norm(c.declare("norm", f"{c.module(node)}.norm.l2.{size}", fields), x), size**-0.5, 0.0)
