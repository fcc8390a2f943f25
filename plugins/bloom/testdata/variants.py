"""The tiny checkpoints of BLOOM that tests/goldens/make.sh writes beside this file."""

from variants import Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            vocab_size=200,
            hidden_size=48,
            n_layer=2,
            n_head=6,
            layer_norm_epsilon=1e-3,
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=1,
        ),
        must_matter=({"apply_residual_connection_post_layernorm": True},),
    ),
)
