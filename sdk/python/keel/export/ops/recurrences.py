"""Recurrences: what a layer keeps of the tokens so far in states."""

from .. import graph as g
from ..graph import Refused, Rows, Type
from .table import converts


def state_of(c, node, kind, shape, dtype=g.F32):
    """A state of the layer, named by the module that it is in."""
    kinds = {"conv": 0, "ssm": 1, "delta": 2, "scan": 3}
    layer = c.build.layer
    if layer is None:
        raise Refused("a recurrence outside of the layers")
    name = f"{c.module(node)}.{kind}_state"
    fields = {"kind": kinds[kind], "layer": layer, "shape": shape, "dtype": dtype}
    count = sum(d.startswith(name) for k, d in c.declared() if k == "state")
    return c.declare("state", name if not count else f"{name}.{count}", fields)


def _given(c, **arguments):
    return {name: c.value(x) for name, x in arguments.items() if x is not None}


@converts("keel_linear_scan")
def keel_linear_scan(c, node, x, a):
    channels = c.shape(x)[2]
    state = state_of(c, node, "scan", [channels])
    value, decay = (c.build.view(c.as_dtype(t, c.dtype(a)), (Rows(), channels)) for t in (x, a))
    return c.build.cast(
        c.build.recur(state, "SCAN", value, value.type, {"a": decay}), c.dtype(node)
    )


@converts("keel_linear_attention")
def keel_linear_attention(c, node, q, k, v, gate):
    heads, v_size = c.shape(v)[2:]
    state = state_of(c, node, "delta", [heads, c.shape(k)[3], v_size])
    q, k, v = (c.build.view(c.value(t), (Rows(), *c.shape(t)[2:])) for t in (q, k, v))
    arguments = {"k": k, "v": v, "g": c.build.view(c.value(gate), (Rows(), heads))}
    result = c.build.recur(
        state, "LINEAR_ATTENTION", q, Type(q.dtype, (Rows(), heads, v_size)), arguments
    )
    return c.without_ones(c.build.cast(result, c.dtype(node)), node)


@converts("keel_ssd")
def keel_ssd(c, node, x, dt, a, b, cc, d, dt_bias, dt_min, dt_max):
    _, _, heads, size = c.shape(x)
    groups, state_size = c.shape(b)[2:]
    state = state_of(c, node, "ssm", [heads, size, state_size])
    value = c.build.view(c.value(x), (Rows(), heads, size))
    arguments = _given(c, dt=dt, A=a, B=b, C=cc, D=d, dt_bias=dt_bias)
    for name in "BC":
        arguments[name] = c.build.view(arguments[name], (Rows(), groups, state_size))
    arguments |= {"dt_min": dt_min, "dt_max": dt_max}
    return c.without_ones(c.build.recur(state, "SSD", value, value.type, arguments), node)


@converts("keel_scan")
def keel_scan(c, node, x, dt, a, b, cc, d, dt_bias):
    channels, state_size = c.shape(a)
    state = state_of(c, node, "ssm", [channels, state_size])
    rows = {n: c.laid(t, (0, 2, 1)) for n, t in (("x", x), ("dt", dt), ("B", b), ("C", cc))}
    rows = {n: c.build.view(v, (Rows(), v.dims[-1])) for n, v in rows.items()}
    value = rows.pop("x")
    rest = _given(c, A=a, D=d, dt_bias=dt_bias)
    arguments = {
        n: (rows | rest)[n] for n in ("dt", "A", "B", "C", "D", "dt_bias") if n in rows | rest
    }
    return c.build.permute(
        c.build.recur(state, "SELECTIVE_SCAN", value, value.type, arguments), (1, 0)
    )


@converts("keel_delta")
def keel_delta(c, node, q, k, v, gate, beta, scale, l2norm):
    """Norms and scales of q and k are the model's: ops before the recurrence, in f32 as it is."""
    heads, v_size = c.shape(v)[2:]
    state = state_of(c, node, "delta", [heads, c.shape(k)[3], v_size])
    q, k = (c.build.view(c.as_dtype(t, g.F32), (Rows(), *c.shape(t)[2:])) for t in (q, k))
    if l2norm:
        q, k = (_normed(c, node, t, factor) for t, factor in ((q, scale), (k, 1.0)))
    else:
        q = c.build.affine(q, scale, 0.0)
    value = c.build.view(c.value(v), (Rows(), heads, v_size))
    arguments = {"k": k, "v": value} | _given(c, g=gate, beta=beta)
    out = Type(q.dtype, (Rows(), heads, v_size))
    result = c.build.recur(state, "GATED_DELTA", q, out, arguments)
    return c.without_ones(c.build.cast(result, c.dtype(node)), node)


def _normed(c, node, x, factor):
    """factor * x / sqrt(sum(x^2) + 1e-6): a norm of the mean, with its eps and scale divided by the
    size."""
    size = x.dims[-1]
    fields = {"kind": "RMS", "size": size, "eps": 1e-6 / size, "weight_offset": 0.0, "bias": False,
              "no_weight": True, "cast_last": False}  # fmt: skip
    return c.build.affine(
        c.build.norm(c.declare("norm", f"{c.module(node)}.norm.l2.{size}", fields), x),
        factor * size**-0.5,
        0.0,
    )
