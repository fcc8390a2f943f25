"""Writes tests/multimodal/testdata: tiny models that see, and what transformers makes of images.

  python tests/goldens/make_multimodal.py [model ...]

README.md says what is in them. Running it again on one machine gives the same bytes.
"""

import argparse
import json
import pathlib

import numpy as np
import safetensors.torch
import torch
import transformers

import random_weights
import tiny_tokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTDATA = ROOT / "tests/multimodal/testdata"
NUM_NEW_TOKENS = 32
MIN_MARGIN = 2e-3
MIN_DISTINCT = 12
MAX_SEEDS = 200

QWEN_SPECIAL = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
QWEN_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['content'] is string %}
{{- message['content'] }}
{%- else %}
{%- for part in message['content'] %}
{%- if part['type'] == 'image' %}
{{- '<|vision_start|><|image_pad|><|vision_end|>' }}
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

# Each a chat of one message: its parts, a text or the number of an image.
CHATS = {
    "one": [0, "What is it?"],
    "two": ["First ", 1, " and then ", 2, ": which?"],
    "again": [2, 2, "hello"],
    "text": ["Hello, the user!"],
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


# The first has a size that stays, the others are made larger and smaller.
IMAGES = [image(56, 84, 0), image(45, 61, 1), image(150, 100, 2)]


class Qwen2_5_VL:
    """The model with its processor, as transformers has them."""

    special = QWEN_SPECIAL
    vocab_size = 132

    def __init__(self) -> None:
        ids = {
            token: self.vocab_size - len(QWEN_SPECIAL) + i for i, token in enumerate(QWEN_SPECIAL)
        }
        self.tokenizer = tiny_tokenizer.build(
            self.vocab_size, more_special=QWEN_SPECIAL, chat_template=QWEN_TEMPLATE
        )
        size = {"shortest_edge": 56 * 56, "longest_edge": 28 * 28 * 12}
        self.images = transformers.Qwen2VLImageProcessor(size=size)
        self.config = transformers.Qwen2_5_VLConfig(
            text_config=dict(
                vocab_size=self.vocab_size,
                hidden_size=64,
                intermediate_size=96,
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                max_position_embeddings=512,
                rms_norm_eps=1e-3,
                rope_parameters={
                    "rope_type": "default",
                    "rope_theta": 10000.0,
                    "mrope_section": [2, 3, 3],
                },
                bos_token_id=0,
                eos_token_id=2,
            ),
            vision_config=dict(
                depth=2,
                hidden_size=32,
                intermediate_size=48,
                num_heads=2,
                out_hidden_size=64,
                patch_size=14,
                spatial_merge_size=2,
                temporal_patch_size=2,
                window_size=56,
                fullatt_block_indexes=[1],
                tokens_per_second=2,
            ),
            image_token_id=ids["<|image_pad|>"],
            video_token_id=ids["<|video_pad|>"],
            vision_start_token_id=ids["<|vision_start|>"],
            vision_end_token_id=ids["<|vision_end|>"],
            tie_word_embeddings=False,
        )
        self.gains = {"proj": 0.5, "qkv": 1.5, "0": 2.0, "2": 2.0}

    def new_model(self) -> transformers.PreTrainedModel:
        return transformers.Qwen2_5_VLForConditionalGeneration._from_config(
            self.config, dtype=torch.float32, attn_implementation="eager"
        ).eval()

    def save_processor(self, directory: pathlib.Path) -> None:
        self.tokenizer.save_pretrained(directory)
        self.images.save_pretrained(directory)
        path = directory / "preprocessor_config.json"
        config = json.loads(path.read_text())
        config["processor_class"] = "Qwen2_5_VLProcessor"
        write_json(path, config)

    def inputs(self, chat: list) -> dict:
        """What the model takes of a chat, and the text of its prompt."""
        content = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
            for part in chat
        ]
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        pixels = [IMAGES[part] for part in chat if not isinstance(part, str)]
        out = {"text": text}
        if pixels:
            out |= self.images(images=pixels, return_tensors="pt")
            merge = self.images.merge_size**2
            for grid in out["image_grid_thw"].tolist():
                tokens = int(np.prod(grid)) // merge
                text = text.replace("<|image_pad|>", "<|video_pad|>" * tokens, 1)
            text = text.replace("<|video_pad|>", "<|image_pad|>")
        ids = self.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        out["input_ids"] = ids
        out["mm_token_type_ids"] = (ids == self.config.image_token_id).int()
        return out

    def features(self, model, inputs: dict) -> torch.Tensor:
        with torch.no_grad():
            out = model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"])
        return torch.cat(list(out.pooler_output))


