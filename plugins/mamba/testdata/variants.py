"""The tiny checkpoints of Mamba that tests/goldens/make.sh writes beside this file."""

from variants import Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            vocab_size=128,
            hidden_size=40,
            num_hidden_layers=2,
            expand=2,
            state_size=12,
            time_step_rank=6,
            conv_kernel=4,
            layer_norm_epsilon=1e-3,
            use_bias=True,
            tie_word_embeddings=False,
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=1,
        ),
        must_matter=({"layer_norm_epsilon": 1e-5},),
        servable=True,
    ),
)
