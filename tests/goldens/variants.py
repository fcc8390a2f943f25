"""The tiny checkpoints of each family: which configs the parity tests cover.

A variant's sizes are chosen so that a confusion shows: no two of hidden size, heads x head_dim,
intermediate size and vocabulary are equal where a config allows it, and rms_norm_eps is large
enough to matter. `must_matter` lists config changes that have to move the logits; make.py refuses
to write a golden that one of them leaves alone.
"""

import dataclasses
import typing


@dataclasses.dataclass(frozen=True)
class Variant:
    """One checkpoint: plugins/<family>/testdata/<name>/, or that of `home`."""

    family: str  # transformers' model_type
    name: str
    config: dict
    must_matter: tuple[dict, ...] = ()
    max_shard_size: str = "1GB"  # smaller: several files and model.safetensors.index.json
    # Turns the config.json that transformers writes into that of an older file.
    rewrite_config: typing.Callable[[dict], dict] | None = None
    servable: bool = False  # with a tokenizer and a chat template
    # Where its testdata/<name>/ lies, if not in plugins/<family>/.
    home: str = ""


MEDIUM = dict(
    vocab_size=112,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=512,
    rms_norm_eps=1e-3,
    bos_token_id=0,
    eos_token_id=2,
)
SMALL = dict(MEDIUM, vocab_size=104, hidden_size=32, intermediate_size=48)

DEFAULT_ROPE = {"rope_type": "default", "rope_theta": 10000.0}


def _old_llama(config: dict) -> dict:
    """As files of 2023 say it: rope_theta and rope_scaling with `type`, torch_dtype, no head_dim."""
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope["rope_theta"]
    config["rope_scaling"] = {"type": rope["rope_type"], "factor": rope["factor"]}
    config["torch_dtype"] = config.pop("dtype")
    del config["head_dim"]
    config["transformers_version"] = "4.31.0"
    return config


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
        "llama",
        "default",
        dict(MEDIUM, vocab_size=128, head_dim=16, rope_parameters=dict(DEFAULT_ROPE)),
        must_matter=(
            {"rope_parameters": {"rope_type": "default", "rope_theta": 20000.0}},
            {"rms_norm_eps": 1e-5},
        ),
        servable=True,
    ),
    Variant(
        "llama",
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
        "llama",
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
        "llama",
        "sharded",
        dict(SMALL, num_key_value_heads=4, rope_parameters=dict(DEFAULT_ROPE)),
        max_shard_size="32KB",
    ),
    Variant(
        "llama",
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
    Variant(
        "mistral",
        "default",
        dict(
            MEDIUM,
            head_dim=24,
            sliding_window=64,
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        ),
        must_matter=(
            {"sliding_window": None},
            {"sliding_window": 63},
            {"sliding_window": 65},
        ),
    ),
    Variant(
        "qwen2",
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
        "qwen2",
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
    Variant(
        "qwen3",
        "default",
        dict(
            MEDIUM,
            head_dim=24,
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        ),
        must_matter=({"rope_parameters": dict(DEFAULT_ROPE)},),
    ),
    Variant(
        "granite",
        "default",
        dict(
            MEDIUM,
            head_dim=16,
            vocab_size=128,
            embedding_multiplier=3.0,
            residual_multiplier=0.6,
            attention_multiplier=0.4,
            logits_scaling=2.0,
            rope_parameters=dict(DEFAULT_ROPE),
        ),
        must_matter=(
            {"embedding_multiplier": 2.0},
            {"residual_multiplier": 0.7},
            {"attention_multiplier": 0.25},
            {"logits_scaling": 3.0},
        ),
        servable=True,
        home="sdk/examples/outside",
    ),
    Variant(
        "qwen3_moe",
        "default",
        dict(
            SMALL,
            head_dim=24,
            moe_intermediate_size=40,
            num_experts=6,
            num_experts_per_tok=3,
            norm_topk_prob=True,
            mlp_only_layers=[0],
            rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        ),
        must_matter=({"norm_topk_prob": False}, {"num_experts_per_tok": 2}),
        home="tests/recorded/qwen3_moe",
    ),
    Variant(
        "gemma3_text",
        "default",
        dict(
            SMALL,
            # A tied embedding would repeat its input: norms after the layers keep them small.
            tie_word_embeddings=False,
            head_dim=24,
            query_pre_attn_scalar=20,
            sliding_window=64,
            layer_types=["sliding_attention", "full_attention"],
            rope_parameters={
                "sliding_attention": dict(DEFAULT_ROPE),
                "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
            },
        ),
        must_matter=(
            {"sliding_window": 63},
            {"sliding_window": 65},
            {"query_pre_attn_scalar": 24},
            {"layer_types": ["full_attention", "full_attention"]},
            {
                "rope_parameters": {
                    "sliding_attention": dict(DEFAULT_ROPE),
                    "full_attention": {"rope_type": "default", "rope_theta": 1000000.0},
                }
            },
        ),
        home="tests/recorded/gemma3",
    ),
    Variant(
        "bloom",
        "default",
        dict(
            vocab_size=200,
            hidden_size=48,
            n_layer=2,
            n_head=6,
            layer_norm_epsilon=1e-3,
            bos_token_id=0,
            eos_token_id=2,
            pad_token_id=1,
        ),
        must_matter=({"apply_residual_connection_post_layernorm": True},),
        home="tests/recorded/bloom",
    ),
    Variant(
        "mamba2",
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
    Variant(
        "bamba",
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
            {"rope_parameters": {"rope_type": "default", "rope_theta": 20000.0, "partial_rotary_factor": 0.5}},
            {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0}},
        ),
        servable=True,
    ),
)

FAMILIES = tuple(dict.fromkeys(v.family for v in VARIANTS))
