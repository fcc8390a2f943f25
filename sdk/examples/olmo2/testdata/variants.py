"""The tiny checkpoints of OLMo 2 that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, MEDIUM, Variant

VARIANTS = (
    Variant(
        "default",
        dict(MEDIUM, vocab_size=128, rope_parameters=dict(DEFAULT_ROPE), pad_token_id=1),
        must_matter=({"rms_norm_eps": 1e-1},),
        servable=True,
    ),
)
