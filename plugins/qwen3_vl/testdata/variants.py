"""The tiny checkpoint of Qwen3-VL that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, FIRST_SPECIAL, MEDIUM, Sees, Variant

SPECIAL = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")


def _processor(tokenizer):
    import transformers

    settings = dict(patch_size=14, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    size = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 12}
    video_size = {"shortest_edge": 28 * 28 * 8, "longest_edge": 30000}
    return transformers.Qwen3VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(size=size, **settings),
        video_processor=transformers.Qwen3VLVideoProcessor(patch_size=14, size=video_size),
        tokenizer=tokenizer,
    )


VARIANTS = (
    Variant(
        "default",
        dict(
            text_config=dict(
                MEDIUM,
                head_dim=16,
                vocab_size=FIRST_SPECIAL + 4,
                rope_parameters=dict(
                    DEFAULT_ROPE, mrope_section=[4, 2, 2], mrope_interleaved=True
                ),
            ),
            vision_config=dict(
                depth=3,
                hidden_size=32,
                intermediate_size=48,
                num_heads=2,
                out_hidden_size=64,
                patch_size=14,
                spatial_merge_size=2,
                temporal_patch_size=2,
                num_position_embeddings=25,
                deepstack_visual_indexes=[0, 1],
            ),
            vision_start_token_id=FIRST_SPECIAL,
            vision_end_token_id=FIRST_SPECIAL + 1,
            image_token_id=FIRST_SPECIAL + 2,
            video_token_id=FIRST_SPECIAL + 3,
            tie_word_embeddings=False,
        ),
        gains={"proj": 0.5, "qkv": 1.5, "pos_embed": 3.0, "linear_fc1": 2.0, "linear_fc2": 2.0},
        sees=Sees(
            special=SPECIAL,
            image="<|vision_start|><|image_pad|><|vision_end|>",
            video="<|vision_start|><|video_pad|><|vision_end|>",
            processor=_processor,
        ),
    ),
)
