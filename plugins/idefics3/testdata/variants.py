"""The tiny checkpoints of Idefics3 and SmolVLM that tests/goldens/make.sh writes here."""

from variants import DEFAULT_ROPE, FIRST_SPECIAL, MEDIUM, Sees, Variant

GRID = ("<row_1_col_1>", "<row_1_col_2>", "<row_2_col_1>", "<row_2_col_2>")
SPECIAL = ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *GRID)

SIZES = dict(size={"longest_edge": 56}, max_image_size={"longest_edge": 28})


def _idefics3(tokenizer):
    import transformers

    return transformers.Idefics3Processor(
        image_processor=transformers.Idefics3ImageProcessor(**SIZES),
        tokenizer=tokenizer,
        image_seq_len=4,
    )


def _smolvlm(tokenizer):
    import transformers

    return transformers.SmolVLMProcessor(
        image_processor=transformers.SmolVLMImageProcessor(**SIZES),
        video_processor=transformers.SmolVLMVideoProcessor(),
        tokenizer=tokenizer,
        image_seq_len=4,
    )


def _variant(name, model_type, processor, **more):
    return Variant(
        name,
        dict(
            text_config=dict(
                MEDIUM,
                model_type="llama",
                vocab_size=FIRST_SPECIAL + len(SPECIAL),
                rope_parameters=dict(DEFAULT_ROPE),
            ),
            vision_config=dict(
                hidden_size=32,
                intermediate_size=48,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=28,
                patch_size=7,
                layer_norm_eps=1e-3,
            ),
            image_token_id=FIRST_SPECIAL,
            scale_factor=2,
            pad_token_id=2,
        ),
        idle=(
            "vision_model.encoder.layers.0.self_attn.k_proj.bias",
            "vision_model.encoder.layers.1.self_attn.k_proj.bias",
        ),
        gains={"patch_embedding": 0.5, "position_embedding": 2.0, "proj": 2.0},
        model_type=model_type,
        sees=Sees(
            special=SPECIAL,
            image="<image>",
            processor=processor,
            pixels=lambda inputs: inputs["pixel_values"][0],
        ),
        **more,
    )


VARIANTS = (_variant("default", "idefics3", _idefics3), _variant("smolvlm", "smolvlm", _smolvlm))
