"""The whole way from a model of transformers to a graph: trace, convert, fuse, split, check."""

import dataclasses

import torch

from . import check, weights
from .convert import convert
from .fuse import fused, in_f32
from .graph import Graph
from .hooks import Found
from .interpret import Tensors
from .layers import Numbering, find_layers
from .model_spec import model_spec
from .split import split
from .trace import trace


@dataclasses.dataclass
class Export:
    """A graph, and what is known about it."""

    graph: Graph
    found: Found
    checks: check.Checks


def export(model: torch.nn.Module) -> Export:
    """Exports a model that `build_model` has made. Its weights are overwritten with random ones.

    Raises Refused, with the module and the reason, where the model cannot be a graph.
    """
    layers = find_layers(model)
    weights.fill(model, torch.bfloat16)  # every cast to f32 is seen
    traced = trace(model)
    numbering = Numbering(traced.program, model, layers)
    function = convert(traced.program, model, numbering)
    weights.fill(model, torch.float32)
    tensors = tensors_of(model)
    function = fused(function, tensors)
    parts = split(function, model)
    parts.forward = in_f32(parts.forward)
    graph = Graph([parts.forward, *([parts.logits] if parts.logits else [])])
    graph.spec = model_spec(model, parts, graph.declarations(), layers, numbering)
    if traced.most_tokens is not None:
        graph.spec["max_positions"] = min(traced.most_tokens, graph.spec["max_positions"] or traced.most_tokens)
    return Export(graph, traced.found, check.check(model, function, graph, tensors))


def tensors_of(model: torch.nn.Module) -> Tensors:
    """Parameters and buffers by all their names."""
    return dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
