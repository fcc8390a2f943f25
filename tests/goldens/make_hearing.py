"""Goldens of models that hear: what transformers makes of chats with sounds. make.py calls it for
the variants that say how they hear."""

import pathlib

import numpy as np
import torch

import tiny_tokenizer
from make_multimodal import MIN_DISTINCT, MIN_MARGIN, forward, greedy

SAMPLES_A_SECOND = 16000

# Each a chat of one message: its parts, a text or the number of a sound.
CHATS = {
    "one": [0, "What is it?"],
    "two": ["First ", 1, " and then ", 2, ": which?"],
    "again": [2, 2, "hello"],
    "text": ["Hello, the user!"],
}


def sound(length: int, seed: int) -> np.ndarray:
    """A sweep, a tone that comes and goes, and some noise, so that a wrong filter shows."""
    rng = np.random.Generator(np.random.PCG64(seed))
    t = np.arange(length) / SAMPLES_A_SECOND
    low, high = rng.uniform(100, 500), rng.uniform(1000, 7000)
    sweep = np.sin(2 * np.pi * (low * t + (high - low) * t * t / (2 * t[-1])))
    tone = np.sin(2 * np.pi * rng.uniform(200, 4000) * t) * (np.sin(2 * np.pi * 8 * t) > 0)
    return (0.4 * sweep + 0.3 * tone + 0.02 * rng.standard_normal(length)).astype(np.float32)


# The last is longer than the windows of the tiny checkpoints, which have a second.
SOUNDS = [sound(5000, 0), sound(9501, 1), sound(20000, 2)]


def processor(variant):
    tokenizer = tiny_tokenizer.build(
        128 + len(variant.hears.special),
        more_special=variant.hears.special,
        chat_template=variant.hears.template,
    )
    return variant.hears.processor(tokenizer)


def write_processor(directory: pathlib.Path, variant) -> None:
    made = processor(variant)
    made.chat_template = variant.hears.template
    made.save_pretrained(directory)


def prompt_of(made, variant, chat: list) -> str:
    content = [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "audio"}
        for part in chat
    ]
    return made.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=False,
        chat_template=variant.hears.template,
    )


def inputs_of(made, variant, chat: list) -> dict:
    """What the model takes of a chat."""
    sounds = [SOUNDS[part] for part in chat if isinstance(part, int)]
    text = prompt_of(made, variant, chat)
    if sounds:
        return variant.hears.inputs(made, text, sounds)
    return dict(made.tokenizer(text, add_special_tokens=False, return_tensors="pt"))


def an_item(model, variant) -> dict:
    return inputs_of(processor(variant), variant, CHATS["one"])


def is_clear(model, variant) -> bool:
    """Whether no rounding can change a greedy token of a chat, and none is one token repeated."""
    made = processor(variant)
    for chat in CHATS.values():
        tokens, margin = greedy(model, inputs_of(made, variant, chat))
        if margin < MIN_MARGIN or len(set(tokens.tolist())) < MIN_DISTINCT:
            return False
    return True


def deaf(model, inputs: dict) -> float:
    """How far logits are off if what is heard is another, in units of the largest."""
    right = forward(model, inputs)
    wrong = forward(model, inputs | {"input_features": -inputs["input_features"]})
    return ((right - wrong).abs().max() / right.abs().max()).item()


def compute(model, variant) -> tuple[dict, dict]:
    """The tensors of all chats, and facts about them."""
    made = processor(variant)
    tensors = {f"sound_{i}": torch.from_numpy(samples) for i, samples in enumerate(SOUNDS)}
    facts = {}
    for name, chat in CHATS.items():
        inputs = inputs_of(made, variant, chat)
        text = prompt_of(made, variant, chat)
        short = made.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        tokens, margin = greedy(model, inputs)
        tensors[f"{name}.prompt_ids"] = short[0].contiguous()
        tensors[f"{name}.input_ids"] = inputs["input_ids"][0].contiguous()
        tensors[f"{name}.logits"] = forward(model, inputs).contiguous()
        tensors[f"{name}.greedy"] = tokens.contiguous()
        fact = {"parts": chat, "text": text, "min_greedy_margin": float(f"{margin:.3g}")}
        if "input_features" in inputs:
            tensors[f"{name}.input_features"] = inputs["input_features"].contiguous()
            with torch.no_grad():
                found = variant.hears.features(model, inputs)
            tensors[f"{name}.audio_features"] = found.contiguous()
            effect = deaf(model, inputs)
            if effect < 1e-2:
                raise SystemExit(f"{name}: another sound moves logits by {effect:.1e} only")
            fact["effect_of_another_sound"] = float(f"{effect:.3g}")
        facts[name] = fact
    return tensors, {"chats": facts}
