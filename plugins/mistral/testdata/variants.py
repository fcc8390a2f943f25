"""The tiny checkpoints of Mistral that tests/goldens/make.sh writes beside this file."""

from variants import MEDIUM, Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            MEDIUM,
            head_dim=24,
            sliding_window=64,
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        ),
        must_matter=(
            {"sliding_window": None},
            {"sliding_window": 63},
            {"sliding_window": 65},
        ),
    ),
)
