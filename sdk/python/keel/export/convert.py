"""From an ExportedProgram to a graph: what each ATen op is in Keel's.

The batch of one disappears: a value here has the shape it has there without the dimensions of size
1, and views put ones back where broadcasting or an op needs them. So hidden states are [N, H],
heads [N, heads, D] or [heads, N, D].

The ops themselves are in `ops/`, functions by the name of the ATen op; what one gives is held
against the shape and type that torch says it has.
"""

import contextlib
import operator
from collections.abc import Iterator, Sequence

import torch
from torch.fx import Node as FxNode

from . import graph as g
from .graph import Builder, Declaration, Dim, Refused, Rows, Value
from .layers import Numbering
from .ops import TABLE, complex_numbers, own_attention
from .ops.trial import SHAPES

DTYPES = {
    torch.bfloat16: g.MODEL,
    torch.float32: g.F32,
    torch.float64: g.F32,
    torch.int64: g.I64,
    torch.int32: g.I32,
    torch.bool: g.BOOL,
    torch.uint8: g.U8,
    torch.complex64: g.F32,  # of each part
}


def convert(
    program: torch.export.ExportedProgram, model: torch.nn.Module, layers: Numbering
) -> g.Function:
    """The function ids [N], positions [N] -> logits [N, vocabulary]."""
    return Converter(program, model, layers).run()


