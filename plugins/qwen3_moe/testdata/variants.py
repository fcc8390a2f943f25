"""The tiny checkpoints of Qwen3-MoE that tests/goldens/make.sh writes beside this file."""

from variants import SMALL, Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            SMALL,
            head_dim=24,
            moe_intermediate_size=40,
            num_experts=6,
            num_experts_per_tok=3,
            norm_topk_prob=True,
            mlp_only_layers=[0],
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        ),
        must_matter=({"norm_topk_prob": False}, {"num_experts_per_tok": 2}),
    ),
)
