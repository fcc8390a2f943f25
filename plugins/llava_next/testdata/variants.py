"""The tiny checkpoint of LLaVA-NeXT that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, FIRST_SPECIAL, MEDIUM, Sees, Variant

TILE = 21
PINPOINTS = [[21, 42], [42, 21], [42, 42], [63, 21], [21, 63]]


def _processor(tokenizer):
    import transformers

    return transformers.LlavaNextProcessor(
        image_processor=transformers.LlavaNextImageProcessor(
            size={"shortest_edge": TILE},
            crop_size={"height": TILE, "width": TILE},
            image_grid_pinpoints=PINPOINTS,
        ),
        tokenizer=tokenizer,
        patch_size=7,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )


def _tiles(inputs):
    """The tiles of all images, without those that fill up the shorter lists."""
    import torch
    from transformers.models.llava_next import modeling_llava_next

    return torch.cat(
        [
            tiles[: modeling_llava_next.image_size_to_num_patches(size, PINPOINTS, TILE)]
            for tiles, size in zip(inputs["pixel_values"], inputs["image_sizes"])
        ]
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
                image_size=TILE,
                patch_size=7,
                projection_dim=40,
                layer_norm_eps=1e-3,
            ),
            image_token_index=FIRST_SPECIAL,
            image_grid_pinpoints=PINPOINTS,
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
            "image_newline": 8.0,
            "linear_1": 2.0,
            "linear_2": 2.0,
        },
        sees=Sees(special=("<image>",), image="<image>", processor=_processor, pixels=_tiles),
    ),
)
