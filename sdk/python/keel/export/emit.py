"""A graph as the message of core/graph/graph.proto: everything numbered, ready for a file."""

from . import graph as g
from .graph import Declaration, Function, Graph, Node, Rows, Type, Value
from .marks import by_layers
from .proto import graph_pb2

OPSET_OF_COMPARE, OPSET_OF_LIMITS = 2, 3
SINCE_2 = {"COMPARE", "LOGICAL", "BINARY", "TAKE", "SCATTER", "EXPAND"}
MARK_BEGIN, MARK_END = 0, 1


def emit(graph: Graph) -> graph_pb2.Graph:
    """The message, without provenance."""
    out = graph_pb2.Graph(plugin="transformers-export")
    _spec(graph.spec, out.spec)
    numbers: dict[Declaration, int] = {}
    for number, declaration in enumerate(graph.declarations(), 1):
        numbers[declaration] = number
    for declaration in numbers:
        _declaration(declaration, numbers, out.declarations.add())
    for function in graph.functions:
        _Functions(numbers, graph.spec["num_layers"]).emit(function, out.functions.add())
    out.opset = _opset(out)
    return out


def _spec(spec: dict, out) -> None:
    for field, value in spec.items():
        match field:
            case "tp_plan" | "ep_plan":
                for pattern, style in value:
                    getattr(out, field).add(pattern=pattern, style=style)
            case "pp_plan":
                for child, inputs, outputs in value:
                    out.pp_plan.add(child=child, inputs=inputs, outputs=outputs)
            case "renames":
                for rename in value:
                    given = {"from": rename["from"]} | {
                        k: v for k, v in rename.items() if k not in ("from", "op")
                    }
                    out.renames.add(op=out.Rename.Op.Value(rename["op"]), **given)
            case "inputs":
                for name in value:
                    out.inputs.add(graph="forward", name=name, dtype=graph_pb2.I64, dims=[-1])
            case _:
                setattr(out, field, value)


def _declaration(d: Declaration, numbers: dict[Declaration, int], out) -> None:
    out.name = d.name
    message = getattr(out, d.kind)
    message.SetInParent()
    if d.kind in ("param", "state"):
        _type(Type(d.fields.get("dtype", g.F32), tuple(d.fields["shape"])), message.type)
    for field, value in d.fields.items():
        if field in ("shape", "dtype", "layout"):
            continue
        if field == "kind" and isinstance(value, str):
            message.kind = message.Kind.Value(value)
        elif isinstance(value, list):
            getattr(message, field).extend(value)
        elif isinstance(value, Declaration):
            setattr(message, field, numbers[value])
        else:
            setattr(message, field, value)
    if d.tied_to is not None:
        out.tied_to = numbers[d.tied_to]


def _type(type: Type, out, symbol: str = "N") -> None:
    out.dtype = graph_pb2.DataType.Value(type.dtype)
    for dim in type.dims:
        if isinstance(dim, Rows):
            out.dims.add(symbol=symbol, size=dim.times if dim.times != 1 else 0)
        else:
            out.dims.add(size=dim)


class _Functions:
    def __init__(self, objects: dict[Declaration, int], num_layers: int):
        self.objects, self.num_layers = objects, num_layers

    def emit(self, function: Function, out) -> None:
        self.symbol = "N" if function.name == "forward" else "R"
        self.values: dict[Value, int] = {}
        out.name = function.name
        for value in function.inputs:
            given = out.inputs.add(name=value.name)
            _type(value.type, given.type, self.symbol)
            self.values[value] = len(self.values) + 1
        if function.name == "forward":
            for layer, nodes in by_layers(function, self.num_layers):
                self._mark(out, MARK_BEGIN, layer)
                for node in nodes:
                    self._node(node, out.nodes.add())
                self._mark(out, MARK_END, layer)
        else:
            for node in function.nodes():
                self._node(node, out.nodes.add())
        out.outputs.append(self.values[function.output])

    def _mark(self, out, kind: int, layer: int | None) -> None:
        if layer is not None:
            out.nodes.add(op=graph_pb2.OP_MARK, ints=[kind, layer])

    def _node(self, node: Node, out) -> None:
        out.op = graph_pb2.Op.Value(f"OP_{node.op}")
        out.object = 0 if node.object is None else self.objects[node.object]
        out.inputs.extend(0 if v is None else self.values[v] for v in node.inputs)
        for value in node.outputs:
            self.values[value] = len(self.values) + 1
            out.outputs.append(self.values[value])
            _type(value.type, out.types.add(), self.symbol)
        if node.op == "CAST":
            out.ints.append(graph_pb2.DataType.Value(node.names[0]))
        else:
            out.ints.extend(node.ints)
            out.names.extend(node.names)
        out.reals.extend(node.reals)
        if node.data is not None:
            out.data = node.data.numpy().tobytes()


def _opset(out: graph_pb2.Graph) -> int:
    """The first opset that has all that the graph uses."""
    for declaration in out.declarations:
        if declaration.moe.limit or declaration.moe.up_offset or declaration.attention.kv_up:
            return OPSET_OF_LIMITS
    if any(rename.op == rename.UNSTACK for rename in out.spec.renames):
        return OPSET_OF_LIMITS
    nodes = [node for function in out.functions for node in function.nodes]
    if any(node.op == graph_pb2.OP_RECUR and node.ints[0] > g.RECUR["SSD"] for node in nodes):
        return OPSET_OF_LIMITS
    since_2 = {graph_pb2.Op.Value(f"OP_{name}") for name in SINCE_2}
    return OPSET_OF_COMPARE if any(node.op in since_2 for node in nodes) else 1
