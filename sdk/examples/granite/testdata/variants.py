"""The tiny checkpoints of Granite that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, MEDIUM, Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            MEDIUM,
            head_dim=16,
            vocab_size=128,
            embedding_multiplier=3.0,
            residual_multiplier=0.6,
            attention_multiplier=0.4,
            logits_scaling=2.0,
            rope_parameters=dict(DEFAULT_ROPE),
        ),
        must_matter=(
            {"embedding_multiplier": 2.0},
            {"residual_multiplier": 0.7},
            {"attention_multiplier": 0.25},
            {"logits_scaling": 3.0},
        ),
        servable=True,
    ),
)
