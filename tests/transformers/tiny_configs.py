"""Tiny configurations of transformers' causal language models, a few hundred kilobytes of weights
each.

Sizes are set by the names that most configurations share; what a family needs besides stands in
_FAMILIES. Every size differs from those beside it where it can (heads, groups, widths), so that a
wrong axis shows.
"""

import inspect

import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

VOCAB = 320
WINDOW = 24  # less than the longer prompts

_SIZES = {
    # Text and width.
    **dict.fromkeys(("vocab_size", "vocab_size_per_layer_input"), VOCAB),
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "attn_hidden_size", "embedding_size"), 64),
    **dict.fromkeys(("word_embed_proj_dim", "emb_dim", "lru_width", "attention_hidden_size"), 64),
    **dict.fromkeys(("intermediate_size", "ffn_hidden_size", "d_ff", "n_inner", "ffn_dim"), 96),
    **dict.fromkeys(("decoder_ffn_dim", "encoder_ffn_dim", "mlp_hidden_size", "dim_ff"), 96),
    # Depth.
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(("decoder_layers", "encoder_layers", "num_decoder_layers"), 2),
    # Attention.
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("decoder_attention_heads", "encoder_attention_heads"), 4),
    **dict.fromkeys(("num_decoder_attention_heads", "num_encoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "n_head_kv"), 2),
    **dict.fromkeys(("head_dim", "kv_channels", "global_head_dim", "dim_head"), 16),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "qk_nope_head_dim", "v_head_dim"), 16),
    **dict.fromkeys(("qk_rope_head_dim", "rotary_dim"), 8),
    **dict.fromkeys(("sliding_window", "attention_chunk_size", "attention_window_size"), WINDOW),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"), 512),
    # Mixtures of experts.
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 8),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k"), 2),
    **dict.fromkeys(("top_k_experts", "num_selected_experts"), 2),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("moe_shared_expert_intermediate_size", "expert_ffn_hidden_size"), 32),
    **{"n_group": 2, "topk_group": 1, "first_k_dense_replace": 1, "n_shared_experts": 1},
    # Recurrences.
    **{"mamba_d_state": 8, "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_conv": 4},
    **{"mamba_expand": 2, "mamba_n_groups": 2, "mamba_chunk_size": 8, "mamba_d_ssm": 128},
    **{"state_size": 8, "ssm_state_size": 8, "n_groups": 2, "mamba_num_heads": 8, "expand": 2},
    **{"mamba_head_dim": 16, "chunk_size": 8, "time_step_rank": 8, "conv_kernel": 4},
    **{"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 16},
    **{"linear_value_head_dim": 16, "num_mem_heads": 2, "mamba_dt_rank": 8},
    # One layer's own.
    **{"index_head_dim": 16, "index_n_heads": 2, "index_topk": 4, "laurel_rank": 8},
    **{"hidden_size_per_layer_input": 16, "num_kv_shared_layers": 0},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
}

# Encoders that have a language model's head: causal with this.
_DECODER = {"is_decoder": True}

# What DeBERTa is published with.
_DISENTANGLED = {
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
}

