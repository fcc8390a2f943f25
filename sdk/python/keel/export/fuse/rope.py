"""Finds rotary embeddings by trying them.

Rope is written in many ways: halves or pairs, parts of a head, tables made here or there. So
nothing is matched. What feeds an attention's q or k is followed back to where positions come in.
That piece is a function of one value and the positions; if its matrix at several positions is a
rotation by position * frequency, it is a rope, and the frequencies can be read off.
"""

import dataclasses

import torch

from .. import graph as g
from ..graph import Builder, Declaration, Function, Node, Rows, Value, made
from ..interpret import Tensors, evaluate

# What a rope is made of; anything else ends the piece.
PARTS = {
    "ADD",
    "SUB",
    "MUL",
    "UNARY",
    "CAT",
    "NARROW",
    "VIEW",
    "PERMUTE",
    "CAST",
    "REPEAT",
    "AFFINE",
    "TAKE",
}
TABLE_PARTS = PARTS | {"MATMUL", "EXPAND", "CONSTANT", "DIV", "POW", "GATHER_ROWS", "PARAM"}
POSITIONS = (1, 7, 12)
LENGTH = 13
FAR = 1 << 20
TOLERANCE = 1e-4


@dataclasses.dataclass
class Piece:
    """From `x` to `result`, with `tables` of positions coming in between."""

    x: Value
    result: Value
    nodes: list[Node]


def with_ropes(function: Function, tensors: Tensors) -> Function:
    positions = function.inputs[1]
    tables = _of_positions(function)
    values = _table_values(tables, positions, tensors, 0)
    far = _table_values(tables, positions, tensors, _far(tables))
    found: dict[Value, tuple[Value, dict]] = {}
    tried: set[Value] = set()
    for node in function.nodes():
        if node.op != "ATTENTION":
            continue
        here = {}
        for result in _candidates(node, tables):
            if result not in tried:
                tried.add(result)
                piece = _piece(result, tables)
                fields = None if piece is None else recognise(piece, values, far, tensors)
                if fields is not None:
                    here[result] = (piece.x, fields)
        found |= _kept(here, node)
    if not found:
        return function
    constants = [
        n.data.flatten().tolist()
        for n in function.nodes()
        if n.op == "CONSTANT" and n.output.dtype == g.F32
    ]
    for _, fields in found.values():
        fields["inv_freq"] = _as_said(fields["inv_freq"], constants)
    declared: dict[tuple, Declaration] = {}
    new: dict[Value, Value] = {v: v for v in function.inputs}
    return _replaced(function, found, declared, new)


def _kept(
    here: dict[Value, tuple[Value, dict]], attention: Node
) -> dict[Value, tuple[Value, dict]]:
    """Those of q and k that may be told by a rope.

    One that takes pairs and gives halves is a rope of pairs but for the order of what it gives.
    Where q and k have the same order, their products are the same in any.
    """
    of_q, of_k = ({id(v) for n in made([side]) for v in n.outputs} for side in attention.inputs[:2])
    reordered = [r for r in here if here[r][1]["reordered"]]
    both = any(id(r) in of_q for r in reordered) and any(id(r) in of_k for r in reordered)
    alike = both and len(reordered) == len(here)
    out = {}
    for result, (x, fields) in here.items():
        fields = dict(fields)
        if not fields.pop("reordered") or alike:
            out[result] = (x, fields)
    return out


def _replaced(function, found, declared, new) -> Function:
    builder = Builder()
    for node in function.nodes():
        builder.layer = node.layer
        if node.output in found:
            x, fields = found[node.output]
            new[node.output] = _rope(builder, declared, new[x], function.inputs[1], fields)
        else:
            outputs = builder.again(node, tuple(v and new[v] for v in node.inputs))
            new.update(zip(node.outputs, outputs, strict=True))
    return Function(function.name, function.inputs, new[function.output])


def _rope(build: Builder, declared: dict, x: Value, positions: Value, fields: dict) -> Value:
    key = (*fields["inv_freq"], *(v for k, v in fields.items() if k != "inv_freq"))
    object = declared.setdefault(key, Declaration(f"rope.{len(declared) + 1}", "rope", fields))
    at = next(i for i, d in enumerate(x.dims) if isinstance(d, Rows))
    order = [at, *(i for i in range(len(x.dims)) if i != at)]
    value = build.permute(x, order)
    heads = build.view(value, (Rows(), 1, value.dims[-1])) if len(value.dims) == 2 else value
    turned = build.rope(object, heads, positions)
    return build.permute(
        build.view(turned, value.dims), [order.index(i) for i in range(len(order))]
    )


# ---- the piece


