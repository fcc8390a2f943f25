"""The tiny checkpoints of Gemma 3 that tests/goldens/make.sh writes beside this file."""

import dataclasses
import functools

from variants import DEFAULT_ROPE, FIRST_SPECIAL, MEDIUM, SMALL, Sees, Variant

ROPE = {
    "sliding_attention": dict(DEFAULT_ROPE),
    "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
}
TOKENS = {
    "boi_token": "<start_of_image>",
    "eoi_token": "<end_of_image>",
    "image_token": "<image_soft_token>",
}
SPECIAL = (*TOKENS.values(), *("\n" * n for n in range(2, 6)))  # as in Gemma's own tokenizer


PAN_AND_SCAN = dict(  # which one of the test's images is not long enough for
    do_pan_and_scan=True,
    pan_and_scan_min_crop_size=40,
    pan_and_scan_max_num_crops=3,
    pan_and_scan_min_ratio_to_activate=1.4,
)


def _processor(tokenizer, **options):
    import transformers

    tokenizer._set_model_specific_special_tokens(special_tokens=TOKENS)
    tokenizer.init_kwargs.update(TOKENS)
    size = {"height": 56, "width": 56}
    return transformers.Gemma3Processor(
        image_processor=transformers.Gemma3ImageProcessor(size=size, **options),
        tokenizer=tokenizer,
        image_seq_length=16,
    )


IMAGES = Variant(
    "images",
    dict(
        text_config=dict(
            MEDIUM,
            vocab_size=FIRST_SPECIAL + len(SPECIAL),
            tie_word_embeddings=False,
            head_dim=16,
            query_pre_attn_scalar=20,
            sliding_window=24,
            layer_types=["sliding_attention", "full_attention"],
            rope_parameters=ROPE,
        ),
        vision_config=dict(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=56,
            patch_size=7,
            layer_norm_eps=1e-3,
            vision_use_head=False,
        ),
        mm_tokens_per_image=16,
        boi_token_index=FIRST_SPECIAL,
        eoi_token_index=FIRST_SPECIAL + 1,
        image_token_index=FIRST_SPECIAL + 2,
        tie_word_embeddings=False,
    ),
    idle=(
        "vision_tower.encoder.layers.0.self_attn.k_proj.bias",
        "vision_tower.encoder.layers.1.self_attn.k_proj.bias",
    ),
    gains={
        "patch_embedding": 0.5,
        "position_embedding": 2.0,
        "mm_input_projection_weight": 2.0,
    },
    model_type="gemma3",
    sees=Sees(special=SPECIAL, image="<start_of_image>", processor=_processor, around=4),
)

VARIANTS = (
    Variant(
        "default",
        dict(
            SMALL,
            # A tied embedding would repeat its input: norms after the layers keep them small.
            tie_word_embeddings=False,
            head_dim=24,
            query_pre_attn_scalar=20,
            sliding_window=64,
            layer_types=["sliding_attention", "full_attention"],
            rope_parameters=ROPE,
        ),
        must_matter=(
            {"sliding_window": 63},
            {"sliding_window": 65},
            {"query_pre_attn_scalar": 24},
            {"layer_types": ["full_attention", "full_attention"]},
            {
                "rope_parameters": {
                    "sliding_attention": dict(DEFAULT_ROPE),
                    "full_attention": {"rope_type": "default", "rope_theta": 1000000.0},
                }
            },
        ),
        model_type="gemma3_text",
    ),
    IMAGES,
    dataclasses.replace(
        IMAGES,
        name="crops",
        sees=dataclasses.replace(
            IMAGES.sees,
            processor=functools.partial(_processor, **PAN_AND_SCAN),
            options=PAN_AND_SCAN,
        ),
    ),
)
