"""The tiny checkpoint of InternVL that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, FIRST_SPECIAL, MEDIUM, Sees, Variant

TOKENS = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}


def _processor(tokenizer):
    import transformers

    tokenizer._set_model_specific_special_tokens(special_tokens=TOKENS)
    tokenizer.init_kwargs.update(TOKENS)
    return transformers.InternVLProcessor(
        image_processor=transformers.GotOcr2ImageProcessor(
            size={"height": 28, "width": 28}, max_patches=4
        ),
        video_processor=transformers.InternVLVideoProcessor(),
        tokenizer=tokenizer,
        image_seq_length=4,
    )


VARIANTS = (
    Variant(
        "default",
        dict(
            text_config=dict(
                MEDIUM,
                model_type="qwen2",
                vocab_size=FIRST_SPECIAL + len(TOKENS),
                rope_parameters=dict(DEFAULT_ROPE),
            ),
            vision_config=dict(
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=[28, 28],
                patch_size=[7, 7],
                layer_norm_eps=1e-3,
                attention_bias=True,
                use_qk_norm=True,
            ),
            image_token_id=FIRST_SPECIAL + 2,
            image_seq_length=4,
            tie_word_embeddings=False,
        ),
        gains={
            "projection": 0.5,
            "cls_token": 3.0,
            "position_embeddings": 5.0,
            "projection_layer": 2.0,
            "lambda_1": 5.0,
            "lambda_2": 5.0,
            "linear_1": 2.0,
            "linear_2": 2.0,
        },
        sees=Sees(special=tuple(TOKENS.values()), image="<IMG_CONTEXT>", processor=_processor),
    ),
)
