"""Experts that a model runs by itself, without transformers' experts interface: what stands for the forward of a class.

A class is known by its name here; that what stands for it computes the same is found by check.py, as for any graph.
"""

import torch
import torch.nn.functional as F

from ..graph import Refused
from .activations import recognise_activation


def llama4(self, hidden_states):
    """A token is scaled before its expert, not behind it: so each choice is an expert layer of its own."""
    x = hidden_states.reshape(-1, self.hidden_dim)
    logits = F.linear(x, self.router.weight)
    top, ids = torch.topk(logits, self.top_k, dim=1)
    scores = torch.sigmoid(top.float()).to(x.dtype)
    out = self.shared_expert(x)
    for k in range(self.top_k):
        score, chosen = scores[:, k : k + 1], ids[:, k : k + 1]
        out = out + torch.ops.keel.experts(x * score, chosen, torch.ones_like(score), self.experts.gate_up_proj,
                                           self.experts.down_proj, None, None, self._keel_act, 0.0, 0.0, True, True)  # fmt: skip
    return out, logits


def dbrx(self, hidden_states, top_k_index, top_k_weights):
    """All experts are behind one another in one matrix: all run, and those that are not chosen count nothing."""
    x = hidden_states.reshape(-1, self.hidden_size)
    weights = x.new_zeros(x.shape[0], self.num_experts).scatter(1, top_k_index, top_k_weights)
    hidden = self.mlp.activation_fn(x @ self.mlp.w1.T) * (x @ self.mlp.v1.T)
    hidden = hidden * weights.repeat_interleave(self.ffn_hidden_size, 1)
    return (hidden @ self.mlp.w2).view(hidden_states.shape)


FORWARDS = {"DbrxExperts": dbrx, "Llama4TextMoe": llama4}


def activation_of(module: torch.nn.Module) -> str:
    """The activation of the experts inside; asked before their modules are hooked."""
    for part in module.modules():
        name = None if any(True for _ in part.parameters()) else recognise_activation(part)
        if name is not None:
            return name
    raise Refused(f"{type(module).__name__} has experts with an activation that Keel has not")
