"""Whether two graphs are the same up to numbering, order and the names of what no checkpoint holds."""

import math

from .proto import graph_pb2

# Fields that say how a number was come by, or what the numbers beside them say already.
HINTS = {"rope_type", "theta", "dynamic_factor", "impl"}
NAMED = {"linear", "embedding", "norm", "moe", "conv", "param"}  # by their names a checkpoint is read
SPEC = ("num_layers", "hidden_size", "vocab_size", "tie_word_embeddings", "embed_scale", "logit_scale", "logit_softcap",
        "base_model_prefix", "embed_tokens", "lm_head")  # fmt: skip
RELATIVE = 1e-6


def compare_graphs(a: graph_pb2.Graph, b: graph_pb2.Graph) -> list[str]:
    """What is in one and not in the other, in words; empty: they are equal."""
    out = [f"spec.{field}: {x} and {y}" for field in SPEC
           if not _close(x := getattr(a.spec, field), y := getattr(b.spec, field))]  # fmt: skip
    out += _plans(a, b)
    functions = [{f.name: f for f in graph.functions} for graph in (a, b)]
    for name in sorted(functions[0].keys() | functions[1].keys()):
        if any(name not in f for f in functions):
            out.append(f"{name} is in one of them only")
            continue
        out += _functions(a, functions[0][name], b, functions[1][name])
    return out


def _plans(a, b) -> list[str]:
    out = []
    for field in ("tp_plan", "ep_plan"):
        x, y = ({(r.pattern, r.style) for r in getattr(g.spec, field)} for g in (a, b))
        if x != y:
            out.append(f"{field}: {sorted(x - y)} and {sorted(y - x)}")
    x, y = ([(s.child, tuple(s.inputs), tuple(s.outputs)) for s in g.spec.pp_plan] for g in (a, b))
    return out + ([f"pp_plan: {x} and {y}"] if x != y else [])


def _functions(a, first, b, second) -> list[str]:
    """Nodes are followed from the output back, two and two; where they part is said and not passed."""
    one, two = _Walk(a, first), _Walk(b, second)
    out, done, stack = [], set(), [(first.outputs[0], second.outputs[0])]
    while stack:
        x, y = stack.pop()
        if (x, y) in done:
            continue
        done.add((x, y))
        left, right = one.maker(x), two.maker(y)
        difference = _difference(one, left, two, right)
        if difference:
            out.append(f"{first.name}: {difference}")
            continue
        if not isinstance(left, tuple):
            stack.extend(_pairs(left, right, one, two))
    marks = [[list(n.ints) for n in f.nodes if n.op == graph_pb2.OP_MARK] for f in (first, second)]
    return out + ([f"{first.name}: other layers are marked"] if marks[0] != marks[1] else [])


def _pairs(left, right, one, two):
    """Inputs that belong together; of sums and products in whichever order fits."""
    x, y = list(left.inputs), list(right.inputs)
    if left.op in (graph_pb2.OP_ADD, graph_pb2.OP_MUL) and _unlike(x, y, one, two) and not _unlike(x, y[::-1], one, two):
        y.reverse()
    return zip(x, y)


def _unlike(x, y, one, two) -> bool:
    return any(one.shape(i) != two.shape(j) for i, j in zip(x, y))


class _Walk:
    def __init__(self, graph, function):
        self.graph, self.function = graph, function
        self.made = {o: n for n in function.nodes for o in n.outputs}

    def maker(self, value: int):
        """The node, or (name of the input,)."""
        if value == 0:
            return ("nothing",)
        return (self.function.inputs[value - 1].name,) if value not in self.made else self.made[value]

    def shape(self, value: int):
        """What tells values apart at a glance: three nodes deep."""
        return self._shape(value, 3)

    def _shape(self, value: int, depth: int):
        node = self.maker(value)
        if isinstance(node, tuple) or depth == 0:
            return node if isinstance(node, tuple) else node.op
        name = self.object(node).name if node.object and self.object(node).WhichOneof("kind") in NAMED else ""
        return (node.op, name, tuple(self._shape(v, depth - 1) for v in node.inputs))

    def object(self, node):
        return self.graph.declarations[node.object - 1]

    def where(self, node) -> str:
        if isinstance(node, tuple):
            return f"the input {node[0]}"
        name = self.object(node).name if node.object else ""
        types = [[d.symbol or d.size for d in t.dims] for t in node.types]
        return f"{graph_pb2.Op.Name(node.op)} {name} {types}"


def _difference(one, left, two, right) -> str:
    if isinstance(left, tuple) or isinstance(right, tuple):
        return "" if isinstance(left, tuple) and left == right else f"{one.where(left)} and {two.where(right)}"
    if left.op != right.op or len(left.inputs) != len(right.inputs):
        return f"{one.where(left)} and {two.where(right)}"
    view = left.op == graph_pb2.OP_VIEW  # its sizes may be said in several ways; the types have them
    for field in ("types", "reals", "names", "data", *([] if view else ["ints"])):
        x, y = getattr(left, field), getattr(right, field)
        if not (len(x) == len(y) and all(_close(i, j) for i, j in zip(x, y))):
            return f"{one.where(left)} and {two.where(right)}: {field} {list(x)} and {list(y)}"
    if bool(left.object) != bool(right.object):
        return f"{one.where(left)} and {two.where(right)}"
    return _objects(one.object(left), two.object(right)) if left.object else ""


def _objects(a, b) -> str:
    kind = a.WhichOneof("kind")
    if kind != b.WhichOneof("kind") or (kind in NAMED and a.name != b.name and not _nameless(a, b)):
        return f"the objects {a.name} and {b.name}"
    x, y = getattr(a, kind), getattr(b, kind)
    for field in x.DESCRIPTOR.fields:
        if field.name in HINTS:
            continue
        i, j = getattr(x, field.name), getattr(y, field.name)
        repeated = hasattr(i, "extend")
        if not (len(i) == len(j) and all(map(_close, i, j)) if repeated else _close(i, j)):
            return f"{a.name}: {field.name} is {list(i) if repeated else i} and {list(j) if repeated else j}"
    return ""


def _nameless(a, b) -> bool:
    return a.norm.no_weight and b.norm.no_weight


def _close(x, y) -> bool:
    if isinstance(x, float) and isinstance(y, float):
        return math.isclose(x, y, rel_tol=RELATIVE, abs_tol=1e-12)
    return x == y
