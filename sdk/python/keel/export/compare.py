"""Whether two graphs are the same up to numbering, order and the names of what no checkpoint holds.

Also the same: axes that are counted from the other end, casts and views that change nothing or that
the next one undoes, and parts of a checkpoint's tensor under whatever names.
"""

import math
import re

from .proto import graph_pb2

# Fields that say how a number was come by, or what the numbers beside them say already.
HINTS = {"rope_type", "theta", "dynamic_factor", "impl"}
NAMED = {
    "linear",
    "embedding",
    "norm",
    "moe",
    "conv",
    "param",
}  # by their names a checkpoint is read
SPEC = ("num_layers", "hidden_size", "vocab_size", "tie_word_embeddings", "embed_scale",
        "logit_scale", "logit_softcap", "base_model_prefix", "embed_tokens", "lm_head")  # fmt: skip
RELATIVE = 1e-6
AXIS_FIRST = {graph_pb2.Op.Value(f"OP_{name}") for name in
              ("NARROW", "CAT", "REPEAT", "SOFTMAX", "REDUCE", "CUMSUM", "TAKE",
              "SCATTER")}  # fmt: skip
DEPTH = 4  # of what tells the sides of a sum apart


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
    """Nodes are followed from the output back, two and two; where they part is said and not
    passed."""
    one, two = _Walk(a, first), _Walk(b, second)
    out, done, stack = [], set(), [(first.outputs[0], second.outputs[0])]
    while stack:
        x, y = stack.pop()
        x, y = one.origin(x), two.origin(y)
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
    """Inputs that belong together; of sums and products in the order in which they are more
    alike."""
    x, y = one.inputs(left), two.inputs(right)
    if left.op in (graph_pb2.OP_ADD, graph_pb2.OP_MUL):
        straight, crossed = (
            sum(_likeness(one.shape(i), two.shape(j)) for i, j in zip(x, order))
            for order in (y, y[::-1])
        )
        if crossed > straight:
            y.reverse()
    return zip(x, y)


def _likeness(a: tuple, b: tuple) -> int:
    """How many nodes of the two agree, from their results back."""
    return 0 if a[0] != b[0] else 1 + sum(_likeness(i, j) for i, j in zip(a[1:], b[1:]))


class _Walk:
    def __init__(self, graph, function):
        self.graph, self.function = graph, function
        self.made = {o: n for n in function.nodes for o in n.outputs}
        self._held: dict[str, str | tuple] = {}

    def origin(self, value: int) -> int:
        """The value, before casts and views that change nothing."""
        while (before := self._before(value)) is not None:
            value = before
        return value

    def _before(self, value: int) -> int | None:
        node = self.made.get(value)
        if node is None or node.op not in (graph_pb2.OP_CAST, graph_pb2.OP_VIEW):
            return None
        source, last = node.inputs[0], self.made.get(node.inputs[0])
        if self.type(source) == self.type(value):
            return source
        if last is None or last.op != node.op or self.type(last.inputs[0]) != self.type(value):
            return None
        widened = (self.type(value)[0], self.type(source)[0]) == (graph_pb2.MODEL, graph_pb2.F32)
        return last.inputs[0] if node.op == graph_pb2.OP_VIEW or widened else None

    def inputs(self, node) -> list[int]:
        """A view of a view is one of what that is of."""
        values = [self.origin(v) for v in node.inputs]
        while (
            node.op == graph_pb2.OP_VIEW
            and values[0] in self.made
            and self.made[values[0]].op == graph_pb2.OP_VIEW
        ):
            values = [self.origin(v) for v in self.made[values[0]].inputs]
        return values

    def type(self, value: int) -> tuple:
        node = self.made.get(value)
        type = (
            self.function.inputs[value - 1].type
            if node is None
            else node.types[list(node.outputs).index(value)]
        )
        return (type.dtype, *((d.symbol, d.size) for d in type.dims))

    def maker(self, value: int):
        """The node, or (name of the input,)."""
        if value == 0:
            return ("nothing",)
        return (
            (self.function.inputs[value - 1].name,) if value not in self.made else self.made[value]
        )

    def shape(self, value: int, depth: int = DEPTH) -> tuple:
        """What tells values apart at a glance: (what gives it, the same of its inputs ...), some
        nodes deep."""
        node = self.maker(self.origin(value))
        if isinstance(node, tuple):
            return node
        held = (
            self.held(self.object(node))
            if node.object and self.object(node).WhichOneof("kind") in NAMED
            else ""
        )
        return ((node.op, held), *(self.shape(v, depth - 1) for v in self.inputs(node) if depth))

    def object(self, node):
        return self.graph.declarations[node.object - 1]

    def held(self, declaration) -> str | tuple:
        """The name that a checkpoint reads it by: its own, or (the tensor, how it is taken apart,
        which part it is)."""
        name = declaration.name
        if name not in self._held:
            self._held[name] = next(_parts_of(self.graph.spec.renames, name), name)
        return self._held[name]

    def where(self, node) -> str:
        if isinstance(node, tuple):
            return f"the input {node[0]}"
        name = self.object(node).name if node.object else ""
        types = [[d.symbol or d.size for d in t.dims] for t in node.types]
        return f"{graph_pb2.Op.Name(node.op)} {name} {types}"


