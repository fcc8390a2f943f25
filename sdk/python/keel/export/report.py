"""What is known of an export, as a dictionary for keel-export.json and as text."""

from collections import Counter

import torch
import transformers

from . import graph as g
from .export import Export
from .graph import Function, Node


def report(export: Export) -> dict:
    forward = export.graph.function("forward")
    ops = Counter(node.op for node in forward.nodes())
    return {
        "architecture": export.graph.spec["architecture"],
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "ops": dict(sorted(ops.items())),
        "ops_a_layer": _of_layers(forward, export.graph.spec["num_layers"]),
        "recognised": {
            "norms": dict(export.found.norms),
            "activations": dict(export.found.activations),
            "recurrences": dict(export.found.recurrences),
            "ropes": ops["ROPE"],
            "attentions": ops["ATTENTION"],
            "routers": ops["MOE"],
        },
        "left_as_primitives": left(forward),
        "compared": "logits" if export.graph.function("pool") is None else "vectors",
        "errors": {
            str(length): float(f"{error:.2e}") for length, error in export.checks.errors.items()
        },
    }


def left(forward: Function) -> list[str]:
    """What Keel has an op for, and the graph says in many: it runs, but not as fast as it could."""
    nodes, out = forward.nodes(), []
    turned = sum(
        node.op == "UNARY" and node.ints[0] in (g.UNARY["cos"], g.UNARY["sin"]) for node in nodes
    )
    if turned:
        out.append(f"rope: {turned} tables of cos and sin, multiplied in ops of their own")
    routed = sum(node.op == "MOE_ROUTED" for node in nodes)
    if routed:
        out.append(f"router: of {routed} layers, chosen by ops of their own")
    products = sum(_is_of_weights(node) for node in nodes)
    if products:
        out.append(
            f"linear: {products} products with weights that are no linears, neither quantized nor "
            "divided over ranks"
        )
    squares = sum(_is_a_norm(node) for node in nodes)
    if squares:
        out.append(f"norm: {squares} of mean and rsqrt in ops of their own")
    return out


def _is_a_norm(node: Node) -> bool:
    return node.op == "UNARY" and node.ints[0] == g.UNARY["rsqrt"]


def _is_of_weights(node: Node) -> bool:
    """A product with a parameter in the model's type, in whatever shape."""
    value = node.inputs[1] if node.op == "MATMUL" and node.output.dtype == g.MODEL else None
    while (
        value is not None
        and value.node is not None
        and value.node.op in ("VIEW", "PERMUTE", "CAST")
    ):
        value = value.node.inputs[0]
    return value is not None and value.made_by("PARAM")


def _of_layers(forward: Function, num_layers: int) -> list[int]:
    counts = Counter(node.layer for node in forward.nodes())
    return [counts[layer] for layer in range(num_layers)]


def text(said: dict) -> str:
    """A few lines for a reader."""
    recognised = {
        k: v if isinstance(v, int) else sum(v.values()) for k, v in said["recognised"].items()
    }
    lines = [
        f"{said['architecture']}: {sum(said['ops'].values())} ops, "
        f"{max(said['ops_a_layer'], default=0)} in its largest layer",
        "  recognised: "
        + ", ".join(f"{count} {name}" for name, count in recognised.items() if count),
        "  ops: " + ", ".join(f"{count} {op.lower()}" for op, count in said["ops"].items()),
        f"  {said['compared']} against the model's, by length: "
        + ", ".join(f"{length}: {error:.0e}" for length, error in said["errors"].items()),
    ]
    lines += [f"  left as primitives: {line}" for line in said["left_as_primitives"]]
    return "\n".join(lines)
