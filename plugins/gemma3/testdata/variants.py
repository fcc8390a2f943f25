"""The tiny checkpoints of Gemma 3 that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, SMALL, Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            SMALL,
            # A tied embedding would repeat its input: norms after the layers keep them small.
            tie_word_embeddings=False,
            head_dim=24,
            query_pre_attn_scalar=20,
            sliding_window=64,
            layer_types=["sliding_attention", "full_attention"],
            rope_parameters={
                "sliding_attention": dict(DEFAULT_ROPE),
                "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
            },
        ),
        must_matter=(
            {"sliding_window": 63},
            {"sliding_window": 65},
            {"query_pre_attn_scalar": 24},
            {"layer_types": ["full_attention", "full_attention"]},
            {
                "rope_parameters": {
                    "sliding_attention": dict(DEFAULT_ROPE),
                    "full_attention": {"rope_type": "default", "rope_theta": 1000000.0},
                }
            },
        ),
        model_type="gemma3_text",
    ),
)
