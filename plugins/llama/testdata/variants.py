"""The tiny checkpoints of Llama that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, MEDIUM, SMALL, Variant


def _old_llama(config: dict) -> dict:
    """As files of 2023 say it: rope_theta and rope_scaling with `type`, torch_dtype, no
    head_dim."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope["rope_theta"]
    config["rope_scaling"] = {"type": rope["rope_type"], "factor": rope["factor"]}
    config["torch_dtype"] = config.pop("dtype")
    del config["head_dim"]
    config["transformers_version"] = "4.31.0"
    return config


VARIANTS = (
    Variant(
        "default",
        dict(MEDIUM, vocab_size=128, head_dim=16, rope_parameters=dict(DEFAULT_ROPE)),
        must_matter=(
            {"rope_parameters": {"rope_type": "default", "rope_theta": 20000.0}},
            {"rms_norm_eps": 1e-5},
        ),
        servable=True,
    ),
    Variant(
        "llama3_rope",
        dict(
            SMALL,
            tie_word_embeddings=True,
            attention_bias=True,
            mlp_bias=True,
            # Of head_dim 16's eight frequencies, some are kept, some blended, some divided.
            head_dim=16,
            rope_parameters={
                "rope_type": "llama3",
                "rope_theta": 500000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            },
        ),
        must_matter=(
            {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}},
            {
                "rope_parameters": {
                    "rope_type": "llama3",
                    "rope_theta": 500000.0,
                    "factor": 8.0,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 1.5,
                    "original_max_position_embeddings": 64,
                }
            },
        ),
    ),
    Variant(
        "yarn_rope",
        dict(
            SMALL,
            head_dim=16,
            rope_parameters={
                "rope_type": "yarn",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "original_max_position_embeddings": 64,
            },
        ),
        must_matter=(
            {"rope_parameters": dict(DEFAULT_ROPE)},
            {
                "rope_parameters": {
                    "rope_type": "yarn",
                    "rope_theta": 10000.0,
                    "factor": 8.0,
                    "original_max_position_embeddings": 64,
                    "attention_factor": 1.0,
                }
            },
        ),
    ),
    Variant(
        "dynamic_rope",
        # Texts of more than 256 tokens stretch the base, by their own length.
        dict(
            SMALL,
            head_dim=16,
            max_position_embeddings=256,
            rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0},
        ),
        must_matter=(
            {"rope_parameters": dict(DEFAULT_ROPE)},
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 5.0}},
            {"max_position_embeddings": 264},
        ),
        keys_stay=True,
    ),
    Variant(
        "sharded",
        dict(SMALL, num_key_value_heads=4, rope_parameters=dict(DEFAULT_ROPE)),
        max_shard_size="32KB",
    ),
    Variant(
        "old_keys",
        dict(
            SMALL,
            rope_parameters={"rope_type": "linear", "rope_theta": 5000.0, "factor": 4.0},
        ),
        must_matter=(
            {"rope_parameters": {"rope_type": "default", "rope_theta": 5000.0}},
            {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}},
        ),
        rewrite_config=_old_llama,
    ),
)
