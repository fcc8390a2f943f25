"""What makes a vector of hidden states: a graph's function `pool`.

Of a classifier the class itself says it: its forward is run with a base model that gives back what
it is given, a text of one token a row, whose first token, last token and mean are the same. Whose
hidden states it takes of longer texts is tried.
"""

import contextlib
import dataclasses
import json
import types
from collections.abc import Iterator

import torch
from torch.fx import Node as FxNode
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions

from . import graph as g
from . import hooks
from .backbone import CLASSIFIER, Backbone, base_of
from .convert import convert
from .fuse.cleanup import cleaned
from .graph import Builder, Function, Graph, Refused, Rows, Type, Value
from .interpret import Tensors, run
from .split import Parts, embedding_of, forward_of, rebuilt
from .trace import (
    LENGTH,
    MAX_LENGTH,
    example,
    example_types,
    exported,
    first_position,
    logits_of,
    refusing,
)

LENGTH_TRIED = 29
PADDING_TRIED = 2  # of them, at the end
TOLERANCE = 1e-4


def split_vectors(function: Function, backbone: Backbone, classifier: Function | None) -> Parts:
    """Hidden states are the whole function; `pool` is the classifier, or gives them back."""
    embed, scale, embeds = embedding_of(function, backbone)
    hidden = Builder().cast(function.output, g.MODEL)
    if len(hidden.dims) != 2 or hidden.dims[0] != Rows():
        raise Refused(f"it gives {hidden.type}, expected hidden states {g.MODEL}[N, hidden_size]")
    forward, extras = forward_of(function, hidden, embeds, embed.fields["size"])
    rows = _rows(hidden.dims[1])
    pool = classifier or Function("pool", [rows], rows)
    table = None if hidden.dims[1] == embed.fields["size"] else embed
    return Parts(
        forward, pool, embed.name, "lm_head", embed_scale=scale, extras=extras, table=table
    )


def classifier_of(model: torch.nn.Module) -> Function | None:
    """`pool` of a classifier, whose weights are bf16; None: the model is none."""
    if not type(model).__name__.endswith(CLASSIFIER):
        return None
    size = base_of(model).config.get_text_config().hidden_size
    with hooks.installed(model), _gives_back(model), refusing():
        program = exported(
            _Rows(model),
            (torch.randn(LENGTH, size).bfloat16(), torch.arange(LENGTH)),
            0,
            MAX_LENGTH,
        )
    function = cleaned(convert(program, model, _NoLayers()))
    rows = _rows(size)
    vectors = Builder().cast(rebuilt(function.output, {function.inputs[0]: rows}), g.MODEL)
    return Function("pool", [rows], Builder().view(vectors, (Rows(), model.config.num_labels)))


def check_classifier(
    model: torch.nn.Module, backbone: Backbone, graph: Graph, tensors: Tensors
) -> dict[int, float]:
    """The largest difference of the numbers for the labels, by length as in check.Checks; Refused
    where they differ."""
    pool, expected = graph.function("pool"), pooling_of(model, graph.function("forward"))
    vocabulary = model.get_input_embeddings().weight.shape[0]
    ids, positions = example(LENGTH_TRIED, vocabulary, 5)
    padding = padding_of(model)
    ids[ids == padding] = vocabulary - 1 if padding != vocabulary - 1 else 0
    token_types = example_types(backbone, LENGTH_TRIED)
    most = LENGTH_TRIED
    if expected == "LAST" and padding in range(vocabulary):  # it looks for the last that is none
        most -= PADDING_TRIED
        ids[:, most:] = padding
    hidden = logits_of(backbone, ids, positions, token_types)[:most]
    wanted = logits_of(model, ids, positions + first_position(backbone), token_types)
    errors = {}
    for name, row in {
        "CLS": hidden[:1],
        "LAST": hidden[-1:],
        "MEAN": hidden.mean(0, keepdim=True),
    }.items():
        errors[name] = (
            (run(pool, [row], tensors)[0] - wanted).abs().max() / wanted.abs().max()
        ).item()
    best = min(errors, key=errors.get)
    if not errors[best] < TOLERANCE:
        raise Refused(
            "its classifier takes hidden states in another way than the first, the last before "
            f"padding or the mean: {errors}"
        )
    if best != expected:
        raise Refused(f"its classifier pools by {best}, and the engine would by {expected}")
    return {LENGTH_TRIED: errors[best]}


