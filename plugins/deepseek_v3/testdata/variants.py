"""The tiny checkpoints of DeepSeek-V3 that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, SMALL, Variant

CONFIG = dict(
    SMALL,
    num_hidden_layers=3,
    num_key_value_heads=4,
    first_k_dense_replace=1,
    moe_intermediate_size=20,
    n_shared_experts=2,
    n_routed_experts=8,
    n_group=4,
    topk_group=2,
    num_experts_per_tok=3,
    routed_scaling_factor=1.5,
    norm_topk_prob=True,
    q_lora_rank=28,
    kv_lora_rank=24,
    qk_nope_head_dim=12,
    qk_rope_head_dim=8,
    v_head_dim=10,
    num_mtp_layers=0,
    rope_parameters=DEFAULT_ROPE,
)
YARN_ROPE = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 128,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 1.0,
    "mscale_all_dim": 0.8,
}

VARIANTS = (
    Variant(
        "default",
        dict(CONFIG, vocab_size=128),
        must_matter=(
            {"rms_norm_eps": 1e-5},
            {"routed_scaling_factor": 2.5},
            {"topk_group": 4},
            {"norm_topk_prob": False},
            {"rope_interleave": False},
        ),
        servable=True,
    ),
    Variant(
        "yarn",
        dict(
            CONFIG,
            q_lora_rank=None,
            attention_bias=True,
            rope_interleave=False,
            rope_parameters=YARN_ROPE,
        ),
        must_matter=(
            {"rope_parameters": dict(YARN_ROPE, mscale_all_dim=0.0)},
            {"rope_parameters": dict(YARN_ROPE, mscale=0.5)},
            {"rope_interleave": True},
        ),
    ),
)