def _of_positions(function: Function) -> set[Value]:
    """Values that depend on positions and constants alone, and on positions at all."""
    tables, fixed = {function.inputs[1]}, set()
    for node in function.nodes():
        if node.op in TABLE_PARTS and all(v in tables or v in fixed for v in node.inputs):
            (tables if any(v in tables for v in node.inputs) else fixed).update(node.outputs)
    return tables


def _far(tables: set[Value]) -> int:
    """A position that no text of a test has, as far as the model's own tables go."""
    lookups = [v for v in tables if v.made_by("GATHER_ROWS") or v.made_by("TAKE")]
    rows = [v.node.inputs[0].dims[0] for v in lookups]
    return max(0, min([FAR, *(n - LENGTH for n in rows if isinstance(n, int))]))


def _table_values(
    tables: set[Value], positions: Value, tensors: Tensors, first: int
) -> dict[Value, torch.Tensor]:
    """What they are for tokens at the positions `first`, `first` + 1 ..."""
    wanted = [v for v in tables if v is not positions]
    known = {positions: torch.arange(first, first + LENGTH)}
    return known | dict(zip(wanted, evaluate(wanted, known, tensors)))


def _candidates(attention: Node, tables: set[Value]) -> list[Value]:
    """Values on the way from q or k back, the last before the attention first: parts of it may be
    joined later (MLA)."""
    out, stack = [], [v for v in attention.inputs[:2] if v is not None]
    while stack:
        value = stack.pop(0)
        node = value.node
        if node is None or value in tables or node.op not in PARTS:
            continue
        if _mixes(value, tables):
            out.append(value)
            stack.extend(node.inputs)
    return out


def _mixes(value: Value, tables: set[Value]) -> bool:
    """Whether positions come in on the way through PARTS."""
    stack, seen = [value], set()
    while stack:
        v = stack.pop()
        if v in tables:
            return True
        if v not in seen and v.node is not None and v.node.op in PARTS:
            seen.add(v)
            stack.extend(v.node.inputs)
    return False


def _piece(result: Value, tables: set[Value]) -> Piece | None:
    """From the last value that all of it comes from, tables and constants apart."""
    inside = [n for n in _inside(result, tables) if _mixes(n.output, tables)]
    if not inside:
        return None
    outputs = {v for n in inside for v in n.outputs}
    cut = {
        v
        for n in inside
        for v in n.inputs
        if v not in outputs and v not in tables and not _fixed(v)
    }
    ways = [_upwards(v) for v in cut]
    common = [v for v in ways[0] if all(v in way for way in ways)] if ways else []
    x = next(
        (v for v in common if v.type == result.type), None
    )  # before views and casts that are undone
    return None if x is None else Piece(x, result, inside)


def _inside(result: Value, tables: set[Value]) -> list[Node]:
    nodes, stack, seen = [], [result], set()
    while stack:
        v = stack.pop()
        if v in tables or v in seen or v.node is None or v.node.op not in PARTS:
            continue
        seen.add(v)
        nodes.append(v.node)
        stack.extend(v.node.inputs)
    return nodes


def _fixed(v: Value) -> bool:
    return all(n.op in TABLE_PARTS for n in made([v])) and not any(
        isinstance(d, Rows) for d in v.dims
    )


def _upwards(value: Value) -> list[Value]:
    """It and what it comes from through PARTS, nearest first."""
    out, stack = [], [value]
    while stack:
        v = stack.pop(0)
        if v not in out:
            out.append(v)
            if v.node is not None and v.node.op in PARTS:
                stack.extend(v.node.inputs)
    return out


# ---- trying


def recognise(piece: Piece, tables: dict[Value, torch.Tensor], far: dict[Value, torch.Tensor],
              tensors: Tensors) -> dict | None:  # fmt: skip
    """The fields of the rope that the piece is, or None. `far`: the tables of far positions."""
    x, size = piece.x, piece.x.dims[-1]
    if (
        isinstance(size, Rows)
        or piece.result.dims != x.dims
        or size % 2
        or x.dims.count(Rows()) != 1
    ):
        return None
    if any(isinstance(d, Rows) and d != Rows() for d in x.dims):
        return None
    shape = [LENGTH if isinstance(d, Rows) else d for d in x.dims]
    matrices = _matrices(piece, shape, x.dims.index(Rows()), size, tables, tensors)
    if matrices is None:
        return None
    pairs = torch.arange(size).view(2, -1).T.flatten()  # halves back to pairs
    for interleaved, reordered in ((False, False), (True, False), (True, True)):
        tried = {p: m[pairs] if reordered else m for p, m in matrices.items()}
        fields = _rotation(tried, size, interleaved)
        if fields is not None and _only_turns(
            piece, shape, pairs if reordered else None, fields, far, tensors
        ):
            in_f32 = x.dtype == g.MODEL and _turns_in_f32(piece, tables)
            return fields | {"fp32": in_f32, "reordered": reordered}
    return None


