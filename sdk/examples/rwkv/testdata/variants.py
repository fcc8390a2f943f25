"""The tiny checkpoints of RWKV that tests/goldens/make.sh writes beside this file."""

from variants import Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            vocab_size=128,
            hidden_size=48,  # transformers' cache takes no other attention_hidden_size
            intermediate_size=96,
            num_hidden_layers=2,
            context_length=512,
            layer_norm_epsilon=1e-3,
            bos_token_id=0,
            eos_token_id=2,
        ),
        must_matter=({"layer_norm_epsilon": 1e-5},),
        servable=True,
    ),
)
