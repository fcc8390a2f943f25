"""The tiny checkpoints of Bamba that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, MEDIUM, Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            MEDIUM,
            vocab_size=128,
            num_hidden_layers=3,
            attn_layer_indices=[1],
            mamba_n_heads=8,
            mamba_d_head=16,
            mamba_n_groups=2,
            mamba_d_state=24,
            mamba_chunk_size=32,
            pad_token_id=1,
            rope_parameters=dict(DEFAULT_ROPE, partial_rotary_factor=0.5),
        ),
        must_matter=(
            {"rms_norm_eps": 1e-5},
            {
                "rope_parameters": {
                    "rope_type": "default",
                    "rope_theta": 20000.0,
                    "partial_rotary_factor": 0.5,
                }
            },
            {
                "rope_parameters": {
                    "rope_type": "default",
                    "rope_theta": 10000.0,
                    "partial_rotary_factor": 1.0,
                }
            },
        ),
        servable=True,
    ),
)
