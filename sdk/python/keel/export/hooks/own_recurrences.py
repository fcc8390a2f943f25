"""Recurrences that a model writes as a loop over tokens, which no trace can follow: what stands for
the loop.

A method or a class is known by its name here; that what stands for it computes the same is found by
check.py.
"""

import torch
import torch.nn.functional as F

from ..graph import Refused
from .library import define, like_first


@define("linear_scan(Tensor x, Tensor a) -> Tensor", like_first)
def linear_scan(x, a):
    """x, a [1, N, C]: state = a state + x, the state is given."""
    state, out = torch.zeros(x.shape[0], x.shape[2]), []
    for t in range(x.shape[1]):
        state = a[:, t].float() * state + x[:, t].float()
        out.append(state)
    return torch.stack(out, 1).to(x.dtype)


@define(
    "linear_attention(Tensor q, Tensor k, Tensor v, Tensor g) -> Tensor",
    lambda q, k, v, g: torch.empty_like(v),
)
def linear_attention(q, k, v, g):
    """q, k [1, N, heads, K], v [1, N, heads, V], g [1, N, heads]."""
    q, k, v_, g = (t.float() for t in (q, k, v, g))
    state, out = torch.zeros(q.shape[0], q.shape[2], k.shape[-1], v.shape[-1]), []
    for t in range(q.shape[1]):
        state = state * g[:, t].exp()[..., None, None] + k[:, t, :, :, None] * v_[:, t, :, None]
        out.append((state * q[:, t, :, :, None]).sum(-2))
    return torch.stack(out, 1).to(v.dtype)


def rnn_scan(hidden_states, recurrent_gate, reset, recurrent_states=None):
    """RecurrentGemma's. A text begins with no state, so that the reset at its first token changes
    nothing."""
    return torch.ops.keel.linear_scan(hidden_states, recurrent_gate), None


def lightning(self, hidden_states, *args, **kwargs):
    """MiniMax's linear attention, whose states decay by a number of each head."""
    batch, length, _ = hidden_states.shape
    heads, size = self.num_attention_heads, self.head_dim
    qkv = self.act_fn(self.qkv_proj(hidden_states)).reshape(batch, length, heads, 3 * size)
    decay = -self.slope_rate.view(1, 1, heads).expand(batch, length, heads)
    y = torch.ops.keel.linear_attention(*torch.split(qkv, size, dim=3), decay)
    y = self.norm(y.reshape(batch, length, heads * size))
    return self.out_proj(F.sigmoid(self.output_gate(hidden_states)) * y), None


def mlstm(self, query, key, value, igate, fgate, *args, **kwargs):
    """xLSTM's matrix memory. Its sums of values and of keys are states that the largest gate so far
    divides, for range alone: with gates that are bounded f32 has that range. The sum of keys is one
    more value, of ones."""
    if not self.config.gate_soft_cap:
        raise Refused("an mLSTM whose gates are not bounded (gate_soft_cap)")
    q, k, v, i, f = (t.transpose(1, 2).float() for t in (query, key, value, igate, fgate))
    k = k * torch.exp(i)[..., None]
    v = torch.cat([v, torch.ones_like(v[..., :1])], -1)
    y = torch.ops.keel.linear_attention(q * q.shape[-1] ** -0.5, k, v, -F.softplus(-f))
    y = y[..., :-1] / y[..., -1:].abs().clamp(min=1)
    return y.transpose(1, 2).to(query.dtype), (None, None, None)


METHODS = {"_rnn_scan": rnn_scan}
FORWARDS = {"MiniMaxLightningAttention": lightning, "xLSTMBackend": mlstm}
