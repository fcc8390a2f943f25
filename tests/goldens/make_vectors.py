"""Tiny checkpoints of models that give vectors, and the vectors that transformers computes from
them.

make.py calls this for the variants that say `vectors_of`. A golden is kept if every parameter
matters: see README.md.
"""

import copy
import pathlib

import numpy as np
import safetensors.torch
import torch
import transformers

import random_weights
import variants

NUM_FIRST_SPECIAL = 3
PAIR = "<|bos|> $A <|im_end|> $B:1"
TEXTS = (
    ("hello", None),
    ("What is the sea?", None),
    ("an é, 3 € and 🙂.", None),
    ("What is the sea?", "Water."),
    ("What is the sea?", "hello, the user"),
)
TOLERANCE = 1e-4  # what the tests allow, in units of the largest number of a vector
MIN_TOLERANCES = 10


def prompt(vocab_size: int, length: int, types: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids [1, length], and which of two texts each is of, where the model reads that."""
    rng = np.random.Generator(np.random.PCG64([0, length]))
    ids = torch.from_numpy(rng.integers(NUM_FIRST_SPECIAL, vocab_size, (1, length)))
    second = torch.arange(length)[None] >= length // 2 if types > 1 and length > 1 else ids < 0
    return ids, second.long()


def new_model(config: transformers.PreTrainedConfig, variant: variants.Variant):
    cls = getattr(transformers, variant.vectors_of)
    return cls._from_config(
        config, dtype=torch.float32, attn_implementation=variant.attention
    ).eval()


def vectors_of(model, ids: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
    """[tokens, size]: the hidden states of each token, or what the classifier makes of them."""
    base = getattr(model, model.base_model_prefix, model)
    with torch.no_grad():
        hidden = base(ids, token_type_ids=types).last_hidden_state
        if base is model:
            return hidden[0]
        rows = hidden.transpose(0, 1)  # [tokens, 1, H]: each as if it were the first of a text
        if base.pooler is not None:
            rows = base.pooler(rows)
        vectors = model.classifier(rows)
        right = model(ids, token_type_ids=types).logits[0]
        assert torch.allclose(vectors[0], right, atol=1e-6), "the first token's is not the model's"
        return vectors


def changed_models(model, variant: variants.Variant):
    """Models with one thing wrong each, and what it is."""
    state = model.state_dict()
    for name in state:
        if variant.vectors_of.endswith("Model") and "pooler" in name:
            continue
        if "norm" in name.lower() or name.endswith("bias"):
            if "key.bias" in name:
                continue  # moves all scores of a query alike: softmax does not see it
            wrong = copy.deepcopy(model)
            trivial = torch.ones_like if name.endswith("Norm.weight") else torch.zeros_like
            wrong.load_state_dict({**state, name: trivial(state[name])})
            yield f"{name} ignored", wrong
    for change in variant.must_matter:
        config = copy.deepcopy(model.config)
        for key, value in change.items():
            setattr(config, key, value)
        wrong = new_model(config, variant)
        wrong.load_state_dict(state)
        yield str(change), wrong


def smallest_effect(model, variant: variants.Variant, ids, types, right: torch.Tensor) -> float:
    effects = {
        what: ((vectors_of(wrong, ids, types) - right).abs().max() / right.abs().max()).item()
        for what, wrong in changed_models(model, variant)
    }
    what, effect = min(effects.items(), key=lambda item: item[1])
    if effect < MIN_TOLERANCES * TOLERANCE:
        raise SystemExit(
            f"{variant.model_type}/{variant.name}: {what} moves vectors by {effect:.1e}"
        )
    return effect


def load(directory: pathlib.Path, variant: variants.Variant):
    cls = getattr(transformers, variant.vectors_of)
    return cls.from_pretrained(
        directory, dtype=torch.float32, attn_implementation=variant.attention
    ).eval()


def texts(directory: pathlib.Path, variant: variants.Variant) -> list[dict]:
    """What the whole checkpoint, its tokenizer included, makes of texts and pairs of them."""
    tokenizer, model = (
        transformers.AutoTokenizer.from_pretrained(directory),
        load(directory, variant),
    )
    out = []
    for text, pair in TEXTS:
        encoded = tokenizer(text, pair, return_token_type_ids=True)
        ids, types = (torch.tensor([encoded[k]]) for k in ("input_ids", "token_type_ids"))
        vectors = vectors_of(model, ids, types)
        out.append(
            {
                "text": text,
                "pair": pair,
                "tokens": ids.shape[1],
                "first": [round(x, 6) for x in vectors[0].tolist()],
                "mean": [round(x, 6) for x in vectors.mean(0).tolist()],
            }
        )
    return out


def write(directory: pathlib.Path, variant: variants.Variant) -> dict:
    """Writes checkpoint and vectors; returns what is known of them."""
    config = transformers.AutoConfig.for_model(variant.model_type, **copy.deepcopy(variant.config))
    made = new_model(config, variant)
    random_weights.fill(made, 0, variant.gains)
    made.save_pretrained(directory, max_shard_size=variant.max_shard_size)
    model = load(directory, variant)
    tensors, largest = {}, 0.0
    for length in variant.prompt_lengths:
        ids, types = prompt(config.vocab_size, length, config.type_vocab_size)
        vectors = vectors_of(model, ids, types)
        tensors[f"prompt_{length}"] = ids[0].contiguous()
        tensors[f"types_{length}"] = types[0].contiguous()
        tensors[f"vectors_{length}"] = vectors.contiguous()
        largest = max(largest, vectors.abs().max().item())
    effect = smallest_effect(model, variant, ids, types, vectors)
    safetensors.torch.save_file(tensors, directory / "goldens.safetensors")
    return {
        "prompt_lengths": list(variant.prompt_lengths),
        "seed": 0,
        "max_abs_number": float(f"{largest:.3g}"),
        "smallest_effect_of_an_error": float(f"{effect:.3g}"),
        "transformers": transformers.__version__,
        "torch": torch.__version__.split("+")[0],
    }
