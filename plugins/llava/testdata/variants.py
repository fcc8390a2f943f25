"""The tiny checkpoint of LLaVA 1.5 that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, FIRST_SPECIAL, MEDIUM, Sees, Variant


def _processor(tokenizer):
    import transformers

    return transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessor(
            size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}
        ),
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


VARIANTS = (
    Variant(
        "default",
        dict(
            text_config=dict(
                MEDIUM, vocab_size=FIRST_SPECIAL + 1, rope_parameters=dict(DEFAULT_ROPE)
            ),
            vision_config=dict(
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=3,
                num_attention_heads=2,
                image_size=56,
                patch_size=14,
                projection_dim=40,
                layer_norm_eps=1e-3,
            ),
            image_token_index=FIRST_SPECIAL,
            image_seq_length=16,
        ),
        must_matter=({"vision_feature_layer": -1}, {"projector_hidden_act": "relu"}),
        idle=(
            "vision_tower.encoder.layers.2",
            "post_layernorm",
            "vision_tower.encoder.layers.0.self_attn.k_proj.bias",
            "vision_tower.encoder.layers.1.self_attn.k_proj.bias",
        ),
        gains={
            "patch_embedding": 0.5,
            "position_embedding": 2.0,
            "class_embedding": 3.0,
            "linear_1": 2.0,
            "linear_2": 2.0,
        },
        sees=Sees(special=("<image>",), image="<image>", processor=_processor),
    ),
)
