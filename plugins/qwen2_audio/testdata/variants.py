"""The tiny checkpoint of Qwen2-Audio that tests/goldens/make.sh writes beside this file."""

from variants import DEFAULT_ROPE, FIRST_SPECIAL, MEDIUM, Hears, Variant

MEL, POSITIONS = 16, 50  # windows of a second

TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['content'] is string %}
{{- message['content'] }}
{%- else %}
{%- for part in message['content'] %}
{%- if part['type'] == 'audio' %}
{{- '<|audio_bos|><|AUDIO|><|audio_eos|>' }}
{%- elif part['type'] == 'text' %}
{{- part['text'] }}
{%- endif %}
{%- endfor %}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""


def _processor(tokenizer):
    import transformers

    extractor = transformers.WhisperFeatureExtractor(
        feature_size=MEL, chunk_length=1, return_attention_mask=True
    )
    return transformers.Qwen2AudioProcessor(extractor, tokenizer, chat_template=TEMPLATE)


def _inputs(made, text: str, sounds: list) -> dict:
    out = made(
        text=[text],
        audio=sounds,
        sampling_rate=16000,
        add_special_tokens=False,
        return_tensors="pt",
    )
    out.pop("num_audio_tokens", None)
    return dict(out)


def _features(model, inputs: dict):
    """What stands in the place of embeddings, caught where the projector gives it."""
    import torch

    caught = []
    hook = model.model.multi_modal_projector.register_forward_hook(
        lambda module, args, out: caught.append(out)
    )
    model(**inputs, use_cache=False)
    hook.remove()
    lengths = inputs["feature_attention_mask"].sum(-1)
    _, lengths = model.model.audio_tower._get_feat_extract_output_lengths(lengths)
    return torch.cat([rows[:n] for rows, n in zip(caught[0], lengths.tolist())])


def _count(made, samples: int) -> int:
    """Placeholders of silence, of which none is as good as a refusal. The spectrum, which no count
    hangs on, is not made."""
    import numpy as np

    made.feature_extractor._torch_extract_fbank_features = lambda waveform, device: (
        np.zeros((len(waveform), MEL, 2 * POSITIONS), np.float32)
    )
    out = made(
        text=["<|AUDIO|>"],
        audio=[np.zeros(samples, np.float32)],
        sampling_rate=16000,
        add_special_tokens=False,
    )
    return len(out["input_ids"][0]) or -1


VARIANTS = (
    Variant(
        "default",
        dict(
            text_config=dict(
                MEDIUM,
                model_type="qwen2",
                vocab_size=FIRST_SPECIAL + 3,
                rope_parameters=dict(DEFAULT_ROPE),
            ),
            audio_config=dict(
                model_type="qwen2_audio_encoder",
                num_mel_bins=MEL,
                encoder_layers=2,
                encoder_attention_heads=2,
                encoder_ffn_dim=48,
                d_model=32,
                max_source_positions=POSITIONS,
            ),
            audio_token_index=FIRST_SPECIAL + 1,
        ),
        gains={"conv1": 0.5, "conv2": 0.5, "embed_positions": 2.0, "linear": 3.0},
        hears=Hears(
            special=("<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"),
            template=TEMPLATE,
            processor=_processor,
            inputs=_inputs,
            features=_features,
            count=_count,
        ),
    ),
)
