"""The tiny checkpoint of LLaVA-OneVision that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, FIRST_SPECIAL, MEDIUM, Sees, Variant

TILE = 21
PINPOINTS = [[21, 21], [21, 42], [42, 21], [42, 42], [42, 63], [21, 63], [63, 21]]
MAX_4 = "anyres_max_4"  # so that some images are made smaller, and some are not


def _processor(tokenizer):
    import transformers

    size = {"height": TILE, "width": TILE}
    return transformers.LlavaOnevisionProcessor(
        image_processor=transformers.LlavaOnevisionImageProcessor(
            size=size, image_grid_pinpoints=PINPOINTS
        ),
        video_processor=transformers.LlavaOnevisionVideoProcessor(size=size),
        tokenizer=tokenizer,
        num_image_tokens=9,
        vision_feature_select_strategy="full",
        vision_aspect_ratio=MAX_4,
    )


def _tiles(inputs):
    """The tiles of all images, but those that fill up the shorter lists; of several one each."""
    import torch
    from transformers.models.llava_onevision import modeling_llava_onevision

    if len(inputs["pixel_values"]) > 1:
        return inputs["pixel_values"].flatten(0, 1)
    return torch.cat(
        [
            tiles[: modeling_llava_onevision.image_size_to_num_patches(size, PINPOINTS, TILE)]
            for tiles, size in zip(inputs["pixel_values"], inputs["image_sizes"])
        ]
    )


VARIANTS = (
    Variant(
        "default",
        dict(
            text_config=dict(
                MEDIUM,
                model_type="qwen2",
                vocab_size=FIRST_SPECIAL + 2,
                rope_parameters=dict(DEFAULT_ROPE),
            ),
            vision_config=dict(
                model_type="siglip_vision_model",
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=TILE,
                patch_size=7,
                layer_norm_eps=1e-3,
                vision_use_head=False,
            ),
            image_token_index=FIRST_SPECIAL,
            video_token_index=FIRST_SPECIAL + 1,
            image_grid_pinpoints=PINPOINTS,
            vision_aspect_ratio=MAX_4,
            tie_word_embeddings=False,
        ),
        must_matter=({"vision_feature_layer": -2}, {"projector_hidden_act": "relu"}),
        idle=(
            "post_layernorm",
            "vision_tower.encoder.layers.0.self_attn.k_proj.bias",
            "vision_tower.encoder.layers.1.self_attn.k_proj.bias",
        ),
        gains={
            "patch_embedding": 0.5,
            "position_embedding": 2.0,
            "image_newline": 8.0,
            "linear_1": 2.0,
            "linear_2": 2.0,
        },
        sees=Sees(
            special=("<image>", "<video>"),
            image="<image>",
            video="<video>",
            nested=True,
            processor=_processor,
            pixels=_tiles,
            video_pixels=lambda inputs: inputs["pixel_values_videos"].flatten(0, 1),
        ),
    ),
)
