"""Goldens of models that see: what transformers makes of chats with images. make.py calls it for
the variants that say how they see."""

import inspect
import json
import pathlib

import numpy as np
import PIL.Image
import torch
import transformers

import tiny_tokenizer

NUM_NEW_TOKENS = 32
MIN_MARGIN = 2e-3
MIN_DISTINCT = 12
NUM_CLIPS = 100  # in video_counts.json
MAX_CLIP_SIDE, MAX_FRAMES = 400, 9

TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['content'] is string %}
{{- message['content'] }}
{%- else %}
{%- for part in message['content'] %}
{%- if part['type'] == 'image' %}
{{- 'IMAGE' }}VIDEO
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

VIDEO_PART = """
{%- elif part['type'] == 'video' %}
{{- 'VIDEO' }}"""

# Each a chat of one message: its parts, a text, the number of an image, or that of a video in a
# list.
CHATS = {
    "one": [0, "What is it?"],
    "two": ["First ", 1, " and then ", 2, ": which?"],
    "again": [2, 2, "hello"],
    "text": ["Hello, the user!"],
}

CHATS_WITH_VIDEOS = {
    "clip": [[0], "What is it?"],
    "clip_and_image": ["See ", 1, " and ", [0], "!"],
}


def image(height: int, width: int, seed: int) -> np.ndarray:
    """RGB8, smooth with some noise, so that a wrong filter shows."""
    rng = np.random.Generator(np.random.PCG64(seed))
    y, x = np.mgrid[0:height, 0:width]
    waves = [
        np.sin(2 * np.pi * (y * rng.uniform(0.01, 0.06) + x * rng.uniform(0.01, 0.06)) + phase)
        for phase in rng.uniform(0, 6, 3)
    ]
    noise = rng.uniform(-0.3, 0.3, (height, width, 3))
    return ((np.stack(waves, -1) + noise).clip(-1, 1) * 127 + 128).astype(np.uint8)


IMAGES = [image(56, 84, 0), image(45, 61, 1), image(150, 100, 2)]
VIDEOS = [np.stack([image(60, 100, 3 + frame) for frame in range(5)])]
FRAMES_A_SECOND = 2


def processor(variant):
    video = VIDEO_PART.replace("VIDEO", variant.sees.video) if variant.sees.video else ""
    template = TEMPLATE.replace("VIDEO", video).replace("IMAGE", variant.sees.image)
    vocab_size = 128 + len(variant.sees.special)
    tokenizer = tiny_tokenizer.build(
        vocab_size, more_special=variant.sees.special, chat_template=template
    )
    made = variant.sees.processor(tokenizer)
    made.chat_template = template
    return made


def write_rows(path: pathlib.Path, rows: list) -> None:
    text = ",\n".join(json.dumps(row) for row in rows)
    path.write_text(f"[\n{text}\n]\n", encoding="utf-8")


def write_processor(directory: pathlib.Path, variant) -> None:
    made = processor(variant)
    made.save_pretrained(directory)
    if variant.sees.video:
        write_rows(directory / "video_counts.json", video_counts(made, variant.sees.video))


def chats(variant) -> dict[str, list]:
    seen = CHATS | (CHATS_WITH_VIDEOS if variant.sees.video else {})
    return {name: chat for name, chat in seen.items() if name not in variant.sees.not_taken}


def content_of(part) -> dict:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": "video" if isinstance(part, list) else "image"}


def prompt_of(made, chat: list) -> str:
    content = [content_of(part) for part in chat]
    return made.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=False,
        chat_template=made.chat_template,
    )


def inputs_of(made, model, variant, chat: list) -> dict:
    """What the model takes of a chat."""
    pixels = [PIL.Image.fromarray(IMAGES[part]) for part in chat if isinstance(part, int)]
    clips = [VIDEOS[part[0]] for part in chat if isinstance(part, list)]
    facts = [{"fps": FRAMES_A_SECOND, "total_num_frames": len(clip)} for clip in clips]
    # As apply_chat_template: the images of a conversation are a list.
    if variant.sees.nested and pixels:
        pixels = [pixels]
    # Some processors take no text alone.
    made_of = made if pixels or clips else made.tokenizer
    out = made_of(
        text=[prompt_of(made, chat)],
        **({"images": pixels, **variant.sees.options} if pixels else {}),
        **({"videos": clips, "video_metadata": facts} if clips else {}),
        add_special_tokens=False,
        return_tensors="pt",
    )
    known = inspect.signature(model.forward).parameters
    return {key: value for key, value in out.items() if key in known}


def an_item(model, variant) -> dict:
    return inputs_of(processor(variant), model, variant, CHATS["one"])