class Converter:
    """What the functions in `ops/` work with."""

    table = TABLE

    def __init__(
        self, program: torch.export.ExportedProgram, model: torch.nn.Module, layers: Numbering
    ):
        self.build = Builder()
        self.program, self.model, self.layers = program, model, layers
        self.positions: Value | None = None
        self._values: dict[FxNode, object] = {}
        self._said: dict[FxNode, bool] = {}
        self._known: dict[FxNode, torch.Tensor] = {}  # numbers that depend on no input
        self._declared: dict[tuple[str, str], Declaration] = {}
        self._sizes: dict[
            object, int
        ] = {}  # numbers of what an op finds, where what it looks at is known
        signature = program.graph_signature
        self._parameters = dict(signature.inputs_to_parameters)
        self._buffers = {
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        named, tied = (
            list(model.named_parameters(remove_duplicate=False)),
            getattr(model, "all_tied_weights_keys", {}),
        )
        # Of several names of a weight the one that a checkpoint has: none that is tied to another,
        # and the first.
        first = {
            id(p): name for name, p in sorted(reversed(named), key=lambda item: item[0] not in tied)
        }
        self._same = {name: first[id(p)] for name, p in named}
        self._kept = {f"model.{name}" for name in model.state_dict()}

    # ---- what a node of the program is

    def shape(self, node: FxNode) -> list[Dim]:
        """With its ones."""
        return [self._dim(size) for size in node.meta["val"].shape]

    def dtype(self, node: FxNode) -> str:
        dtype = node.meta["val"].dtype
        if dtype not in DTYPES:
            raise Refused(f"a value of type {dtype}")
        return DTYPES[dtype]

    def is_short(self, node: FxNode) -> bool:
        """Whether a dimension of it is the number of tokens less some."""
        sizes = [
            size.node.expr for size in node.meta["val"].shape if isinstance(size, torch.SymInt)
        ]
        return any(
            e.is_Add and e.as_coeff_Add()[0] < 0 and e.as_coeff_Add()[1].is_Symbol for e in sizes
        )

    def kept(self, shape: Sequence[Dim]) -> list[Dim]:
        return [d for d in shape if d != 1]

    def axis(self, node: FxNode, dim: int) -> int | None:
        """Where dimension `dim` of the node is without the ones; None: it is one of them."""
        shape = self.shape(node)
        dim %= len(shape)
        return None if shape[dim] == 1 else len(self.kept(shape[:dim]))

    def is_tensor(self, x: object) -> bool:
        return isinstance(x, FxNode) and isinstance(x.meta.get("val"), torch.Tensor)

    def parameter(self, node: FxNode) -> str | None:
        """The name of the parameter, or of the buffer that a checkpoint holds, behind casts; None:
        it is none."""
        while node.op == "call_function" and _name(node) in (
            "to",
            "_to_copy",
            "type_as",
            "float",
            "detach",
            "alias",
        ):
            node = node.args[0]
        if node.op != "placeholder":
            return None
        name = self._parameters.get(node.name) or self._buffers.get(node.name)
        if name not in self._kept:
            return None
        name = name.removeprefix("model.")
        return self._same.get(name, name)  # of a tied one the first

    def buffer(self, node: FxNode) -> torch.Tensor | None:
        """What a placeholder holds that is no parameter and in no checkpoint."""
        name = self._buffers.get(node.name) if node.op == "placeholder" else None
        if name is None or name in self._kept:
            return None
        held = self.program.state_dict.get(name)
        return self.program.constants[name] if held is None else held

    def module(self, node: FxNode) -> str:
        """The innermost module that the node comes from."""
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        return stack[-1][0].removeprefix("L['self'].").removeprefix("model.") if stack else ""

    def is_said(self, node: FxNode) -> bool:
        """Whether it is learned, or depends on what the tokens are, not on their number alone."""
        if not self._said:
            for n in self.program.graph.nodes:
                if n.op == "placeholder":
                    self._said[n] = self.buffer(n) is None and "position" not in n.name
                else:
                    of_shape = n.target in SHAPES or _is_size(n)
                    self._said[n] = not of_shape and any(self._said[i] for i in n.all_input_nodes)
        return self._said[node]

    def learn(self, size: int | torch.SymInt, number: int) -> None:
        """What a size is that depends on data, which is known."""
        if isinstance(size, torch.SymInt):
            self._sizes[size.node.expr] = number

    # ---- values

    def value(self, x: FxNode) -> Value:
        """Its Keel value, whose shape is that of x without ones."""
        if x not in self._values:
            self._values[x] = self._placeholder(x)
        value = self.raw(x)
        if isinstance(value, torch.Tensor):
            value = self._values[x] = self.constant(value, self.dtype(x))
        if not isinstance(value, Value):
            raise Refused(f"{x} is no tensor")
        return value

    def raw(self, x: FxNode) -> object:
        """What an op has given: a value, several, or what only other ops of its file understand."""
        value = self._values.get(x)
        if isinstance(value, Refused):
            raise value
        return value

    def is_a(self, x: FxNode, kind: type) -> bool:
        """Whether `raw` gives one."""
        return isinstance(self._values.get(x), kind)

    def values(self, x: FxNode) -> Sequence[Value]:
        return self.raw(x)

    @contextlib.contextmanager
    def standing_for(self, x: FxNode, value: Value) -> Iterator[None]:
        """Inside, x is `value`."""
        whole = self._values[x]
        self._values[x] = value
        try:
            yield
        finally:
            self._values[x] = whole

    def as_dtype(self, x: FxNode, dtype: str) -> Value:
        return self.build.cast(self.value(x), dtype)

    def with_ones(self, x: FxNode, rank: int, dtype: str | None = None) -> Value:
        """Viewed with its ones, for broadcasting against others of `rank`."""
        value = self.value(x) if dtype is None else self.as_dtype(x, dtype)
        shape = [1] * (rank - len(self.shape(x))) + self.shape(x)
        while shape and shape[0] == 1:
            shape.pop(0)
        return self.build.view(value, shape)

    def without_ones(self, value: Value, node: FxNode) -> Value:
        return self.build.view(value, self.kept(self.shape(node)))

    def without_ones_of(self, value: Value, like: torch.Tensor) -> Value:
        return self.build.view(value, self.kept([self._dim(size) for size in like.shape]))

    def laid(self, x: FxNode, order: Sequence[int]) -> Value:
        """Its dimensions in this order, all of them, ones included."""
        shape = self.shape(x)
        kept = [d for d in order if shape[d] != 1]
        value = self.build.permute(self.value(x), [sorted(kept).index(d) for d in kept])
        return self.build.view(value, [shape[d] for d in order])

    def constant(self, data: torch.Tensor, dtype: str | None = None) -> Value:
        """Data without its ones; of type MODEL by a cast."""
        data = data.detach().reshape([d for d in data.shape if d != 1]).cpu()
        kind = dtype or DTYPES.get(data.dtype)
        data = data.float() if data.is_floating_point() else data
        return self.build.cast(self.build.constant(data), kind)

    def number(self, x: float, dtype: str) -> Value:
        kind = {g.I64: torch.int64, g.I32: torch.int32, g.BOOL: torch.bool}.get(
            dtype, torch.float32
        )
        return self.constant(torch.tensor(x, dtype=kind), dtype)

    def filled(self, number: float, node: FxNode) -> Value:
        """The shape and type of `node`, each element `number`."""
        dims, dtype = self.kept(self.shape(node)), self.dtype(node)
        if not any(isinstance(d, Rows) for d in dims):
            return self.constant(torch.full(dims, number, dtype=node.meta["val"].dtype), dtype)
        if sum(isinstance(d, Rows) for d in dims) > 1 or Rows() not in dims:
            raise Refused(f"a value of {number} for pairs of tokens")
        kind = dtype if dtype != g.BOOL else g.I64
        rows = self.build.view(self.positions, [d if isinstance(d, Rows) else 1 for d in dims])
        rows = self.build.affine(self.build.cast(rows, kind), 0.0, float(number))
        rest = torch.zeros([1 if isinstance(d, Rows) else d for d in dims], dtype=torch.int64)
        out = rows
        if rest.numel() > 1:
            zeros = self.build.cast(self.build.constant(rest), kind)
            out = self.build.arithmetic("ADD", rows, zeros)
        return self.build.cast(self.build.view(out, dims), dtype)

    def declare(self, kind: str, name: str, fields: dict, **more) -> Declaration:
        """The object of that kind and name; the same for the same."""
        return self._declared.setdefault((kind, name), Declaration(name, kind, fields, **more))

    def declared(self) -> list[tuple[str, str]]:
        """(kind, name) of what has been declared."""
        return list(self._declared)

    def param(self, name: str) -> Value:
        """A tensor of the checkpoint as a value, without its ones."""
        parameters = dict(self.model.named_parameters(remove_duplicate=False))
        tensor = parameters[name] if name in parameters else self.model.get_buffer(name)
        dtype = DTYPES[tensor.dtype]
        shape = list(tensor.shape)
        object = self.declare("param", name, {"dtype": dtype, "shape": shape}, tensors={"": name})
        return self.build.view(self.build.param(object), self.kept(shape))

    # ---- the walk

    def run(self) -> g.Function:
        nodes = self.program.graph.nodes
        outputs = next(n for n in nodes if n.op == "output").args[0]
        live, inputs = _needed(outputs), []
        for node in nodes:
            if (
                node.op == "placeholder"
                and node.name not in self._parameters
                and node.name not in self._buffers
            ):
                value = Value(
                    g.Type(self.dtype(node), tuple(self.kept(self.shape(node)))), name=node.name
                )
                self._values[node] = value
                inputs.append(value)
        self.positions = inputs[1]
        for node in nodes:
            if node.op == "call_function" and node in live and not _is_size(node):
                self.build.layer = self.layers.of(node)
                try:
                    self._values[node] = self._checked(node, self._convert(node))
                except (
                    Refused
                ) as refusal:  # it counts where something needs the node that has to be converted
                    self._values[node] = refusal
        return g.Function("forward", inputs, self.value(outputs[0]))

    def _convert(self, node: FxNode) -> object:
        if node.target is operator.getitem:
            return self.values(node.args[0])[node.args[1]]
        known = self._computed(node)
        if known is not None:
            return known
        operands = [self._values.get(x) for x in node.args if isinstance(x, FxNode)]
        if operands and isinstance(operands[0], own_attention.Weights):
            function = own_attention.follow
        elif any(isinstance(x, complex_numbers.Complex) for x in operands):
            function = complex_numbers.follow
        else:
            function = TABLE.get(_name(node))
        if function is None:
            raise Refused(
                f"{self.module(node) or 'the model'} uses {node.target}, which no op of Keel's "
                "computes"
            )
        try:
            return function(self, node, *node.args, **node.kwargs)
        except Refused as refusal:
            if any(refusal is self._values.get(x) for x in node.all_input_nodes):
                raise  # of what it takes, where it is said already
            raise Refused(
                f"{self.module(node) or 'the model'} ({node.target}): {refusal}"
            ) from refusal

    def _computed(self, node: FxNode) -> torch.Tensor | None:
        """What a node gives that depends on constants alone: a number now, whatever op it is.

        But for those of the model's type, whose rounding is not that of the trace.
        """
        name = _name(node)
        if (
            "empty" in name
            or name.startswith("keel_")
            or not self.is_tensor(node)
            or self.dtype(node) == g.MODEL
        ):
            return None
        for x in node.all_input_nodes:
            if x not in self._known:
                held = self.buffer(x)
                if held is None:
                    return None
                self._known[x] = held
        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), self._known.__getitem__)
        with torch.no_grad():
            self._known[node] = node.target(*args, **kwargs)
        return self._known[node]

    def _checked(self, node: FxNode, value: object) -> object:
        if isinstance(value, Value) and self.is_tensor(node):
            said = g.Type(self.dtype(node), tuple(self.kept(self.shape(node))))
            if value.type != said:
                raise Refused(
                    f"{node.target} gives {said}, its conversion {value.type}: a defect of the "
                    "exporter"
                )
        return value

    def _placeholder(self, node: FxNode) -> Value:
        name = self.parameter(node)
        if name is not None:
            return self.param(name)
        held = self.buffer(node)
        if held is None:
            raise Refused(f"{node} has no value")
        return self.constant(held, self.dtype(node))

    def _dim(self, size) -> Dim:
        if isinstance(size, int):
            return size
        expression = size.node.expr.subs(self._sizes)
        if expression.is_Integer:
            return int(expression)
        coefficient, rest = expression.as_coeff_Mul()
        if rest.is_Symbol and coefficient.is_Integer:
            return Rows(int(coefficient))
        raise Refused(f"a size of {expression} with N tokens, expected a multiple of N")


def _name(node: FxNode) -> str:
    """aten.add.Tensor -> add, keel.norm.default -> keel_norm."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        return getattr(node.target, "__name__", str(node.target))
    library, _, name = schema.name.partition("::")
    return f"keel_{name}" if library == "keel" else name


def _needed(outputs) -> set[FxNode]:
    live, stack = set(), list(outputs)
    while stack:
        node = stack.pop()
        if node not in live:
            live.add(node)
            stack.extend(node.all_input_nodes)
    return live


def _is_size(node: FxNode) -> bool:
    """Numbers that only sizes are made of."""
    value = node.meta.get("val")
    return value is None or isinstance(
        value, (torch.SymInt, torch.SymBool, torch.SymFloat, int, bool, float)
    )
