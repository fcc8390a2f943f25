"""Takes apart linears that a model keeps in one matrix: qkv_proj, gate_up_proj; query_key_value,
head by head.

The host merges what has the same input by itself, and can divide the parts over ranks, the whole it
cannot.
"""

import math

from ..graph import Declaration, Function, Node, Rows

ATTENTION = {
    "query": "q_proj",
    "key": "k_proj",
    "value": "v_proj",
    "q": "q_proj",
    "k": "k_proj",
    "v": "v_proj",
}


def without_merged(function: Function) -> Function:
    """LINEAR that is only used by parts that make it up becomes a LINEAR for each, where its name
    says what they are."""
    users: dict[Node, list[Node]] = {}
    for node in function.nodes():
        for v in node.inputs:
            if v is not None and v.node is not None:
                users.setdefault(v.node, []).append(node)
    parts: dict[
        Node, dict[int, Declaration]
    ] = {}  # of what is narrowed: the linear, or a view of it by heads
    for linear in (n for n in users if n.op == "LINEAR" and n.output is not function.output):
        whole = users[linear][0] if [n.op for n in users[linear]] == ["VIEW"] else linear
        found = (
            _parts_of_heads(linear, whole, users.get(whole, []))
            if whole is not linear
            else _parts(linear, users[linear])
        )
        if found:
            parts[whole] = found

    def rule(build, node, x):
        source = node.inputs[0].node if node.op == "NARROW" else None
        if source not in parts:
            return None
        whole = x[0].node
        part = build.linear(
            parts[source][node.ints[1]],
            whole.inputs[0] if whole.op == "LINEAR" else whole.inputs[0].node.inputs[0],
        )
        return build.view(part, node.output.dims)

    return function.rebuilt(rule) if parts else function


def _parts(linear: Node, users: list[Node]) -> dict[int, Declaration] | None:
    """By where it starts the declaration of each part."""
    last = len(linear.output.dims) - 1
    runs = _runs(linear, users, last, linear.object.fields["out"])
    names = part_names(linear.object.name, len(runs)) if runs else None
    if names is None:
        return None
    return {
        start: _part(linear, name, length, {"start": start})
        for name, (start, length) in zip(names, runs)
    }


def _parts_of_heads(linear: Node, view: Node, users: list[Node]) -> dict[int, Declaration] | None:
    """The same of a view [N, heads, ..] that is narrowed behind its heads."""
    dims = view.output.dims
    if len(linear.output.dims) != 2 or len(dims) < 3 or dims[0] != Rows() or Rows() in dims[1:]:
        return None
    runs = _runs(linear, users, 2, dims[2])
    names = part_names(linear.object.name, len(runs)) if runs else None
    if names is None or any(name.rpartition(".")[2] not in ATTENTION.values() for name in names):
        return None
    inner, period = math.prod(dims[3:]), math.prod(dims[2:])
    return {
        start: _part(
            linear,
            name,
            dims[1] * length * inner,
            {"start": start * inner, "length": length * inner, "period": period},
        )
        for name, (start, length) in zip(names, runs)
    }


def _runs(linear: Node, users: list[Node], dim: int, size: int) -> list[tuple[int, int]]:
    """(start, length) of the parts, in order; none: they are not all of it."""
    if (
        any(n.op != "NARROW" or n.ints[0] != dim for n in users)
        or "transposed" in linear.object.tensors
    ):
        return []
    runs = sorted({(n.ints[1], n.ints[2]) for n in users})
    ends = [0, *(start + length for start, length in runs)]
    return runs if [start for start, _ in runs] == ends[:-1] and ends[-1] == size else []


def _part(linear: Node, name: str, out: int, layout: dict[str, int]) -> Declaration:
    """`layout`: where its rows begin in the matrix, or in each `period` of it `length` of them."""
    return Declaration(
        name, "linear", linear.object.fields | {"out": out, "layout": layout}, linear.object.tensors
    )


def part_names(name: str, count: int) -> list[str] | None:
    """attn.qkv_proj of 3, attn.query_key_value -> attn.q_proj, attn.k_proj, attn.v_proj;
    mlp.gate_up_proj of 2 -> mlp.gate_proj, mlp.up_proj."""
    path, _, own = name.rpartition(".")
    if len(words := own.split("_")) == count and all(word in ATTENTION for word in words):
        return [f"{path}.{ATTENTION[word]}" for word in words]
    stem, _, tail = own.rpartition("_")
    words = stem.split("_") if stem.count("_") == count - 1 else list(stem)
    if len(words) != count or len(set(words)) != count or count < 2:
        return None
    return [f"{path}.{word}_{tail}" for word in words]
