"""The tiny checkpoint of Mistral 3 that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, FIRST_SPECIAL, MEDIUM, Sees, Variant

PATCH, MERGE = 7, 2


def _processor(tokenizer):
    import transformers

    return transformers.PixtralProcessor(
        image_processor=transformers.PixtralImageProcessor(
            size={"longest_edge": 84}, patch_size={"height": PATCH, "width": PATCH}
        ),
        tokenizer=tokenizer,
        patch_size=PATCH,
        spatial_merge_size=MERGE,
    )


def _pixels(inputs: dict):
    """Patches token by token, [patches, 3, PATCH, PATCH]."""
    import torch

    out = []
    unit = PATCH * MERGE
    for image, (height, width) in zip(inputs["pixel_values"], inputs["image_sizes"].tolist()):
        cells = image[:, :height, :width].unfold(1, unit, unit).unfold(2, unit, unit)
        cells = cells.permute(1, 2, 0, 3, 4).flatten(0, 1)  # [cells, 3, unit, unit]
        parts = cells.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)
        out.append(parts.permute(0, 2, 3, 1, 4, 5).flatten(0, 2))
    return torch.cat(out)


VARIANTS = (
    Variant(
        "default",
        dict(
            text_config=dict(
                MEDIUM,
                model_type="mistral",
                head_dim=16,
                vocab_size=FIRST_SPECIAL + 3,
                rope_parameters=dict(DEFAULT_ROPE),
                sliding_window=None,
            ),
            vision_config=dict(
                model_type="pixtral",
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=84,
                patch_size=PATCH,
                hidden_act="silu",
            ),
            image_token_index=FIRST_SPECIAL,
            spatial_merge_size=MERGE,
        ),
        gains={"patch_conv": 0.5, "merging_layer": 2.0, "linear_1": 2.0, "linear_2": 2.0},
        sees=Sees(
            special=("[IMG]", "[IMG_BREAK]", "[IMG_END]"),
            image="[IMG]",
            processor=_processor,
            pixels=_pixels,
        ),
    ),
)
