"""The tiny checkpoints of Qwen3 that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, MEDIUM, Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            MEDIUM,
            head_dim=24,
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        ),
        must_matter=({"rope_parameters": dict(DEFAULT_ROPE)},),
    ),
)
