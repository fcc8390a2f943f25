"""What a model counts in f32 although its weights are not: weights are declared f32 where they are
nothing else.

So they are not rounded to the model's type before, nor cast in every step; and a linear in f32, a
router mostly, is a product, as a declared linear takes values of the model's type alone.
"""

from .. import graph as g
from ..graph import Declaration, Function, Node, Value

IN_F32 = {"A", "D", "dt_bias"}  # arguments of a recurrence, which counts in f32 with them


def in_f32(function: Function) -> Function:
    users: dict[Value, list[Node]] = {}
    for node in function.nodes():
        for v in node.inputs:
            users.setdefault(v, []).append(node)
    declared: dict[str, Declaration] = {}

    def param(build, name, shape):
        fields = {"dtype": g.F32, "shape": list(shape)}
        return build.param(
            declared.setdefault(name, Declaration(name, "param", fields, {"": name}))
        )

    def rule(build, node, x):
        d = node.object
        if (
            node.op == "PARAM"
            and node.output.dtype == g.MODEL
            and all(_is_f32(node.output, n) for n in users[node.output])
        ):
            return param(build, d.tensors[""], d.fields["shape"])
        if node.op == "CAST" and x[0].dtype == node.output.dtype:
            return x[0]
        if node.op == "LINEAR" and x[0].dtype == g.F32 and "layout" not in d.fields:
            turned = "transposed" in d.tensors
            shape = (
                (d.fields["in"], d.fields["out"]) if turned else (d.fields["out"], d.fields["in"])
            )
            weight = param(build, d.tensors["weight"], shape)
            result = build.matmul(x[0], weight if turned else build.permute(weight, (1, 0)))
            bias = (
                param(build, d.tensors["bias"], shape[:1] if not turned else shape[1:])
                if d.fields["bias"]
                else None
            )
            return result if bias is None else build.arithmetic("ADD", result, bias)
        return None

    return function.rebuilt(rule)


def _is_f32(value: Value, user: Node) -> bool:
    if user.op == "RECUR":
        named = {at + 1: name for name, at in zip(user.names, user.ints[1:]) if at >= 0}
        return all(named.get(i) in IN_F32 for i, v in enumerate(user.inputs) if v is value)
    return user.op == "CAST" and user.output.dtype == g.F32
