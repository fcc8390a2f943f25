"""Joins attentions of one layer that differ in their values alone: a layer has one cache of keys
and one of values."""

from ..graph import Builder, Declaration, Function, Node, Refused, Value, made


def with_joined_values(function: Function) -> Function:
    """softmax(q k^T) v1 and softmax(q k^T) v2 become parts of softmax(q k^T) [v1, v2]."""
    groups: dict[tuple, list[Node]] = {}
    for node in function.nodes():
        if node.op == "ATTENTION":
            groups.setdefault((node.object, *node.inputs[:2], *node.inputs[3:]), []).append(node)
    layers = [object.name for object, *_ in groups]
    twice = next((name for name in layers if layers.count(name) > 1), None)
    if twice is not None:
        raise Refused(f"{twice} attends more than once for a token, and has one cache of keys")
    joined = {node: group for group in groups.values() if len(group) > 1 for node in group}
    if not joined:
        return function
    builder, new = Builder(), {v: v for v in function.inputs}

    def make(nodes: list[Node]) -> None:
        for node in nodes:
            if node.output in new:
                continue
            builder.layer = node.layer
            if node in joined:
                make(
                    [
                        n
                        for n in made(
                            v for member in joined[node] for v in member.inputs if v is not None
                        )
                        if n not in joined
                    ]
                )
                builder.layer = node.layer
                _join(builder, joined[node], new)
            else:
                new.update(
                    zip(
                        node.outputs,
                        builder.again(node, tuple(v and new[v] for v in node.inputs)),
                        strict=True,
                    )
                )

    make(function.nodes())
    return Function(function.name, function.inputs, new[function.output])


def _join(build: Builder, group: list[Node], new: dict[Value, Value]) -> None:
    q, k, _, *rest = (v and new[v] for v in group[0].inputs)
    object, size = group[0].object, group[0].object.fields["v_dim"]
    whole = Declaration(
        object.name, object.kind, object.fields | {"v_dim": size * len(group)}, object.tensors
    )
    values = build.cat([new[node.inputs[2]] for node in group], 2)
    out = build.attention(whole, q, k, values, dict(zip(group[0].names, rest, strict=True)))
    for i, node in enumerate(group):
        new[node.output] = build.narrow(out, 2, i * size, size)
