"""The tiny checkpoints of RecurrentGemma that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            vocab_size=128,
            hidden_size=48,
            intermediate_size=144,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            # transformers' decode takes no lru_width other than the hidden size.
            lru_width=48,
            attention_window_size=24,
            conv1d_width=4,
            block_types=["recurrent", "recurrent", "attention"],
            rms_norm_eps=5e-2,
            logits_soft_cap=20.0,
            attention_bias=True,
            rope_parameters=dict(DEFAULT_ROPE, partial_rotary_factor=0.5),
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=1,
        ),
        must_matter=(
            {"rms_norm_eps": 1e-5},
            {"attention_window_size": 300},
            {"logits_soft_cap": 30.0},
            {"hidden_activation": "silu"},
            {
                "rope_parameters": {
                    "rope_type": "default",
                    "rope_theta": 20000.0,
                    "partial_rotary_factor": 0.5,
                }
            },
        ),
        servable=True,
    ),
)