def forward(model, inputs: dict) -> torch.Tensor:
    """Logits of every position, [n, vocab]."""
    with torch.no_grad():
        return model(**inputs, use_cache=False).logits[0]


def features(encode, inputs: dict) -> torch.Tensor:
    """What get_image_features or get_video_features gives."""
    known = inspect.signature(encode).parameters
    given = {k: v for k, v in inputs.items() if k in known}
    with torch.no_grad():
        out = encode(**given).pooler_output
    rows = list(out)
    return torch.cat([x.reshape(-1, x.shape[-1]) for x in rows])


def greedy(model, inputs: dict) -> tuple[torch.Tensor, float]:
    """NUM_NEW_TOKENS tokens of generate(), and by how much each leads at least."""
    model.generation_config = transformers.GenerationConfig(
        do_sample=False,
        max_new_tokens=NUM_NEW_TOKENS,
        eos_token_id=None,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    with torch.no_grad():
        out = model.generate(**inputs)
    top = torch.cat(out.logits).topk(2).values
    return out.sequences[0, inputs["input_ids"].shape[1] :], (top[:, 0] - top[:, 1]).min().item()


def is_clear(model, variant) -> bool:
    """Whether no rounding can change a greedy token of a chat, and none is one token repeated."""
    made = processor(variant)
    for chat in chats(variant).values():
        tokens, margin = greedy(model, inputs_of(made, model, variant, chat))
        if margin < MIN_MARGIN or len(set(tokens.tolist())) < MIN_DISTINCT:
            return False
    return True


def blind(model, inputs: dict) -> float:
    """How far logits are off if what is seen is another, in units of the largest."""
    right = forward(model, inputs)
    negative = {key: -value for key, value in inputs.items() if key.startswith("pixel_values")}
    wrong = forward(model, inputs | negative)
    return ((right - wrong).abs().max() / right.abs().max()).item()


def compute(model, variant) -> tuple[dict, dict]:
    """The tensors of all chats, and facts about them."""
    made = processor(variant)
    tensors = {f"image_{i}": torch.from_numpy(pixels) for i, pixels in enumerate(IMAGES)}
    if variant.sees.video:
        tensors |= {f"video_{i}": torch.from_numpy(clip) for i, clip in enumerate(VIDEOS)}
    facts = {}
    for name, chat in chats(variant).items():
        inputs = inputs_of(made, model, variant, chat)
        text = prompt_of(made, chat)
        short = made.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        tokens, margin = greedy(model, inputs)
        tensors[f"{name}.prompt_ids"] = short[0].contiguous()
        tensors[f"{name}.input_ids"] = inputs["input_ids"][0].contiguous()
        tensors[f"{name}.logits"] = forward(model, inputs).contiguous()
        tensors[f"{name}.greedy"] = tokens.contiguous()
        fact = {"parts": chat, "text": text, "min_greedy_margin": float(f"{margin:.3g}")}
        if "pixel_values" in inputs:
            tensors[f"{name}.pixel_values"] = variant.sees.pixels(inputs).contiguous()
            found = features(model.get_image_features, inputs)
            tensors[f"{name}.features"] = found.contiguous()
        if "pixel_values_videos" in inputs:
            tensors[f"{name}.pixel_values_videos"] = variant.sees.video_pixels(inputs).contiguous()
            found = features(model.get_video_features, inputs)
            tensors[f"{name}.video_features"] = found.contiguous()
        if any(key.startswith("pixel_values") for key in inputs):
            effect = blind(model, inputs)
            if effect < 1e-2:
                raise SystemExit(f"{name}: another image moves logits by {effect:.1e} only")
            fact["effect_of_another_image"] = float(f"{effect:.3g}")
        facts[name] = fact
    return tensors, {"chats": facts}


def video_counts(made, prompt: str) -> list[list[int]]:
    """[frames, height, width, tokens] of clips of random sizes; -1: refused. `prompt` holds one."""
    rng = np.random.Generator(np.random.PCG64(1))
    rows = []
    for _ in range(NUM_CLIPS):
        height, width = np.exp(rng.uniform(0, np.log(MAX_CLIP_SIDE + 1), 2)).astype(int).clip(4)
        frames = int(rng.integers(1, MAX_FRAMES + 1))
        facts = {"fps": FRAMES_A_SECOND, "total_num_frames": frames}
        clip = np.zeros((frames, height, width, 3), np.uint8)
        try:
            ids = made(text=[prompt], videos=[clip], video_metadata=[facts])["input_ids"][0]
        except ValueError:
            ids = None
        its = {made.image_token_id, made.video_token_id}
        tokens = -1 if ids is None else sum(token in its for token in ids)
        rows.append([frames, int(height), int(width), tokens])
    return rows
