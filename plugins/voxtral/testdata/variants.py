"""The tiny checkpoint of Voxtral that tests/goldens/make.sh writes beside this file.

Its processor in transformers takes chats through mistral_common alone, so that prompts are laid out
here as that package does: a token before a sound, and the features of its windows behind it. What
that package makes of them is in mistral_prompts.json, by make_mistral_prompts.py.
"""

from variants import DEFAULT_ROPE, FIRST_SPECIAL, MEDIUM, Hears, Variant

MEL, POSITIONS = 16, 50  # windows of a second
WIDTH, FFN = 32, 160
WINDOW = 16000  # samples
FEATURES = POSITIONS * WIDTH // FFN  # of a window

# Mistral's, as docs/images.md has it.
TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
{%- if message['role'] == 'user' %}
{{- '[INST]' }}
{%- if message['content'] is string %}
{{- message['content'] }}
{%- else %}
{%- for part in message['content'] %}
{%- if part['type'] == 'audio' %}
{{- '[AUDIO]' }}
{%- elif part['type'] == 'text' %}
{{- part['text'] }}
{%- endif %}
{%- endfor %}
{%- endif %}
{{- '[/INST]' }}
{%- elif message['role'] == 'assistant' %}
{{- message['content'] + eos_token }}
{%- endif %}
{%- endfor %}
"""


def _windows(samples: int) -> int:
    return -(-samples // WINDOW)


def _processor(tokenizer):
    import transformers

    extractor = transformers.WhisperFeatureExtractor(feature_size=MEL, chunk_length=1)
    return transformers.VoxtralProcessor(extractor, tokenizer)


def _inputs(made, text: str, sounds: list) -> dict:
    import torch

    for sound in sounds:
        tokens = "[BEGIN_AUDIO]" + "[AUDI0]" * (FEATURES * _windows(len(sound)))
        text = text.replace("[AUDIO]", tokens, 1)
    text = text.replace("[AUDI0]", "[AUDIO]")
    out = made.tokenizer(text, add_special_tokens=False, return_tensors="pt")
    features = made._retrieve_input_features(
        sounds,
        max_source_positions=2 * POSITIONS,
        sampling_rate=16000,
        padding=True,
        truncation=False,
        pad_to_multiple_of=WINDOW,
        return_tensors="pt",
    )
    return {
        "input_ids": out["input_ids"],
        "attention_mask": torch.ones_like(out["input_ids"]),
        "input_features": features,
    }


def _features(model, inputs: dict):
    return model.get_audio_features(inputs["input_features"]).pooler_output


def _count(made, samples: int) -> int:
    """Of the windows that transformers' feature extractor pads a sound to; the spectrum, which no
    count hangs on, is not made."""
    import numpy as np

    made.feature_extractor._torch_extract_fbank_features = lambda waveform, device: (
        np.zeros((len(waveform), MEL, waveform.shape[1] // 160), np.float32)
    )
    padded = made.feature_extractor(
        np.zeros(samples, np.float32),
        sampling_rate=16000,
        padding=True,
        truncation=False,
        pad_to_multiple_of=WINDOW,
    )["input_features"][0]
    return 1 + padded.shape[1] // (2 * POSITIONS) * FEATURES


VARIANTS = (
    Variant(
        "default",
        dict(
            text_config=dict(
                MEDIUM,
                model_type="llama",
                head_dim=16,
                vocab_size=FIRST_SPECIAL + 4,
                rope_parameters=dict(DEFAULT_ROPE),
            ),
            audio_config=dict(
                model_type="voxtral_encoder",
                num_mel_bins=MEL,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=FFN,
                hidden_size=WIDTH,
                max_source_positions=POSITIONS,
            ),
            audio_token_id=FIRST_SPECIAL,
        ),
        gains={
            **{"conv1": 0.5, "conv2": 0.5, "embed_positions": 2.0},
            **{"linear_1": 2.0, "linear_2": 2.0},
        },
        hears=Hears(
            special=("[AUDIO]", "[BEGIN_AUDIO]", "[INST]", "[/INST]"),
            template=TEMPLATE,
            processor=_processor,
            inputs=_inputs,
            features=_features,
            count=_count,
        ),
    ),
)
