"""The tiny checkpoints of Mamba-2 that tests/goldens/make.sh writes beside this file."""

from variants import Variant

VARIANTS = (
    Variant(
        "default",
        dict(
            vocab_size=128,
            hidden_size=48,
            num_hidden_layers=2,
            num_heads=6,
            head_dim=16,
            expand=2,
            state_size=24,
            n_groups=2,
            conv_kernel=4,
            chunk_size=32,
            # transformers' own decode does not heed another time_step_limit, so no golden has one.
            layer_norm_epsilon=1e-3,
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=1,
        ),
        must_matter=(
            {"layer_norm_epsilon": 1e-5},
            {"hidden_act": "gelu"},
        ),
        servable=True,
    ),
)
