"""The tiny checkpoints of GPT-2 that tests/goldens/make.sh writes beside this file."""

from variants import Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            vocab_size=128,
            n_embd=48,
            n_inner=80,
            n_layer=2,
            n_head=4,
            n_positions=512,
            layer_norm_epsilon=1e-3,
            bos_token_id=0,
            eos_token_id=2,
        ),
        servable=True,
    ),
)
