"""Experts that a model runs by itself, without transformers' experts interface: what stands for the
forward of a class.

A class is known by its name here; that what stands for it computes the same is found by check.py,
as for any graph.
"""

import torch
import torch.nn.functional as F

from ..graph import Refused
from .activations import recognise_activation


def llama4(self, hidden_states):
    """A token is scaled before its expert, not behind it: so each choice is an expert layer of its
    own."""
    x = hidden_states.reshape(-1, self.hidden_dim)
    logits = F.linear(x, self.router.weight)
    top, ids = torch.topk(logits, self.top_k, dim=1)
    scores = torch.sigmoid(top.float()).to(x.dtype)
    out = self.shared_expert(x)
    for k in range(self.top_k):
        score, chosen = scores[:, k : k + 1], ids[:, k : k + 1]
        out = out + torch.ops.keel.experts(x * score, chosen, torch.ones_like(score),
                                           self.experts.gate_up_proj, self.experts.down_proj, None,
                                           None, self._keel_act, 0.0, 0.0, True, True)  # fmt: skip
    return out, logits


def dbrx(self, hidden_states, top_k_index, top_k_weights):
    """All experts are behind one another in one matrix: all run, and those that are not chosen
    count nothing."""
    x = hidden_states.reshape(-1, self.hidden_size)
    weights = x.new_zeros(x.shape[0], self.num_experts).scatter(1, top_k_index, top_k_weights)
    hidden = self.mlp.activation_fn(x @ self.mlp.w1.T) * (x @ self.mlp.v1.T)
    hidden = hidden * weights.repeat_interleave(self.ffn_hidden_size, 1)
    return (hidden @ self.mlp.w2).view(hidden_states.shape)


def longcat(self, hidden_states, top_k_index, top_k_weights):
    """Behind the experts that have matrices there are some that give back what they get."""
    zeros, chosen = torch.zeros_like(top_k_weights), top_k_index < self.num_routed_experts
    weights = torch.where(chosen, top_k_weights, zeros)
    ids = torch.where(chosen, top_k_index, torch.zeros_like(top_k_index))
    y = torch.ops.keel.experts(hidden_states, ids, weights, self.gate_up_proj, self.down_proj, None,
                               None, self._keel_act, 0.0, 0.0, True, False)  # fmt: skip
    back = torch.where(chosen, zeros, top_k_weights).sum(-1, keepdim=True)
    return y + (hidden_states * back).to(y.dtype)


def jetmoe(self, layer_input):
    """Its router sorts the tokens by experts."""
    x = layer_input.reshape(-1, self.input_size)
    ids, weights = _chosen_of(self.router, x)
    y = torch.ops.keel.experts(x, ids, weights, self.input_linear.weight, self.output_linear.weight,
                               None, None, self._keel_act, 0.0, 0.0, True, False)  # fmt: skip
    return y.view(layer_input.shape) + self.bias


def _chosen_of(router, x):
    top, ids = router.layer(x).float().topk(router.top_k, dim=1)
    return ids, torch.softmax(top, dim=1).type_as(x)


def jetmoe_queries(self, layer_input):
    """Projections [.., k, size] of the k experts of each token: all run, and the chosen are
    taken."""
    x = layer_input.reshape(-1, self.input_size)
    ids, weights = _chosen_of(self.router, x)
    which = F.one_hot(ids, self.num_experts).type_as(x)  # [N, k, experts]
    every = F.linear(x, self.input_linear.weight.reshape(-1, self.input_size)).view(
        -1, self.num_experts, self.hidden_size
    )
    return (
        (which @ every).view(*layer_input.shape[:2], self.top_k, self.hidden_size),
        None,
        (which, weights),
    )


def jetmoe_outputs(self, layer_input, chosen):
    """The other way: each of the k goes to its expert, others get zeros."""
    which, weights = chosen
    y = layer_input.reshape(-1, self.top_k, self.hidden_size) * weights[..., None]
    every = (which.transpose(1, 2) @ y).reshape(-1, self.num_experts * self.hidden_size)
    out = every @ self.output_linear.weight.transpose(1, 2).reshape(-1, self.input_size)
    return out.view(*layer_input.shape[:2], self.input_size) + self.bias


FORWARDS = {
    "DbrxExperts": dbrx,
    "JetMoeMoE": jetmoe,
    "Llama4TextMoe": llama4,
    "LongcatFlashExperts": longcat,
}
METHODS = {"JetMoeMoA": {"map": jetmoe_queries, "reduce": jetmoe_outputs}}


def activation_of(module: torch.nn.Module) -> str:
    """The activation of the experts inside; asked before their modules are hooked."""
    for part in module.modules():
        name = None if any(True for _ in part.parameters()) else recognise_activation(part)
        if name is not None:
            return name
    raise Refused(f"{type(module).__name__} has experts with an activation that Keel has not")
