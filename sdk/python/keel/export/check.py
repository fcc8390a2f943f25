"""Holds a graph against the model that it came from: the same numbers, and no row that reaches
another."""

import dataclasses

import torch

from .graph import Function, Graph, Refused, Rows
from .interpret import Tensors, evaluate, run
from .backbone import TOKEN_TYPES
from .trace import LENGTH, example, example_types, logits_of

LENGTHS = (
    LENGTH + 6,
    41,
)  # others than the traced one; the second is longer than the windows of small models
TOLERANCE = 1e-4


@dataclasses.dataclass
class Checks:
    """The largest difference of logits, or of the numbers of vectors, relative to the largest
    logit, by length."""

    errors: dict[int, float]

    @property
    def error(self) -> float:
        return max(self.errors.values())


def check(model: torch.nn.Module, graph: Graph, tensors: Tensors) -> Checks:
    """Raises Refused if the numbers differ, or if no token of a text has to do with another."""
    if not any(n.op in ("ATTENTION", "RECUR") for n in graph.function("forward").nodes()):
        raise Refused(
            "no token has to do with another in what the class computes here: its attention may "
            "need a kernel, a device or a library that is not there"
        )
    errors = {}
    for seed, length in enumerate(LENGTHS, 1):
        ids, positions = example(length, graph.spec["vocab_size"], seed)
        token_types = example_types(model, length)
        wanted = logits_of(model, ids, positions, token_types).float()
        got = run_graph(graph, inputs_of(ids, positions, token_types), tensors)
        errors[length] = ((got - wanted).abs().max() / wanted.abs().max()).item()
    checks = Checks(errors)
    if not checks.error < TOLERANCE:
        what = "logits" if graph.function("pool") is None else "hidden states"
        raise Refused(f"its graph computes other {what} than the model: they differ by {errors} "
                      "(of the largest, by length), "
                      f"expected less than {TOLERANCE}")  # fmt: skip
    check_rows(model, graph, tensors)
    return checks


def inputs_of(
    ids: torch.Tensor, positions: torch.Tensor, token_types: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    """By the names of a graph's inputs, of one text."""
    types = torch.zeros_like(ids) if token_types is None else token_types
    return {"input_ids": ids[0], "positions": positions[0], TOKEN_TYPES: types[0]}


def run_graph(graph: Graph, inputs: dict[str, torch.Tensor], tensors: Tensors) -> torch.Tensor:
    """Logits [N, vocabulary] the way the engine makes them: embeddings, forward, head; of a model
    of vectors hidden states."""
    spec = graph.spec
    table = tensors[f"{spec['embed_tokens']}.weight"].float()
    embeds = torch.nn.functional.embedding(inputs["input_ids"], table) * spec["embed_scale"]
    forward = graph.function("forward")
    hidden = run(
        forward, [embeds if v.name == "embeds" else inputs[v.name] for v in forward.inputs], tensors
    )
    if graph.function("pool") is not None:
        return hidden
    logits = graph.function("logits")
    if logits is not None:
        return run(logits, [hidden], tensors)
    head = "embed_tokens" if spec["tie_word_embeddings"] else "lm_head"
    out = hidden.float() @ tensors[f"{spec[head]}.weight"].float().T * spec["logit_scale"]
    softcap = spec["logit_softcap"]
    return softcap * torch.tanh(out / softcap) if softcap else out


def check_rows(model: torch.nn.Module, graph: Graph, tensors: Tensors) -> None:
    """With attention and recurrences made functions of single rows, rows in another order give
    results in that order."""
    forward = graph.function("forward")
    ids, positions = example(LENGTHS[0], graph.spec["vocab_size"], 3)
    order = torch.randperm(LENGTHS[0], generator=torch.Generator().manual_seed(0))
    size = forward.inputs[0].dims[1]
    embeds = torch.randn(LENGTHS[0], size, generator=torch.Generator().manual_seed(1))
    inputs = inputs_of(ids, positions, example_types(model, LENGTHS[0])) | {"embeds": embeds}
    separate = _rows_apart(forward)
    straight = run(separate, [inputs[v.name] for v in separate.inputs], tensors)
    mixed = run(separate, [inputs[v.name][order] for v in separate.inputs], tensors)
    if (straight[order] - mixed).abs().max() > TOLERANCE * straight.abs().max():
        raise Refused(
            "rows reach others outside of attention: "
            f"{_first_mixing(separate, inputs, order, tensors)}"
        )


def _rows_apart(function: Function) -> Function:
    def rule(build, node, x):
        if node.op == "ATTENTION" and x[2] is not None:
            heads, kv_heads = node.object.fields["heads"], node.object.fields["kv_heads"]
            if node.object.fields["kind"] == "MLA":
                return _values_of_latents(build, node.object.fields, x[1])
            return build.repeat(x[2], 1, heads // kv_heads)
        if node.op == "RECUR":
            return _alone(build, node, x)
        return None

    return function.rebuilt(rule)


def _values_of_latents(build, f, latent):
    wide = build.view(
        build.linear(f["kv_up"], latent),
        (Rows(), f["heads"], f["kv_up"].fields["out"] // f["heads"]),
    )
    return build.narrow(wide, 2, f["qk_dim"] - f["rope_dim"], f["v_dim"])


def _alone(build, node, x):
    """Something of the same shape that sees one row: x itself, or v where x is a query."""
    value = x[1 + node.names.index("v")] if "v" in node.names else x[0]
    return build.cast(value, node.output.dtype)


def _first_mixing(function: Function, inputs: dict, order: torch.Tensor, tensors: Tensors) -> str:
    known = [
        {v: inputs[v.name] for v in function.inputs},
        {v: inputs[v.name][order] for v in function.inputs},
    ]
    for node in function.nodes():
        straight, mixed = (evaluate([node.output], k, tensors)[0] for k in known)
        if straight.shape[:1] == order.shape and straight.is_floating_point():
            if (straight[order] - mixed).abs().max() > TOLERANCE * straight.abs().max():
                return f"{node.op} {node.object.name if node.object else ''} {node.output.type}"
    return "no node alone"
