"""The tiny checkpoints of Qwen3-Next that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, SMALL, Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            SMALL,
            vocab_size=128,
            num_hidden_layers=4,
            head_dim=24,
            linear_conv_kernel_dim=4,
            linear_key_head_dim=8,
            linear_value_head_dim=12,
            linear_num_key_heads=2,
            linear_num_value_heads=4,
            layer_types=[
                "linear_attention", "linear_attention", "full_attention", "linear_attention"
            ],
            mlp_only_layers=[1],
            moe_intermediate_size=20,
            shared_expert_intermediate_size=28,
            num_experts=6,
            num_experts_per_tok=3,
            norm_topk_prob=True,
            pad_token_id=1,
            rope_parameters=dict(DEFAULT_ROPE, partial_rotary_factor=0.25),
        ),
        must_matter=(
            {"rms_norm_eps": 1e-5},
            {"norm_topk_prob": False},
            {"num_experts_per_tok": 2},
            {"rope_parameters": dict(DEFAULT_ROPE, partial_rotary_factor=0.5)},
        ),
        servable=True,
    ),
)