MODELS = {"qwen2_5_vl": Qwen2_5_VL}


def forward(model, inputs: dict) -> torch.Tensor:
    """Logits of every position, [n, vocab]."""
    given = {k: v for k, v in inputs.items() if k != "text"}
    with torch.no_grad():
        return model(**given, use_cache=False).logits[0]


def greedy(model, inputs: dict) -> tuple[torch.Tensor, float]:
    """NUM_NEW_TOKENS tokens of generate(), and by how much each leads at least."""
    given = {k: v for k, v in inputs.items() if k != "text"}
    model.generation_config = transformers.GenerationConfig(
        do_sample=False,
        max_new_tokens=NUM_NEW_TOKENS,
        eos_token_id=None,
        pad_token_id=0,
        output_logits=True,
        return_dict_in_generate=True,
    )
    ids = given["input_ids"]
    with torch.no_grad():
        out = model.generate(**given, attention_mask=torch.ones_like(ids))
    top = torch.cat(out.logits).topk(2).values
    return out.sequences[0, ids.shape[1] :], (top[:, 0] - top[:, 1]).min().item()


def write_json(path: pathlib.Path, value) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def choose_seed(kind, model) -> int:
    """The first whose greedy tokens no rounding can change, and are not one repeated."""
    for seed in range(MAX_SEEDS):
        random_weights.fill(model, seed, kind.gains)
        for chat in CHATS.values():
            tokens, margin = greedy(model, kind.inputs(chat))
            if margin < MIN_MARGIN or len(set(tokens.tolist())) < MIN_DISTINCT:
                break
        else:
            return seed
    raise SystemExit(f"no seed below {MAX_SEEDS} has clear tokens")


def blind(kind, model, inputs: dict) -> float:
    """How far logits are off if the images are another one, in units of the largest."""
    right = forward(model, inputs)
    wrong = forward(model, inputs | {"pixel_values": inputs["pixel_values"].flip(0)})
    return ((right - wrong).abs().max() / right.abs().max()).item()


def write(name: str, directory: pathlib.Path) -> dict:
    kind = MODELS[name]()
    model = kind.new_model()
    seed = choose_seed(kind, model)
    random_weights.fill(model, seed, kind.gains)
    model.generation_config = transformers.GenerationConfig(bos_token_id=0, eos_token_id=2)
    model.save_pretrained(directory)
    kind.save_processor(directory)

    model = type(model).from_pretrained(directory, dtype=torch.float32, attn_implementation="eager")
    model = model.eval()
    tensors = {f"image_{i}": torch.from_numpy(pixels) for i, pixels in enumerate(IMAGES)}
    facts = {"seed": seed, "new_tokens": NUM_NEW_TOKENS, "chats": {}}
    for chat_name, chat in CHATS.items():
        inputs = kind.inputs(chat)
        tokens, margin = greedy(model, inputs)
        logits = forward(model, inputs)
        tensors[f"{chat_name}.input_ids"] = inputs["input_ids"][0].contiguous()
        tensors[f"{chat_name}.logits"] = logits.contiguous()
        tensors[f"{chat_name}.greedy"] = tokens.contiguous()
        fact = {"parts": chat, "text": inputs["text"], "min_greedy_margin": float(f"{margin:.3g}")}
        if "pixel_values" in inputs:
            tensors[f"{chat_name}.pixel_values"] = inputs["pixel_values"].contiguous()
            tensors[f"{chat_name}.features"] = kind.features(model, inputs).contiguous()
            effect = blind(kind, model, inputs)
            if effect < 1e-2:
                raise SystemExit(f"{chat_name}: another image moves logits by {effect:.1e} only")
            fact["effect_of_another_image"] = float(f"{effect:.3g}")
        facts["chats"][chat_name] = fact
    safetensors.torch.save_file(tensors, directory / "goldens.safetensors")
    facts |= {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]}
    write_json(directory / "goldens.json", facts)
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="*", help=f"of {', '.join(MODELS)}; default all")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in args.model or MODELS:
        directory = TESTDATA / name
        directory.mkdir(parents=True, exist_ok=True)
        for path in directory.iterdir():
            path.unlink()
        print(f"{name}: {json.dumps(write(name, directory))}", flush=True)


if __name__ == "__main__":
    main()
