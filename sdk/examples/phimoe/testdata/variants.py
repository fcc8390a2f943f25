"""The tiny checkpoints of Phi-3.5-MoE that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, MEDIUM, Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            MEDIUM,
            vocab_size=128,
            intermediate_size=40,
            num_local_experts=6,
            num_experts_per_tok=2,
            router_jitter_noise=0.2,
            attention_bias=True,
            lm_head_bias=True,
            rope_parameters=dict(DEFAULT_ROPE),
        ),
        servable=True,
    ),
)
