"""Finds routers by trying them: experts and weights that are one of the formulas of KEEL_MOE_* of
some logits."""

import itertools

import torch

from ..graph import Builder, Declaration, Function, Node, Rows, Value, made
from ..interpret import Tensors, evaluate, route

# Enough that two formulas which mostly choose alike do not always: groups by their largest score,
# or by the sum of their two largest.
ROWS = 512


def with_routers(function: Function, tensors: Tensors) -> Function:
    """MOE_ROUTED of a known formula becomes MOE of the router's logits."""
    found = {}
    for node in function.nodes():
        if node.op == "MOE_ROUTED":
            recognised = recognise(node, function.inputs[1], tensors)
            if recognised is not None:
                found[node.output] = recognised
    if not found:
        return function
    new: dict[Value, Value] = {v: v for v in function.inputs}
    builder = Builder()
    for node in function.nodes():
        builder.layer = node.layer
        if node.output in found:
            logits, object = found[node.output]
            new[node.output] = builder.moe(object, new[node.inputs[0]], new[logits])
        else:
            new.update(
                zip(
                    node.outputs,
                    builder.again(node, tuple(v and new[v] for v in node.inputs)),
                    strict=True,
                )
            )
    return Function(function.name, function.inputs, new[function.output])


def recognise(node: Node, positions: Value, tensors: Tensors) -> tuple[Value, Declaration] | None:
    """The logits and the declaration with the formula that the router is, or None."""
    _, ids, weights = node.inputs
    fields = node.object.fields
    for logits in _logits(ids, weights, fields["experts"]):
        tried = torch.randn(ROWS, fields["experts"], generator=torch.Generator().manual_seed(0))
        tried = tried * torch.linspace(0.1, 2, ROWS)[:, None]
        try:
            got = evaluate([ids, weights], {logits: tried, positions: torch.arange(ROWS)}, tensors)
        except (KeyError, RuntimeError):  # it needs more than these logits
            continue
        biases = _biases([ids, weights], logits, fields["experts"])
        scale = _dense(*got, fields["experts"])
        for formula, bias in _formulas(fields, [ids, weights], logits, biases):
            said = route(fields | formula, tried, None if bias is None else tensors[bias].float())
            ratio = _ratio(scale, _dense(*said, fields["experts"]))
            if ratio is not None:
                tensors_ = node.object.tensors | ({} if bias is None else {"score_bias": bias})
                formula = formula | {"routed_scale": ratio}
                if bias is not None:
                    formula["score_bias"] = bias.rpartition(".")[2]  # renames.py brings it there
                return logits, Declaration(
                    node.object.name, "moe", fields | formula, tensors=tensors_
                )
    return None


def _logits(ids: Value, weights: Value, experts: int) -> list[Value]:
    """Values [N, experts] that both come from, the first of the router first."""
    shape = (Rows(), experts)
    both = [
        [
            v
            for n in made([value])
            for v in n.outputs
            if v.dims == shape and v.dtype in ("MODEL", "F32")
        ]
        for value in (ids, weights)
    ]
    common = [v for v in both[0] if v in both[1]]
    linears = [i for i, v in enumerate(common) if v.made_by("LINEAR")]
    return common[linears[-1] :] if linears else common


def _dense(ids: torch.Tensor, weights: torch.Tensor, experts: int) -> torch.Tensor:
    return torch.zeros(len(ids), experts).scatter_add(1, ids, weights.float())


def _ratio(got: torch.Tensor, said: torch.Tensor) -> float | None:
    """got / said, if that is one number above 0."""
    if ((got != 0) != (said != 0)).any() or not (said != 0).any():
        return None
    ratio = (got[said != 0] / said[said != 0]).double()
    mean = ratio.mean().item()
    if mean <= 0 or (ratio - mean).abs().max() > 1e-4 * mean:
        return None
    return float(f"{mean:.6g}")


def _biases(values: list[Value], logits: Value, experts: int) -> list[str]:
    """Parameters [experts] that take part."""
    nodes = made(values, [logits])
    return [
        n.object.tensors[""]
        for n in nodes
        if n.op == "PARAM" and n.object.fields["shape"] == [experts]
    ]


def _formulas(fields: dict, values: list[Value], logits: Value, biases: list[str]):
    """What the router may be, the simplest first: (fields of Moe, the score bias or None)."""
    topks = [n.ints[0] for n in made(values, [logits]) if n.op == "TOPK"]
    groups = sorted({n.output.dims[-2] for n in made(values, [logits])
                     if n.op == "VIEW" and len(n.output.dims) == 3 and isinstance(n.output.dims[-2],
                     int)})  # fmt: skip
    grouped = [
        {},
        *(
            {"groups": n, "top_groups": k}
            for n in groups
            for k in dict.fromkeys(topks)
            if 0 < k <= n
        ),
    ]
    chosen_first = any(n.op == "SOFTMAX"
                       and n.output.dims[-1] == fields["top_k"] < fields["experts"] for n
                       in made(values, [logits]))  # fmt: skip
    order = (
        (2, 0, 1) if chosen_first else (0, 2, 1)
    )  # normed softmax of all is softmax of the chosen
    for scoring, group, norm in itertools.product(order, grouped, (False, True)):
        if scoring == 2 and (group or norm):
            continue
        for bias in [None, *biases] if scoring == 1 else [None]:
            yield {"scoring": scoring, "norm_topk": norm, "routed_scale": 1.0, **group}, bias
