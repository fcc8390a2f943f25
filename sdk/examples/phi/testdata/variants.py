"""The tiny checkpoints of Phi that tests/goldens/make.sh writes beside this file."""

from variants import Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            vocab_size=128,
            hidden_size=96,
            intermediate_size=120,
            num_hidden_layers=2,
            num_attention_heads=6,
            num_key_value_heads=3,
            max_position_embeddings=512,
            layer_norm_eps=1e-3,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 10000.0,
                "partial_rotary_factor": 0.5,
            },
            bos_token_id=0,
            eos_token_id=2,
        ),
        # The block has one norm and no gate: the context has to outweigh the last token.
        gains={"q_proj": 4.0, "k_proj": 4.0, "v_proj": 3.0, "dense": 16.0, "embed_tokens": 6.0},
        servable=True,
    ),
)