def _matrices(piece, shape, rows, size, tables, tensors) -> dict[int, torch.Tensor] | None:
    """By position the matrix that the piece multiplies a head with; None: it is not linear, or
    heads differ."""

    def f(value: torch.Tensor) -> torch.Tensor:
        return evaluate([piece.result], tables | {piece.x: value}, tensors)[0]

    try:
        if f(torch.zeros(shape)).abs().max() > 0:
            return None
        columns = {p: [] for p in POSITIONS}
        for j in range(size):
            unit = torch.zeros(shape)
            unit[..., j] = 1
            y = f(unit)
            for p in POSITIONS:
                heads = y.select(rows, p).reshape(-1, size)
                if (heads - heads[0]).abs().max() > TOLERANCE:
                    return None
                columns[p].append(heads[0])
        random = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        result = {p: torch.stack(c, 1).double() for p, c in columns.items()}
        for p, matrix in result.items():
            wanted = random.select(rows, p).double() @ matrix.T
            if (f(random).select(rows, p).double() - wanted).abs().max() > TOLERANCE * 10:
                return None
        return result
    except (RuntimeError, KeyError, IndexError):  # it needs more than x and the tables
        return None


def _only_turns(piece, shape, order, fields, far, tensors) -> bool:
    """Whether it does no more than turn far away as well: some models scale what is far."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    y = evaluate([piece.result], far | {piece.x: x}, tensors)[0]
    y = y if order is None else y[..., order]
    a, b = _halves(fields["rotary_size"], fields["interleaved"])
    wanted, got = (
        (t[..., a].square() + t[..., b].square()).sqrt()
        for t in (x * fields["attention_factor"], y)
    )
    rest = slice(fields["rotary_size"], None)
    return torch.allclose(got, wanted, rtol=1e-3, atol=1e-3) and torch.allclose(
        y[..., rest], x[..., rest], atol=1e-4
    )


def _halves(total: int, interleaved: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The first and the second element of each pair that is turned."""
    half = torch.arange(total // 2)
    return (2 * half, 2 * half + 1) if interleaved else (half, half + total // 2)


def _rotation(matrices: dict[int, torch.Tensor], size: int, interleaved: bool) -> dict | None:
    first = matrices[POSITIONS[0]]
    off = first - torch.diag(first.diagonal())
    touched = [
        i for i in range(size) if off[i].abs().sum() > 1e-12 or (first[i, i] - 1).abs() > 1e-12
    ]
    rotary = (max(touched) + 2) // 2 * 2 if touched else 0
    for total in dict.fromkeys([rotary, size]):
        if not total:
            continue
        a, b = _halves(total, interleaved)
        frequency = torch.atan2(first[b, a], first[a, a])
        factor = (first[a, a] ** 2 + first[b, a] ** 2).sqrt()
        if (
            (factor - factor[0]).abs().max() > TOLERANCE
            or frequency.min() < -1e-6
            or not frequency.any()
        ):
            continue
        if all(
            (_turned(size, a, b, frequency * p, factor) - m).abs().max() < TOLERANCE
            for p, m in matrices.items()
        ):
            return {
                "head_dim": size,
                "rotary_size": total,
                "interleaved": interleaved,
                "attention_factor": _rounded(factor.mean().item()),
                "inv_freq": _sharpened(matrices, a, b, frequency),
            }
    return None


def _turned(size, a, b, angle, factor) -> torch.Tensor:
    matrix = torch.eye(size, dtype=torch.double)
    cos, sin = factor * torch.cos(angle), factor * torch.sin(angle)
    matrix[a, a], matrix[b, b], matrix[a, b], matrix[b, a] = cos, cos, -sin, sin
    return matrix


def _rounded(factor: float) -> float:
    return 1.0 if abs(factor - 1) < 1e-6 else factor


def _sharpened(matrices, a, b, frequency) -> list[float]:
    """From far positions, where a small frequency shows better, as long as the turn is less than a
    round."""
    out = frequency.clone()
    for p, matrix in matrices.items():
        angle = torch.atan2(matrix[b, a], matrix[a, a])
        near = frequency * p < 3
        out = torch.where(near, angle / p, out)
    return [float(v) for v in out]


def _as_said(measured: list[float], constants: list[list[float]]) -> list[float]:
    """The numbers of the model's own table, where they are what was measured."""
    for said in constants:
        if len(said) == len(measured) and all(
            abs(a - b) <= 2e-6 * abs(b) for a, b in zip(measured, said)
        ):
            return said
    return measured


def _turns_in_f32(piece: Piece, tables: dict[Value, torch.Tensor]) -> bool:
    """Whether products of x and the tables are made in f32."""
    products = [n for n in piece.nodes if n.op == "MUL" and any(v in tables for v in n.inputs)]
    return bool(products) and all(n.output.dtype == g.F32 for n in products)
