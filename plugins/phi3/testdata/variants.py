"""The tiny checkpoints of Phi-3 that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, MEDIUM, Variant

# Head dim 16, of which half is rotated: four frequencies.
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "partial_rotary_factor": 0.5,
    "short_factor": [1.0, 1.05, 1.2, 1.5],
    "long_factor": [1.1, 2.0, 4.0, 8.0],
}

VARIANTS = (
    Variant(
        "default",
        dict(
            MEDIUM,
            sliding_window=32,
            rope_parameters=dict(DEFAULT_ROPE, partial_rotary_factor=0.5),
            pad_token_id=0,
        ),
        must_matter=({"sliding_window": 31}, {"sliding_window": 33}),
        gains={"qkv_proj": 1.5},
    ),
    Variant(
        "longrope",
        # Of the prompts, that of 300 tokens is beyond the original length; no text crosses it.
        dict(
            MEDIUM,
            original_max_position_embeddings=64,
            rope_parameters=dict(LONGROPE),
            pad_token_id=0,
        ),
        must_matter=(
            {"rope_parameters": dict(LONGROPE, long_factor=LONGROPE["short_factor"])},
            {"rope_parameters": dict(LONGROPE, attention_factor=1.0)},
        ),
        gains={"qkv_proj": 1.5},
    ),
)
