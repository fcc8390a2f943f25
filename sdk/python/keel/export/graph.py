"""A model's graph while it is being made: values that know their type and what makes them.

The same graph as core/graph/graph.proto, with objects in place of numbers: a node holds the values
it takes, a value the node that makes it. What nothing needs is not reached from the output, so it
need not be removed; what is computed twice alike is made once (`Builder`). `emit.py` numbers all of
it.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch

MODEL, F32, F16, I64, I32, U8, BOOL = "MODEL", "F32", "F16", "I64", "I32", "U8", "BOOL"

# KEEL_ACT_*, KEEL_UNARY_* and their kin of sdk/abi/plugin.h.
ACTS = {"silu": 1, "gelu": 2, "gelu_tanh": 3, "relu": 4, "relu2": 5, "quick_gelu": 6}
UNARY = {
    "neg": 1, "exp": 2, "log": 3, "sqrt": 4, "rsqrt": 5, "tanh": 6, "sigmoid": 7, "softplus": 8,
    "sin": 9, "cos": 10, "abs": 11, "floor": 12, "expm1": 13, "erf": 14, "not": 15,
}  # fmt: skip
UNARY_ACT = 256
COMPARE = {"eq": 0, "ne": 1, "lt": 2, "le": 3, "gt": 4, "ge": 5}
LOGICAL = {"and": 0, "or": 1, "xor": 2}
BINARY = {"min": 0, "max": 1}
REDUCE = {"sum": 0, "mean": 1, "amax": 2}
RECUR = {
    "CAUSAL_CONV1D": 1,
    "SSD": 2,
    "SELECTIVE_SCAN": 3,
    "GATED_DELTA": 4,
    "LINEAR_ATTENTION": 5,
    "SCAN": 6,
}


class Refused(Exception):
    """The model, or a part of it, cannot be a graph; the text says which part and why."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """The size of a dimension that grows with the batch: `times` elements for each row."""

    times: int = 1

    def __str__(self) -> str:
        return "N" if self.times == 1 else f"{self.times}N"


Dim = int | Rows


@dataclasses.dataclass(frozen=True)
class Type:
    dtype: str
    dims: tuple[Dim, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.dims))}]"


class Value:
    """What a node gives, or an input of a function (then `node` is None)."""

    __slots__ = ("type", "node", "name")

    def __init__(self, type: Type, node: "Node | None" = None, name: str = ""):
        self.type, self.node, self.name = type, node, name

    @property
    def dims(self) -> tuple[Dim, ...]:
        return self.type.dims

    @property
    def dtype(self) -> str:
        return self.type.dtype

    def made_by(self, op: str) -> bool:
        return self.node is not None and self.node.op == op

    def __repr__(self) -> str:
        return f"{self.node.op if self.node else self.name} {self.type}"


@dataclasses.dataclass(eq=False)
class Declaration:
    """An object of the model; `fields` are those of its message in graph.proto.

    `tensors` says which tensors of the Python model it is made of ("weight", "bias" ... to names
    there).
    """

    name: str
    kind: str
    fields: dict
    tensors: dict[str, str] = dataclasses.field(default_factory=dict)
    tied_to: "Declaration | None" = None


@dataclasses.dataclass(eq=False)
class Node:
    op: str
    inputs: tuple[Value | None, ...]
    object: Declaration | None = None
    ints: tuple[int, ...] = ()
    reals: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    data: torch.Tensor | None = None
    layer: int | None = None
    outputs: tuple[Value, ...] = ()

    @property
    def output(self) -> Value:
        return self.outputs[0]


@dataclasses.dataclass(eq=False)
class Function:
    name: str
    inputs: list[Value]
    output: Value

    def nodes(self) -> list[Node]:
        return made([self.output])

    def rebuilt(
        self, rule: Callable[["Builder", Node, tuple], Value | Sequence[Value] | None]
    ) -> "Function":
        """The function with each node made anew, in order, as `rule` says; None: as it was, of the
        new inputs."""
        builder, new = Builder(), {v: v for v in self.inputs}
        for node in self.nodes():
            builder.layer = node.layer
            inputs = tuple(v and new[v] for v in node.inputs)
            outputs = rule(builder, node, inputs)
            if outputs is None:
                outputs = builder.again(node, inputs)
            elif isinstance(outputs, Value):
                outputs = [outputs]
            new.update(zip(node.outputs, outputs, strict=True))
        return Function(self.name, self.inputs, new[self.output])


@dataclasses.dataclass(eq=False)
class Graph:
    functions: list[Function]
    spec: dict = dataclasses.field(default_factory=dict)
    unused: list[Declaration] = dataclasses.field(default_factory=list)  # by functions; the host's

    def function(self, name: str) -> Function | None:
        return next((f for f in self.functions if f.name == name), None)

    def declarations(self) -> list[Declaration]:
        """Those that the functions use, in order of their use, those that others name included,
        before them; and behind the `unused`."""
        found: dict[Declaration, None] = dict.fromkeys(self.unused)
        for node in (node for function in self.functions for node in function.nodes()):
            if node.object is not None:
                if node.object.tied_to is not None:
                    found.setdefault(node.object.tied_to)
                if node.object.fields.get("kv_up") is not None:
                    found.setdefault(node.object.fields["kv_up"])
                found.setdefault(node.object)
        return list(found)


def made(values: Iterable[Value], known: Iterable[Value] = ()) -> list[Node]:
    """The nodes that `values` need, each behind those it takes from; nothing behind `known` is
    looked at."""
    stop, done, order = set(known), set(), []
    stack = [(v.node, False) for v in values if v.node is not None and v not in stop]
    while stack:
        node, ready = stack.pop()
        if node in done:
            continue
        if ready:
            done.add(node)
            order.append(node)
            continue
        stack.append((node, True))
        for v in reversed(node.inputs):
            if v is not None and v.node is not None and v not in stop and v.node not in done:
                stack.append((v.node, False))
    return order


def size_of(dims: Sequence[Dim]) -> tuple[int, int]:
    """The product of sizes, and the power of the number of rows in it."""
    return (
        math.prod(d.times if isinstance(d, Rows) else d for d in dims),
        sum(isinstance(d, Rows) for d in dims),
    )


def broadcast(*shapes: Sequence[Dim]) -> tuple[Dim, ...]:
    out: list[Dim] = []
    for i in range(max(map(len, shapes))):
        sizes = {s[len(s) - 1 - i] for s in shapes if i < len(s)} - {1}
        if len(sizes) > 1:
            raise Refused(f"shapes {' and '.join(map(str, shapes))} do not broadcast")
        out.insert(0, sizes.pop() if sizes else 1)
    return tuple(out)


class Builder:
    """Makes nodes and infers what they give. Methods are the ops of docs/ops.md."""

    def __init__(self):
        self.layer: int | None = None
        self._made: dict[tuple, tuple[Value, ...]] = {}

    def emit(self, op: str, inputs: Sequence[Value | None], *types: Type,
             object: Declaration | None = None, ints: Sequence[int] = (),
             reals: Sequence[float] = (), names: Sequence[str] = (),
             data: torch.Tensor | None = None) -> Sequence[Value]:  # fmt: skip
        key = (op, tuple(inputs), object, tuple(ints), tuple(map(float, reals)), tuple(names),
               types, None if data is None else (data.dtype, data.numpy().tobytes()))  # fmt: skip
        if key not in self._made:
            node = Node(op, tuple(inputs), object, tuple(map(int, ints)), tuple(map(float, reals)),
                        tuple(names), data, self.layer)  # fmt: skip
            node.outputs = tuple(Value(t, node) for t in types)
            self._made[key] = node.outputs
        return self._made[key]

    def _one(self, op: str, inputs: Sequence[Value | None], type: Type, **attributes) -> Value:
        return self.emit(op, inputs, type, **attributes)[0]

    def again(self, node: Node, inputs: Sequence[Value | None]) -> Sequence[Value]:
        """The same node of other inputs of the same types."""
        return self.emit(node.op, inputs, *(v.type for v in node.outputs), object=node.object,
                         ints=node.ints, reals=node.reals, names=node.names,
                         data=node.data)  # fmt: skip

    # ---- declared objects

    def linear(self, object: Declaration, x: Value) -> Value:
        return self._one(
            "LINEAR", [x], Type(x.dtype, (*x.dims[:-1], object.fields["out"])), object=object
        )

    def embed(self, object: Declaration, ids: Value) -> Value:
        return self._one(
            "EMBED", [ids], Type(MODEL, (*ids.dims, object.fields["size"])), object=object
        )

    def norm(self, object: Declaration, x: Value) -> Value:
        return self._one("NORM", [x], x.type, object=object)

    def rope(self, object: Declaration, x: Value, positions: Value) -> Value:
        return self._one("ROPE", [x, positions], x.type, object=object)

    def attention(self, object: Declaration, q: Value, k: Value | None, v: Value | None,
                  arguments: Mapping[str, Value]) -> Value:  # fmt: skip
        type = Type(MODEL, (*q.dims[:2], object.fields["v_dim"]))
        return self._one("ATTENTION", [q, k, v, *arguments.values()], type, object=object,
                         names=tuple(arguments), ints=range(len(arguments)))  # fmt: skip

    def moe(self, object: Declaration, x: Value, router_logits: Value) -> Value:
        return self._one("MOE", [x, router_logits], x.type, object=object)

    def moe_routed(self, object: Declaration, x: Value, ids: Value, weights: Value) -> Value:
        return self._one("MOE_ROUTED", [x, ids, weights], x.type, object=object)

    def recur(self, object: Declaration, kind: str, x: Value, out: Type,
              arguments: Mapping[str, Value | float]) -> Value:  # fmt: skip
        tensors = [v for v in arguments.values() if isinstance(v, Value)]
        numbers = [v for v in arguments.values() if not isinstance(v, Value)]
        places, at = [], 0
        for argument in arguments.values():
            places.append(at if isinstance(argument, Value) else -1)
            at += isinstance(argument, Value)
        return self._one("RECUR", [x, *tensors], out, object=object, ints=[RECUR[kind], *places],
                         reals=numbers, names=tuple(arguments))  # fmt: skip

    def param(self, object: Declaration) -> Value:
        return self._one(
            "PARAM", [], Type(object.fields["dtype"], tuple(object.fields["shape"])), object=object
        )

    def constant(self, data: torch.Tensor) -> Value:
        dtype = {
            torch.float32: F32,
            torch.int64: I64,
            torch.int32: I32,
            torch.bool: BOOL,
            torch.uint8: U8,
        }[data.dtype]
        return self._one(
            "CONSTANT", [], Type(dtype, tuple(data.shape)), data=data.detach().contiguous()
        )

    # ---- arithmetic

    def arithmetic(self, op: str, a: Value, b: Value) -> Value:
        """ADD, SUB, MUL or DIV."""
        return self._one(op, [a, b], Type(a.dtype, broadcast(a.dims, b.dims)))

    def affine(self, x: Value, mul: float, add: float) -> Value:
        return x if (mul, add) == (1, 0) else self._one("AFFINE", [x], x.type, reals=[mul, add])

    def clamp(self, x: Value, low: float, high: float) -> Value:
        return self._one("CLAMP", [x], x.type, reals=[low, high])

    def unary(self, name: str, x: Value) -> Value:
        return self._one("UNARY", [x], x.type, ints=[UNARY[name]])

    def act(self, name: str, x: Value) -> Value:
        return self._one("UNARY", [x], x.type, ints=[UNARY_ACT + ACTS[name]])

    def act_mul(self, act: int, gate: Value, up: Value) -> Value:
        return self._one("ACT_MUL", [gate, up], up.type, ints=[act])

    def matmul(self, a: Value, b: Value) -> Value:
        dims = (*broadcast(a.dims[:-2], b.dims[:-2]),) if len(a.dims) > 2 or len(b.dims) > 2 else ()
        return self._one("MATMUL", [a, b], Type(a.dtype, (*dims, a.dims[-2], b.dims[-1])))

    def softmax(self, x: Value, dim: int) -> Value:
        return self._one("SOFTMAX", [x], x.type, ints=[dim])

    def reduce(self, x: Value, dim: int, name: str) -> Value:
        dims = (*x.dims[:dim], *x.dims[dim + 1 :])
        return self._one("REDUCE", [x], Type(x.dtype, dims), ints=[dim, REDUCE[name], 0])

    def cumsum(self, x: Value, dim: int) -> Value:
        return self._one("CUMSUM", [x], x.type, ints=[dim])

    def topk(self, x: Value, k: int) -> Sequence[Value]:
        dims = (*x.dims[:-1], k)
        return self.emit("TOPK", [x], Type(x.dtype, dims), Type(I64, dims), ints=[k])

    def cast(self, x: Value, dtype: str) -> Value:
        return (
            x if x.dtype == dtype else self._one("CAST", [x], Type(dtype, x.dims), names=(dtype,))
        )

    def compare(self, name: str, a: Value, b: Value) -> Value:
        return self._one(
            "COMPARE", [a, b], Type(BOOL, broadcast(a.dims, b.dims)), ints=[COMPARE[name]]
        )

    def logical(self, name: str, a: Value, b: Value) -> Value:
        return self._one(
            "LOGICAL", [a, b], Type(BOOL, broadcast(a.dims, b.dims)), ints=[LOGICAL[name]]
        )

    def minmax(self, name: str, a: Value, b: Value) -> Value:
        return self._one(
            "BINARY", [a, b], Type(a.dtype, broadcast(a.dims, b.dims)), ints=[BINARY[name]]
        )

    # ---- shape

    def view(self, x: Value, dims: Sequence[Dim]) -> Value:
        dims = tuple(dims)
        if dims == x.dims:
            return x
        if size_of(dims) != size_of(x.dims):
            raise Refused(f"a view of {x.type} as {dims}")
        # As a model says it: rows that stay are 0, others are inferred.
        ints = [0 if isinstance(d, Rows) and x.dims[i : i + 1] == (d,) else -1 if isinstance(d,
                Rows) else d for i, d in enumerate(dims)]  # fmt: skip
        return self._one("VIEW", [x], Type(x.dtype, dims), ints=ints)

    def permute(self, x: Value, order: Sequence[int]) -> Value:
        order = tuple(order)
        if order == tuple(range(len(order))):
            return x
        return self._one("PERMUTE", [x], Type(x.dtype, tuple(x.dims[i] for i in order)), ints=order)

    def narrow(self, x: Value, dim: int, start: int, length: int) -> Value:
        if (start, length) == (0, x.dims[dim]):
            return x
        if isinstance(x.dims[dim], Rows):
            raise Refused("it takes some of the tokens by their number in the batch")
        dims = (*x.dims[:dim], length, *x.dims[dim + 1 :])
        return self._one("NARROW", [x], Type(x.dtype, dims), ints=[dim, start, length])

    def cat(self, xs: Sequence[Value], dim: int) -> Value:
        if len(xs) == 1:
            return xs[0]
        if any(isinstance(x.dims[dim], Rows) for x in xs):
            raise Refused("it joins values along the tokens of the batch")
        dims = (*xs[0].dims[:dim], sum(x.dims[dim] for x in xs), *xs[0].dims[dim + 1 :])
        return self._one("CAT", xs, Type(xs[0].dtype, dims), ints=[dim])

    def repeat(self, x: Value, dim: int, times: int) -> Value:
        """Each element `times` times in turn."""
        if times == 1:
            return x
        size = x.dims[dim]
        size = Rows(size.times * times) if isinstance(size, Rows) else size * times
        dims = (*x.dims[:dim], size, *x.dims[dim + 1 :])
        return self._one("REPEAT", [x], Type(x.dtype, dims), ints=[dim, times])

    def where(self, condition: Value, a: Value, b: Value) -> Value:
        type = Type(a.dtype, broadcast(condition.dims, a.dims, b.dims))
        return self._one("WHERE", [condition, a, b], type)

    def gather_rows(self, x: Value, indices: Value) -> Value:
        return self._one("GATHER_ROWS", [x, indices], Type(x.dtype, (*indices.dims, *x.dims[1:])))

    def take(self, x: Value, dim: int, indices: Value) -> Value:
        dims = broadcast((*x.dims[:dim], indices.dims[dim], *x.dims[dim + 1 :]), indices.dims)
        return self._one("TAKE", [x, indices], Type(x.dtype, dims), ints=[dim])

    def scatter(self, x: Value, dim: int, indices: Value, values: Value) -> Value:
        return self._one("SCATTER", [x, indices, values], x.type, ints=[dim])

    def expand(self, x: Value, like: Value) -> Value:
        return (
            x if x.dims == like.dims else self._one("EXPAND", [x, like], Type(x.dtype, like.dims))
        )
