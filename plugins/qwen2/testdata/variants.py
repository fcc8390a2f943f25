"""The tiny checkpoints of Qwen2 that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, MEDIUM, SMALL, Variant


def _old_qwen2(config: dict) -> dict:
    """As the files of Qwen2.5: no layer_types, no rope_scaling, a window that is not used."""
    config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    config["torch_dtype"] = config.pop("dtype")
    del config["layer_types"]
    config.update(use_sliding_window=False, sliding_window=64, max_window_layers=1)
    config["transformers_version"] = "4.43.1"
    return config


VARIANTS = (
    Variant(
        "default",
        dict(
            MEDIUM,
            tie_word_embeddings=True,
            use_sliding_window=True,
            sliding_window=32,
            max_window_layers=1,
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        ),
        must_matter=(
            {"layer_types": ["full_attention", "full_attention"]},
            {"layer_types": ["sliding_attention", "sliding_attention"]},
            {"sliding_window": 31},
            {"sliding_window": 33},
        ),
    ),
    Variant(
        "old_keys",
        dict(SMALL, rope_parameters={"rope_type": "default", "rope_theta": 1000000.0}),
        must_matter=(
            {"rope_parameters": dict(DEFAULT_ROPE)},
            {
                "layer_types": ["full_attention", "sliding_attention"],
                "sliding_window": 64,
            },
        ),
        rewrite_config=_old_qwen2,
    ),
)