# `...`: leave it to the class.
_FAMILIES = {
    "albert": {"embedding_size": 32},
    "bailing_hybrid": {
        "num_experts": 8,
        "num_experts_per_token": 2,
        "num_expert_group": 2,
        "linear_head_dim": 16,
        "layer_group_size": 2,
    },
    "bert": _DECODER,
    "bert-generation": _DECODER,
    "big_bird": {**_DECODER, "attention_type": "original_full"},
    "camembert": _DECODER,
    "cohere_compass_text": {
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_parameters": {
            kind: {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]}
            for kind in ("sliding_attention", "full_attention")
        },
    },
    "ctrl": {"dff": 96},
    "data2vec-text": _DECODER,
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 4.0, "rope_theta": 10000.0},
        "ffn_config": {
            "hidden_size": 64,
            "ffn_hidden_size": 96,
            "moe_num_experts": 4,
            "moe_top_k": 2,
        },
    },
    "deberta": _DISENTANGLED,
    "deberta-v2": _DISENTANGLED,
    "distilbert": {"dim": 64, "hidden_dim": 96, "n_layers": 2, "n_heads": 4},
    "dots3_note_text": {
        "shared_experts_intermediate_size": 32,
        "per_layer_config": {},
        "head_dim": 24,
    },
    "electra": {**_DECODER, "embedding_size": 32},
    "ernie": _DECODER,
    "esmc": {"num_key_value_heads": 4},
    "gemma3n_text": {"layer_types": ["sliding_attention", "full_attention"]},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": WINDOW},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "inkling_text": {
        "swa_num_attention_heads": 4,
        "swa_num_key_value_heads": 2,
        "swa_head_dim": 16,
        "sliding_window_size": WINDOW,
        "rel_extent": 32,
    },
    "inkling2_text": {
        "swa_num_attention_heads": 4,
        "swa_num_key_value_heads": 2,
        "swa_head_dim": 16,
        "sliding_window_size": WINDOW,
        "rel_extent": 32,
        "unpadded_vocab_size": VOCAB,
    },
    "jamba": {
        "layer_types": ...,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
    },
    "kimi_linear": {
        "num_experts": 8,
        "num_experts_per_token": 2,
        "linear_head_dim": 16,
        "linear_num_heads": 4,
    },
    "kolibri1": {"num_local_experts": 8},
    "lfm2_moe": {"num_dense_layers": 1, "layer_types": ["conv", "full_attention"]},
    "llama4_text": {
        "num_experts_per_tok": 1,
        "no_rope_layers": [1, 0],
        "layer_types": ["chunked_attention", "full_attention"],
        "floor_scale": 16,
        "intermediate_size_mlp": 96,
    },
    "longcat_flash": {"zero_expert_num": 4, "head_dim": 8},
    "luke": {"entity_vocab_size": 8, "entity_emb_size": 32},
    "mamba2": {"num_heads": 8},
    "megatron-bert": _DECODER,
    "minimax_m3_vl_text": {"dense_intermediate_size": 96, "shared_intermediate_size": 32},
    "phi3": {"head_dim": ...},
    "phi4_multimodal": {
        "vision_config": {
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
        },
        "audio_config": {
            **{
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_blocks": 2,
                "num_attention_heads": 2,
            },
            **{
                "ext_pw_out_channel": 32,
                "depthwise_separable_out_channel": 32,
                "nemo_conv_channels": 32,
            },
        },
    },
    "qwen3_5_moe_text": {"head_dim": 64},  # a quarter is turned, in turns of three
    "qwen3_5_text": {"head_dim": 64},
    "qwen3_moe": {"num_experts": 8},
    "qwen3_next": {"head_dim": 32},
    "recurrent_gemma": {"layer_types": ..., "block_types": ["recurrent", "attention"]},
    "reformer": {**_DECODER, "axial_pos_embds_dim": [32, 32], "axial_pos_shape": [16, 32]},
    "rembert": {**_DECODER, "input_embedding_size": 32, "output_embedding_size": 48},
    "roberta": _DECODER,
    "roberta-prelayernorm": _DECODER,
    "roc_bert": {
        **_DECODER,
        "enable_pronunciation": False,
        "enable_shape": False,
        "pronunciation_vocab_size": 8,
        "shape_vocab_size": 8,
    },
    "roformer": _DECODER,
    "xlm": {"causal": True},
    "xlm-roberta": _DECODER,
    "xlm-roberta-xl": _DECODER,
    "xmod": {**_DECODER, "default_language": "en_XX"},
    "zamba": {
        "num_hidden_layers": 3,
        "layer_types": ...,
        "layers_block_type": ["linear_attention", "hybrid", "hybrid"],
        "attention_hidden_size": 128,
        "attention_head_dim": 32,
        "num_key_value_heads": 4,
    },
    "zamba2": {
        "layers_block_type": ["linear_attention", "hybrid"],
        "layer_types": ["linear_attention", "hybrid"],
        "n_mamba_heads": 8,
        "mamba_headdim": 16,
    },
    "zaya": {"num_experts_per_tok": 1, "num_experts": 4, "router_hidden_size": 16},
}


def classes() -> list[str]:
    """Every class that AutoModelForCausalLM knows, by name."""
    return sorted(set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()), key=str.lower)


def tiny_config(model_class: type, encoder: bool = False) -> transformers.PreTrainedConfig:
    """`encoder`: of a class that may be a decoder too, not as one."""
    cls = model_class.config_class
    annotated = {field for base in cls.__mro__ for field in getattr(base, "__annotations__", {})}
    known = annotated | set(inspect.signature(cls.__init__).parameters)
    aliases = getattr(cls, "attribute_map", {})
    values = {k: v for k, v in _SIZES.items() if k in known and k not in aliases}
    if "qk_rope_head_dim" in values:  # latent attention: heads have other sizes, and no groups
        values.pop("head_dim", None)
        values["num_key_value_heads"] = 4
    kinds = _layer_kinds(cls)
    if len(kinds) > 1:  # a layer of each kind
        values |= {"layer_types": kinds, "num_hidden_layers": max(2, len(kinds))}
    values.update(_FAMILIES.get(cls.model_type, {}))
    if encoder:
        values = {k: v for k, v in values.items() if k not in ("is_decoder", "causal")}
    return cls(**{k: v for k, v in values.items() if v is not ...})


def _layer_kinds(cls: type) -> list[str]:
    """The kinds of layers that the class's own default has, in order of appearance."""
    try:
        return list(dict.fromkeys(getattr(cls(), "layer_types", None) or ()))
    except Exception:  # a default of the class's own that its checks refuse
        return []
