"""The tiny checkpoint of Qwen2-VL that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, FIRST_SPECIAL, MEDIUM, Sees, Variant

SPECIAL = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")


def _processor(tokenizer):
    import transformers

    video_size = {"shortest_edge": 28 * 28 * 2, "longest_edge": 28 * 28 * 6}
    size = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 12}
    return transformers.Qwen2VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(size=size),
        video_processor=transformers.Qwen2VLVideoProcessor(size=video_size),
        tokenizer=tokenizer,
    )


VARIANTS = (
    Variant(
        "default",
        dict(
            text_config=dict(
                MEDIUM,
                vocab_size=FIRST_SPECIAL + 4,
                rope_parameters=dict(DEFAULT_ROPE, mrope_section=[2, 3, 3]),
            ),
            vision_config=dict(
                depth=2,
                embed_dim=32,
                hidden_size=64,
                mlp_ratio=2,
                num_heads=2,
                patch_size=14,
                spatial_merge_size=2,
                temporal_patch_size=2,
            ),
            vision_start_token_id=FIRST_SPECIAL,
            vision_end_token_id=FIRST_SPECIAL + 1,
            image_token_id=FIRST_SPECIAL + 2,
            video_token_id=FIRST_SPECIAL + 3,
            tie_word_embeddings=False,
        ),
        gains={"proj": 0.5, "qkv": 1.5, "0": 2.0, "2": 2.0},
        sees=Sees(
            special=SPECIAL,
            image="<|vision_start|><|image_pad|><|vision_end|>",
            video="<|vision_start|><|video_pad|><|vision_end|>",
            processor=_processor,
        ),
    ),
)
