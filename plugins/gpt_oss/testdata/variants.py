"""The tiny checkpoints of gpt-oss that tests/goldens/make.sh writes beside this file."""

from variants import SMALL, Variant

YARN = {
    "rope_type": "yarn",
    "rope_theta": 150000.0,
    "factor": 8.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": False,
    "original_max_position_embeddings": 64,
}

VARIANTS = (
    Variant(
        "default",
        dict(
            SMALL,
            head_dim=24,
            intermediate_size=40,
            num_local_experts=6,
            num_experts_per_tok=3,
            sliding_window=64,
            # Low enough to be met.
            swiglu_limit=2.0,
            layer_types=["sliding_attention", "full_attention"],
            rope_parameters=YARN,
        ),
        must_matter=(
            {"num_experts_per_tok": 2},
            {"sliding_window": 63},
            {"swiglu_limit": 7.0},
            {"rope_parameters": dict(YARN, truncate=True)},
        ),
    ),
)
