"""Takes apart linears that a model keeps in one matrix: qkv_proj, gate_up_proj.

The host merges what has the same input by itself, and can divide the parts over ranks, the whole it cannot.
"""

from ..graph import Declaration, Function, Node


def without_merged(function: Function) -> Function:
    """LINEAR that is only used by parts that make it up becomes a LINEAR for each, where its name says what they are."""
    parts: dict[Node, dict[int, Declaration]] = {}
    users: dict[Node, list[Node]] = {}
    for node in function.nodes():
        for v in node.inputs:
            if v is not None and v.made_by("LINEAR"):
                users.setdefault(v.node, []).append(node)
    for linear, narrows in users.items():
        found = _parts(linear, narrows)
        if found and linear.output is not function.output:
            parts[linear] = found

    def rule(build, node, x):
        source = node.inputs[0].node if node.op == "NARROW" else None
        if source not in parts:
            return None
        return build.linear(parts[source][node.ints[1]], x[0].node.inputs[0])

    return function.rebuilt(rule) if parts else function


def _parts(linear: Node, users: list[Node]) -> dict[int, Declaration] | None:
    """By where it starts the declaration of each part."""
    last = len(linear.output.dims) - 1
    if any(n.op != "NARROW" or n.ints[0] != last for n in users) or "transposed" in linear.object.tensors:
        return None
    runs = sorted({(n.ints[1], n.ints[2]) for n in users})
    ends = [0, *(start + length for start, length in runs)]
    if [start for start, _ in runs] != ends[:-1] or ends[-1] != linear.object.fields["out"]:
        return None
    names = part_names(linear.object.name, len(runs))
    if names is None:
        return None
    fields, tensors = linear.object.fields, linear.object.tensors
    return {
        start: Declaration(name, "linear", fields | {"out": length, "layout": {"start": start}}, tensors)
        for name, (start, length) in zip(names, runs)
    }


def part_names(name: str, count: int) -> list[str] | None:
    """attn.qkv_proj of 3 -> attn.q_proj, attn.k_proj, attn.v_proj; mlp.gate_up_proj of 2 -> mlp.gate_proj, mlp.up_proj."""
    path, _, own = name.rpartition(".")
    stem, _, tail = own.rpartition("_")
    words = stem.split("_") if stem.count("_") == count - 1 else list(stem)
    if len(words) != count or len(set(words)) != count or count < 2:
        return None
    return [f"{path}.{word}_{tail}" for word in words]
