"""The tiny checkpoint of GLM-4.1V that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, FIRST_SPECIAL, MEDIUM, Sees, Variant

SPECIAL = (
    "<|begin_of_image|>",
    "<|end_of_image|>",
    "<|begin_of_video|>",
    "<|end_of_video|>",
    "<|image|>",
    "<|video|>",
)


def _processor(tokenizer):
    import transformers

    size = {"shortest_edge": 2 * 56 * 56, "longest_edge": 2 * 28 * 28 * 12}
    video_size = {"shortest_edge": 28 * 28 * 8, "longest_edge": 40000}
    return transformers.Glm4vProcessor(
        image_processor=transformers.Glm4vImageProcessor(size=size),
        video_processor=transformers.Glm4vVideoProcessor(size=video_size),
        tokenizer=tokenizer,
    )


VARIANTS = (
    Variant(
        "default",
        dict(
            text_config=dict(
                MEDIUM,
                vocab_size=FIRST_SPECIAL + 6,
                rope_parameters=dict(
                    DEFAULT_ROPE, partial_rotary_factor=0.5, mrope_section=[2, 1, 1]
                ),
            ),
            vision_config=dict(
                depth=2,
                hidden_size=32,
                intermediate_size=48,
                num_heads=2,
                out_hidden_size=64,
                image_size=70,
                patch_size=14,
                rms_norm_eps=1e-3,
                spatial_merge_size=2,
                temporal_patch_size=2,
            ),
            image_start_token_id=FIRST_SPECIAL,
            image_end_token_id=FIRST_SPECIAL + 1,
            video_start_token_id=FIRST_SPECIAL + 2,
            video_end_token_id=FIRST_SPECIAL + 3,
            image_token_id=FIRST_SPECIAL + 4,
            video_token_id=FIRST_SPECIAL + 5,
            tie_word_embeddings=False,
        ),
        gains={
            "proj": 1.0,
            "qkv": 1.5,
            "position_embedding": 3.0,
            "downsample": 1.0,
            "embed_tokens": 1.0,  # layers end with norms, which hold them small beside it
        },
        sees=Sees(
            special=SPECIAL,
            image="<|begin_of_image|><|image|><|end_of_image|>",
            video="<|begin_of_video|><|video|><|end_of_video|>",
            not_taken=("clip_and_image",),  # it takes all image tokens for the image's
            processor=_processor,
        ),
    ),
)
