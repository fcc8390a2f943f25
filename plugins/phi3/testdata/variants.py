"""The tiny checkpoints of Phi-3 that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, MEDIUM, Variant

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
)