def pooling_of(model: torch.nn.Module, forward: Function) -> str:
    """Whose hidden states the engine gives to a classifier (core/model/pooling.cc)."""
    said = getattr(model.config, "classifier_pooling", None)
    if said is not None:
        return "CLS" if said == "bos" else said.upper()
    attentions = (n.object.fields["kind"] for n in forward.nodes() if n.op == "ATTENTION")
    return "CLS" if "ENCODER" in attentions else "LAST"


def padding_of(model: torch.nn.Module) -> int | None:
    """The token that a causal classifier passes over at a text's end; None: it passes over none."""
    return getattr(model.config.get_text_config(), "pad_token_id", None)


def refuse_unsaid_padding(model: torch.nn.Module, graph: Graph, said: dict) -> None:
    """Where the engine, which knows what config.json says, would not pass over what the class
    does."""
    if not type(model).__name__.endswith(CLASSIFIER):
        return
    if pooling_of(model, graph.function("forward")) != "LAST":
        return
    text = said.get("text_config") or said
    found, expected = text.get("pad_token_id"), padding_of(model)
    if found != expected:
        where = "text_config.pad_token_id" if said.get("text_config") else "pad_token_id"
        raise Refused(
            f"config.json: {where} is {json.dumps(found)}, but {type(model).__name__} passes over "
            f"{json.dumps(expected)} at a text's end; write {json.dumps(expected)} there"
        )


def _rows(size: int) -> Value:
    return Value(Type(g.MODEL, (Rows(), size)), name="hidden")


class _Rows(torch.nn.Module):
    """The classifier as a function of rows [R, size], and of their numbers, by which it may choose
    them."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, rows: torch.Tensor, numbers: torch.Tensor) -> torch.Tensor:
        return self.model(inputs_embeds=rows[:, None], use_cache=False, return_dict=True).logits


@dataclasses.dataclass
class _Output(BaseModelOutputWithPoolingAndCrossAttentions):
    def __getattr__(self, name: str) -> None:
        """What a class passes on besides: none."""


class _NoLayers:
    """For what is behind them all."""

    counted = False

    def of(self, node: FxNode) -> None:
        return None


@contextlib.contextmanager
def _gives_back(model: torch.nn.Module) -> Iterator[None]:
    """The base model gives the embeddings that it is given, and what its pooler makes of them."""
    base, config = base_of(model), model.config.get_text_config()

    def forward(self, input_ids=None, *more, inputs_embeds=None, **named):
        return _Output(inputs_embeds, _pooled(self, inputs_embeds))

    changed = {"pad_token_id": 0}  # a class may want one
    if getattr(model.config, "classifier_pooling", None) == "mean":
        changed["classifier_pooling"] = "cls"  # of one token the same, in fewer ops
    held = {name: getattr(config, name, None) for name in changed}
    vars(base)["forward"] = types.MethodType(forward, base)
    try:
        for name, value in changed.items():
            setattr(config, name, value)
        yield
    finally:
        del vars(base)["forward"]
        for name, value in held.items():
            setattr(config, name, value)


def _pooled(base: torch.nn.Module, hidden: torch.Tensor) -> torch.Tensor | None:
    """What a base model gives as its pooler_output of texts of one token, [R, 1, size]."""
    pooler = getattr(base, "pooler", None)
    if not isinstance(pooler, torch.nn.Linear):
        return None if pooler is None else pooler(hidden)
    activation = getattr(base, "pooler_activation", None) or base.activation  # ALBERT's, BigBird's
    return activation(pooler(hidden[:, 0]))
