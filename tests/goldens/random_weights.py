"""Random weights that make a tiny model lively: attention that prefers some keys, layers that
outweigh the residual, norms and biases that no default value can stand in for."""

import numpy as np
import torch

# Standard deviation of a projection's weight, times sqrt(its inputs).
_GAINS = {
    "q_proj": 1.5,
    "k_proj": 1.5,
    "v_proj": 1.0,
    "o_proj": 2.0,
    "gate_proj": 1.5,
    "up_proj": 1.0,
    "down_proj": 2.0,
    "lm_head": 3.0,
    "embed_tokens": 3.0,
    # A mixture of experts: the router, and the experts' matrices in one tensor each.
    "gate": 3.0,
    "router": 3.0,
    "gate_up_proj": 1.5,
    # BLOOM: no positions, so that the context has to outweigh the last token all the more.
    "word_embeddings": 3.0,
    "query_key_value": 5.0,
    "dense": 8.0,
    "dense_h_to_4h": 3.0,
    "dense_4h_to_h": 4.0,
    # Mamba-2.
    "embeddings": 3.0,
    "in_proj": 1.5,
    "conv1d": 1.5,
    "out_proj": 2.0,
    # Mamba.
    "x_proj": 1.5,
    "dt_proj": 1.5,
    # Qwen3-Next.
    "in_proj_qkvz": 1.5,
    "in_proj_ba": 1.5,
    "shared_expert_gate": 2.0,
    # RecurrentGemma.
    "linear_x": 1.5,
    "linear_y": 1.5,
    "linear_out": 2.0,
    "conv_1d": 1.5,
    "input_gate_weight": 2.0,
    "recurrent_gate_weight": 2.0,
    # DeepSeek-V3.
    "q_a_proj": 1.5,
    "q_b_proj": 1.5,
    "kv_a_proj_with_mqa": 1.5,
    "kv_b_proj": 1.5,
    # RWKV.
    "key": 1.5,
    "value": 1.5,
    "receptance": 1.5,
    "output": 3.0,
    "head": 3.0,
    # LFM2.
    "conv": 1.5,
    "w1": 1.5,
    "w2": 2.0,
    "w3": 1.0,
    # Phi.
    "fc1": 1.5,
    "fc2": 3.0,
    # BERT, whose dense layers say their own gains.
    "query": 1.5,
    "position_embeddings": 2.0,
    "token_type_embeddings": 1.0,
    "classifier": 2.0,
    # GPT-2.
    "wte": 3.0,
    "wpe": 2.0,
    "c_attn": 3.0,
    "c_fc": 2.0,
    "c_proj": 6.0,
}


# A tied embedding repeats its input unless the layers outweigh the residual by more.
_GAINS_IF_TIED = {**_GAINS, "o_proj": 6.0, "down_proj": 6.0}


def _values(
    name: str, shape: tuple[int, ...], gains: dict[str, float], rng: np.random.Generator
) -> np.ndarray:
    module, kind = name.split(".")[-2:]
    norm = "norm" in module.lower() or module.startswith("ln") or module.endswith("_ln")
    if kind in ("bias", "input_gate_bias", "recurrent_gate_bias"):
        return (0.2 if norm else 0.5) * rng.standard_normal(shape)
    if norm:
        return rng.uniform(0.5, 1.5, shape)
    if kind == "A_log":  # some heads forget within tokens, some remember hundreds
        return rng.uniform(-5, 1, shape)
    if kind == "recurrent_param":  # likewise: the decay is exp(-8 softplus(it) sigmoid(..))
        # Not too near to 1: sqrt(1 - decay^2) would be made of rounding, another on each machine.
        return rng.uniform(-4, 0, shape)
    if kind == "e_score_correction_bias":  # changes which experts are chosen, not all of them
        return 0.2 * rng.standard_normal(shape)
    if kind == "time_decay":
        return rng.uniform(-5, 1, shape)
    if kind.startswith("time_mix"):
        return rng.uniform(0.1, 0.9, shape)
    if kind in ("D", "dt_bias", "time_first"):
        return rng.standard_normal(shape)
    if kind == "sinks" or kind.endswith("_bias"):  # gpt-oss
        return rng.standard_normal(shape)
    return (
        gains[module if kind == "weight" else kind]
        / np.sqrt(shape[-1])
        * rng.standard_normal(shape)
    )


def fill(model: torch.nn.Module, seed: int, more_gains: dict[str, float]) -> None:
    """Overwrites every parameter and saved buffer. NumPy's generator gives the same bytes on every
    machine."""
    rng = np.random.Generator(np.random.PCG64(seed))
    tied = getattr(model.config, "tie_word_embeddings", False)
    gains = _GAINS_IF_TIED if tied else _GAINS
    gains = gains | more_gains
    with torch.no_grad():
        saved = model.state_dict().keys()
        buffers = [(name, buffer) for name, buffer in model.named_buffers() if name in saved]
        for name, parameter in sorted([*model.named_parameters(), *buffers], key=lambda x: x[0]):
            values = _values(name, tuple(parameter.shape), gains, rng).astype(np.float32)
            parameter.copy_(torch.from_numpy(values))
