"""Mixtures of experts: transformers' experts interface, filled with `keel::experts`."""

import torch
import torch.nn.functional as F
from transformers.integrations import moe

from ..graph import ACTS, Refused
from .activations import FUNCTIONS, recognise_activation
from .library import define, like_first

NAME = "keel"


@define(
    "experts(Tensor x, Tensor ids, Tensor weights, Tensor gate_up, Tensor down, Tensor? "
    "gate_up_bias, "
    "Tensor? down_bias, str act, float limit, float up_offset, bool concatenated, bool transposed, "
    "bool gated=True) "
    "-> Tensor",
    like_first,
)
def experts(x, ids, weights, gate_up, down, gate_up_bias, down_bias, act, limit, up_offset,
            concatenated, transposed, gated=True):  # fmt: skip
    """x [N, H], ids and weights [N, k] -> [N, H]; the arguments are those of KEEL_MOE and of the
    layout.

    Without a gate `gate_up` is up alone, and the activation is of it.
    """
    y = torch.zeros_like(x)
    for e in range(gate_up.shape[0]):
        token, k = torch.where(ids == e)
        if not len(token):
            continue
        up_e, down_e = (w[e].T if transposed else w[e] for w in (gate_up, down))
        hidden = F.linear(x[token], up_e, None if gate_up_bias is None else gate_up_bias[e])
        if gated:
            gate, up = (
                hidden.chunk(2, -1) if concatenated else (hidden[..., ::2], hidden[..., 1::2])
            )
            if limit:
                gate, up = gate.clamp(max=limit), up.clamp(-limit, limit)
            hidden = FUNCTIONS[act](gate) * (up + up_offset)
        else:
            hidden = FUNCTIONS[act](hidden)
        hidden = F.linear(hidden, down_e, None if down_bias is None else down_bias[e])
        y.index_add_(0, token, (hidden * weights[token, k, None]).to(y.dtype))
    return y


def recognise_gate(module: torch.nn.Module) -> tuple[str, float, float]:
    """(act, limit, up_offset) of what the module does between its two matrices, by trying."""
    name = type(module).__name__
    if getattr(module, "has_post_expert_norm", False):
        raise Refused(f"{name} has experts with a norm of their own")
    if not module.has_gate:
        act = recognise_activation(module.act_fn)
        if act is None:
            raise Refused(f"{name} has experts with an activation that Keel has not")
        return act, 0.0, 0.0
    gate, up = torch.linspace(-9, 9, 61), torch.linspace(-8, 9, 61).flip(0)
    both = (
        torch.cat([gate, up]) if module.is_concatenated else torch.stack([gate, up], -1).flatten()
    )
    with torch.no_grad():
        y = module._apply_gate(both[None])[0]
    limits = {
        0.0,
        *(
            float(v)
            for k, v in vars(module).items()
            if "limit" in k and isinstance(v, (int, float))
        ),
    }
    for act in ACTS:
        for limit in sorted(limits):
            for offset in (0.0, 1.0):
                g, u = (gate.clamp(max=limit), up.clamp(-limit, limit)) if limit else (gate, up)
                if torch.allclose(FUNCTIONS[act](g) * (u + offset), y, atol=1e-5):
                    return act, limit, offset
    raise Refused(f"{name} combines gate and up in a way that no activation of Keel's does")


def experts_forward(self, hidden_states, top_k_index, top_k_weights, *args, **kwargs):
    """What transformers calls for the experts of a layer."""
    act, limit, offset = self._keel_gate
    first = "gate_up_proj" if self.has_gate else "up_proj"
    return torch.ops.keel.experts(hidden_states, top_k_index, top_k_weights, getattr(self, first),
                                  self.down_proj, getattr(self, f"{first}_bias", None),
                                  getattr(self, "down_proj_bias", None), act, limit, offset,
                                  self.is_concatenated, self.is_transposed,
                                  self.has_gate)  # fmt: skip


def has_experts(module: torch.nn.Module) -> bool:
    return hasattr(module, "has_gate") and hasattr(module, "_apply_gate")


moe.ALL_EXPERTS_FUNCTIONS.register(NAME, experts_forward)
