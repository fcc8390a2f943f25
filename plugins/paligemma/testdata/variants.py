"""The tiny checkpoints of PaliGemma and PaliGemma 2 that tests/goldens/make.sh writes here."""

from variants import DEFAULT_ROPE, FIRST_SPECIAL, MEDIUM, Sees, Variant


def _processor(tokenizer):
    import transformers
    from transformers.models.paligemma import processing_paligemma

    processing_paligemma.EXTRA_TOKENS = []  # places and segments, a thousand of them
    images = transformers.SiglipImageProcessor(size={"height": 28, "width": 28})
    images.image_seq_length = 16
    return transformers.PaliGemmaProcessor(image_processor=images, tokenizer=tokenizer)


def _variant(name, model_type, **text):
    return Variant(
        name,
        dict(
            text_config=dict(
                MEDIUM,
                model_type=model_type,
                vocab_size=FIRST_SPECIAL + 1,
                tie_word_embeddings=False,
                head_dim=16,
                rope_parameters=dict(DEFAULT_ROPE),
                **text,
            ),
            vision_config=dict(
                model_type="siglip_vision_model",
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=28,
                patch_size=7,
                layer_norm_eps=1e-3,
                vision_use_head=False,
            ),
            image_token_index=FIRST_SPECIAL,
            projection_dim=64,
            hidden_size=64,
            vocab_size=FIRST_SPECIAL + 1,
            tie_word_embeddings=False,
        ),
        idle=(
            "vision_tower.encoder.layers.0.self_attn.k_proj.bias",
            "vision_tower.encoder.layers.1.self_attn.k_proj.bias",
        ),
        gains={"patch_embedding": 0.5, "position_embedding": 2.0, "linear": 2.0},
        model_type="paligemma",
        sees=Sees(special=("<image>",), image="<image>", processor=_processor, around=2),
    )


VARIANTS = (
    _variant("default", "gemma"),
    _variant("gemma2", "gemma2", query_pre_attn_scalar=20, sliding_window=24),
)
