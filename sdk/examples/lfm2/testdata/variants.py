"""The tiny checkpoints of LFM2 that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            vocab_size=128,
            hidden_size=64,
            intermediate_size=150,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            norm_eps=1e-3,
            conv_bias=True,
            block_multiple_of=8,
            layer_types=["conv", "full_attention", "conv"],
            rope_parameters=dict(DEFAULT_ROPE),
            pad_token_id=0,
            tie_word_embeddings=False,
            bos_token_id=0,
            eos_token_id=2,
        ),
        must_matter=({"norm_eps": 1e-1},),
        servable=True,
    ),
)
