"""The whole way from a model of transformers to a graph: trace, convert, fuse, split, check."""

import dataclasses

import torch

from . import check, vectors, weights
from .backbone import Backbone, answers_with_vectors, refuse_other_heads
from .convert import convert
from .fuse import fused, in_f32
from .graph import Graph
from .hooks import Found
from .interpret import Tensors
from .layers import Numbering, find_layers
from .model_spec import model_spec
from .split import split
from .trace import first_position, trace


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
    refuse_other_heads(model)
    whole = model
    if answers_with_vectors(whole):
        model = Backbone(whole)
    layers = find_layers(model)
    weights.fill(model, torch.bfloat16)  # every cast to f32 is seen
    traced = trace(model)
    numbering = Numbering(traced.program, model, layers)
    function = convert(traced.program, model, numbering)
    classifier = vectors.classifier_of(whole)
    weights.fill(model, torch.float32)
    tensors = tensors_of(model)
    function = fused(function, tensors)
    parts = (
        split(function, model)
        if whole is model
        else vectors.split_vectors(function, model, classifier)
    )
    parts.forward = in_f32(parts.forward)
    graph = Graph([parts.forward, *([parts.head] if parts.head else [])])
    graph.unused = [] if parts.table is None else [parts.table]
    graph.spec = model_spec(whole, parts, graph.declarations(), layers, numbering)
    if graph.spec["max_positions"]:
        graph.spec["max_positions"] -= first_position(model)
    if traced.most_tokens is not None:
        graph.spec["max_positions"] = min(
            traced.most_tokens, graph.spec["max_positions"] or traced.most_tokens
        )
    checks = check.check(model, graph, tensors)
    if classifier is not None:
        checks.errors |= vectors.check_classifier(whole, model, graph, tensors)
    return Export(graph, traced.found, checks)


def tensors_of(model: torch.nn.Module) -> Tensors:
    """Parameters and buffers by all their names."""
    return dict(model.named_parameters(remove_duplicate=False)) | dict(
        model.named_buffers(remove_duplicate=False)
    )
