"""A tiny checkpoint of a class that answers with vectors, with random weights, and what
transformers computes from it.

The vectors are of each token where a text's tokens have some: hidden states, and the numbers for
the labels that a causal class gives for each beginning of the text. Another classifier gives those
of the whole text.
"""

import pathlib
from collections.abc import Callable

import golden
import safetensors.torch
import tiny_configs
import torch

LABELS = 3
# Of the largest number of a token's state: what rounding makes of another batch stays far below.
ROUNDING = 1e-4


def write(model_class: type, directory: pathlib.Path) -> None:
    """The checkpoint as save_pretrained() writes it, and goldens.safetensors
    (tests/goldens/README.md)."""
    config = tiny_configs.tiny_config(model_class, encoder=True)
    if golden.is_classifier(model_class):
        config.num_labels = LABELS
    model = golden.new_model(model_class, config)
    golden.fill(model, 0)
    model.save_pretrained(directory)
    tensors = {}
    for n in golden.LENGTHS:
        ids, types = golden.prompt(n), _types(model, n)
        vectors, pooled = _vectors(model, ids, types)
        tensors |= {f"prompt_{n}": ids[0], f"types_{n}": types[0], f"vectors_{n}": vectors}
        if pooled is not None:
            tensors[f"pooled_{n}"] = torch.tensor(pooled)
    if not all(torch.isfinite(t).all() for t in tensors.values()):
        raise ValueError("its numbers are not finite")
    safetensors.torch.save_file(
        {k: t.contiguous() for k, t in tensors.items()}, directory / "goldens.safetensors"
    )


def _types(model: torch.nn.Module, length: int) -> torch.Tensor:
    """Of a pair of texts, where the model tells them apart."""
    kinds = getattr(model.config, "type_vocab_size", None) or 0
    second = torch.arange(length)[None] >= length // 2
    return second.long() if kinds > 1 else torch.zeros(1, length, dtype=torch.long)


def _vectors(
    model: torch.nn.Module, ids: torch.Tensor, types: torch.Tensor
) -> tuple[torch.Tensor, list[int] | None]:
    """[tokens, size], or [1, size] and the rows (first, number) that are pooled."""
    given = {"token_type_ids": types} if getattr(model.config, "type_vocab_size", None) else {}

    def said(module, length):
        with torch.no_grad():
            return module(input_ids=ids[:, :length], **{k: t[:, :length] for k, t in given.items()})

    length = ids.shape[1]
    if not golden.is_classifier(type(model)):
        return said(model, length).last_hidden_state[0].float(), None
    if not sees_ahead(lambda n: said(model.base_model, n).last_hidden_state[0, 0], length):
        return torch.cat([said(model, n).logits for n in range(1, length + 1)]).float(), None
    mean = getattr(model.config, "classifier_pooling", None) == "mean"
    return said(model, length).logits.float(), [0, length if mean else 1]


def sees_ahead(first: Callable[[int], torch.Tensor], length: int) -> bool:
    """Whether the first token's state, of the text's first n tokens, is that of more than itself.

    Sums of other lengths are rounded in another way, so the two are not held against zero.
    """
    alone, among = first(1), first(length)
    return ((alone - among).abs().max() > ROUNDING * alone.abs().max()).item()