def _parts_of(renames, name: str):
    """(The tensor, how it is taken apart, which part it is), by each rule that makes `name` so."""
    for rule in (r for r in renames if r.op in (r.SPLIT, r.CHUNK_HEADS)):
        for part, target in enumerate(rule.to):
            pattern = re.sub(r"\\\\(\d)", r"(?P<g\1>.+)", re.escape(target))
            found = re.fullmatch(pattern, f"{name}.weight")
            if found:
                groups = iter(found.group(f"g{i}") for i in range(1, len(found.groups()) + 1))
                source = re.sub(r"\([^()]*\)", lambda _: next(groups, ""), getattr(rule, "from")[0])
                yield source.replace("\\", ""), rule.op, part


def _difference(one, left, two, right) -> str:
    if isinstance(left, tuple) or isinstance(right, tuple):
        return (
            ""
            if isinstance(left, tuple) and left == right
            else f"{one.where(left)} and {two.where(right)}"
        )
    if left.op != right.op or len(left.inputs) != len(right.inputs):
        return f"{one.where(left)} and {two.where(right)}"
    for field in ("types", "reals", "names", "data"):
        x, y = getattr(left, field), getattr(right, field)
        if not (len(x) == len(y) and all(_close(i, j) for i, j in zip(x, y))):
            return f"{one.where(left)} and {two.where(right)}: {field} {list(x)} and {list(y)}"
    x, y = _ints(left), _ints(right)
    if x != y:
        return f"{one.where(left)} and {two.where(right)}: ints {x} and {y}"
    if bool(left.object) != bool(right.object):
        return f"{one.where(left)} and {two.where(right)}"
    return _objects(one, one.object(left), two, two.object(right)) if left.object else ""


def _ints(node) -> list[int]:
    """Axes from the first; of a view none: its sizes may be said in several ways, and the types
    have them."""
    if node.op == graph_pb2.OP_VIEW:
        return []
    ints = list(node.ints)
    if node.op in AXIS_FIRST and ints[0] < 0:
        kept = not (
            node.op == graph_pb2.OP_REDUCE and not ints[2]
        )  # else its type has one dimension less
        ints[0] += len(node.types[0].dims) + (not kept)
    return ints


def _objects(one, a, two, b) -> str:
    kind = a.WhichOneof("kind")
    if kind != b.WhichOneof("kind") or (
        kind in NAMED and one.held(a) != two.held(b) and not _nameless(a, b)
    ):
        return f"the objects {a.name} and {b.name}"
    x, y = getattr(a, kind), getattr(b, kind)
    for field in x.DESCRIPTOR.fields:
        if field.name in HINTS:
            continue
        i, j = getattr(x, field.name), getattr(y, field.name)
        if field.name == "kv_up" and i and j:
            i, j = (walk.graph.declarations[at - 1].name for walk, at in ((one, i), (two, j)))
        repeated = hasattr(i, "extend")
        if not (len(i) == len(j) and all(map(_close, i, j)) if repeated else _close(i, j)):
            i, j = (list(v) if repeated else v for v in (i, j))
            return f"{a.name}: {field.name} is {i} and {j}"
    return ""


def _nameless(a, b) -> bool:
    return a.norm.no_weight and b.norm.no_weight


def _close(x, y) -> bool:
    if isinstance(x, float) and isinstance(y, float):
        return math.isclose(x, y, rel_tol=RELATIVE, abs_tol=1e-12)
    return x == y
