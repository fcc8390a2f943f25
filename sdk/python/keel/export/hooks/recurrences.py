"""Recurrences: the functions that modeling files take from a kernel library, replaced by `keel::*`
where a name is known.

Under the names of their plain PyTorch versions, which transformers marks as replaceable by kernels.
"""

import torch
import torch.nn.functional as F

from ..graph import Refused
from .library import define, like_first


@define("conv1d(Tensor x, Tensor weight, Tensor? bias, bool silu) -> Tensor", like_first)
def conv1d(x, weight, bias, silu):
    """x [1, C, N], weight [C, K]."""
    y = F.conv1d(F.pad(x, (weight.shape[-1] - 1, 0)), weight[:, None], bias, groups=x.shape[1])
    return F.silu(y) if silu else y


@define(
    "ssd(Tensor x, Tensor dt, Tensor a, Tensor b, Tensor c, Tensor? d, Tensor? dt_bias, float "
    "dt_min, float dt_max) "
    "-> Tensor",
    like_first,
)
def ssd(x, dt, a, b, c, d, dt_bias, dt_min, dt_max):
    """x [1, N, heads, P], dt [1, N, heads], a [heads], b, c [1, N, groups, S]."""
    dt = F.softplus(dt if dt_bias is None else dt + dt_bias).clamp(dt_min, dt_max).float()
    times = x.shape[2] // b.shape[2]
    b, c = b.repeat_interleave(times, 2).float(), c.repeat_interleave(times, 2).float()
    state, out = torch.zeros(x.shape[0], x.shape[2], x.shape[3], b.shape[-1]), []
    for t in range(x.shape[1]):
        update = (dt[:, t, :, None] * x[:, t].float())[..., None] * b[:, t, :, None]
        state = state * torch.exp(dt[:, t] * a)[..., None, None] + update
        y = (state * c[:, t, :, None]).sum(-1)
        out.append(y if d is None else y + d[:, None] * x[:, t])
    return torch.stack(out, 1).to(x.dtype)


@define(
    "scan(Tensor x, Tensor dt, Tensor a, Tensor b, Tensor c, Tensor? d, Tensor? dt_bias) -> Tensor",
    like_first,
)
def scan(x, dt, a, b, c, d, dt_bias):
    """x, dt [1, C, N], a [C, S], b, c [1, S, N]."""
    dt = F.softplus((dt if dt_bias is None else dt + dt_bias[None, :, None]).float())
    state, out = torch.zeros(x.shape[0], x.shape[1], a.shape[1]), []
    for t in range(x.shape[2]):
        update = dt[:, :, t, None] * b[:, None, :, t].float() * x[:, :, t, None].float()
        state = state * torch.exp(dt[:, :, t, None] * a) + update
        y = (state * c[:, None, :, t].float()).sum(-1)
        out.append(y if d is None else y + d * x[:, :, t].float())
    return torch.stack(out, -1).to(x.dtype)


@define(
    "delta(Tensor q, Tensor k, Tensor v, Tensor g, Tensor beta, float scale, bool l2norm) -> "
    "Tensor",
    lambda q, k, v, *_: torch.empty_like(v),
)
def delta(q, k, v, g, beta, scale, l2norm):
    """q, k [1, N, groups, K], v [1, N, heads, V], g, beta [1, N, heads]."""
    q, k = (t.repeat_interleave(v.shape[2] // t.shape[2], 2) for t in (q, k))
    if l2norm:
        q, k = (t * torch.rsqrt(t.square().sum(-1, keepdim=True) + 1e-6) for t in (q, k))
    q, k, v_, g, beta = (t.float() for t in (q * scale, k, v, g, beta))
    state, out = torch.zeros(q.shape[0], v.shape[2], k.shape[-1], v.shape[-1]), []
    for t in range(q.shape[1]):
        decay = g[:, t].exp()[..., None] if g.dim() == 3 else g[:, t].exp()
        state = state * decay[..., None]
        known = (state * k[:, t, :, :, None]).sum(-2)
        state = state + k[:, t, :, :, None] * ((v_[:, t] - known) * beta[:, t, :, None])[:, :, None]
        out.append((state * q[:, t, :, :, None]).sum(-2))
    return torch.stack(out, 1).to(v.dtype)


def causal_conv1d_fn(x, weight, bias=None, activation=None, **kwargs):
    if activation not in (None, "silu", "swish"):
        raise Refused(
            f"a causal convolution with the activation {activation}, expected silu or none"
        )
    return torch.ops.keel.conv1d(x, weight, bias, activation is not None)


def mamba2_chunk_scan(hidden_states, dt, A, B, C, chunk_size=None, D=None, z=None, dt_bias=None,
                      dt_softplus=False, dt_limit=(0.0, float("inf")), return_final_states=False,
                      **kwargs):  # fmt: skip
    if z is not None or not dt_softplus:
        raise Refused("a Mamba-2 scan with z or without softplus")
    y = torch.ops.keel.ssd(
        hidden_states, dt, A, B, C, D, dt_bias, float(dt_limit[0]), float(dt_limit[1])
    )
    return (y, None) if return_final_states else y


def mamba_selective_scan(hidden_states, dt, A, B, C, D=None, z=None, delta_bias=None,
                         delta_softplus=False, return_last_state=False, **kwargs):  # fmt: skip
    if not delta_softplus:
        raise Refused("a selective scan without softplus")
    y = torch.ops.keel.scan(hidden_states, dt, A, B, C, D, delta_bias)
    y = y if z is None else y * F.silu(z)
    return (y, None) if return_last_state else y


def torch_chunk_gated_delta_rule(query, key, value, g, beta, scale=None, initial_state=None,
                                 output_final_state=False, use_qk_l2norm_in_kernel=False,
                                 **kwargs):  # fmt: skip
    scale = float(scale or key.shape[-1] ** -0.5)
    return torch.ops.keel.delta(
        query, key, value, g, beta, scale, bool(use_qk_l2norm_in_kernel)
    ), None


FUNCTIONS = {
    f.__name__: f
    for f in (
        causal_conv1d_fn,
        mamba2_chunk_scan,
        mamba_selective_scan,
        torch_chunk_gated_delta_rule,
    )
} | {
    "chunk_kimi_delta_attention": torch_chunk_gated_delta_rule
}  # with a gate for each channel of a key
