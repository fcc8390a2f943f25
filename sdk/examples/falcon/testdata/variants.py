"""The tiny checkpoints of Falcon that tests/goldens/make.sh writes beside this file."""

from variants import Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            vocab_size=128,
            hidden_size=48,
            num_hidden_layers=2,
            num_attention_heads=6,
            ffn_hidden_size=80,
            alibi=True,
            parallel_attn=True,
            multi_query=False,
            new_decoder_architecture=False,
            bias=True,
            layer_norm_epsilon=1e-3,
            bos_token_id=0,
            eos_token_id=2,
        ),
        # Its eager attention adds the penalty twice, once in the mask (5.23).
        attention="sdpa",
        # transformers rounds slope * position to bfloat16, which is exact up to 256.
        prompt_lengths=(1, 7, 200),
        servable=True,
    ),
)
