"""What a graph computes, with torch: the meaning of each op on the CPU. MODEL is f32 here.

For parts of a graph too: `evaluate` starts from whatever values are known.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from . import graph as g
from .graph import Declaration, Function, Node, Refused, Value, made
from .hooks import own_recurrences, recurrences
from .hooks.activations import FUNCTIONS
from .hooks.attention import attention, visible
from .hooks.experts import experts
from .hooks.norms import norm
from .ops.distances import OF_ALL, OF_KEYS, OF_QUERIES, distances

DTYPES = {g.MODEL: torch.float32, g.F32: torch.float32, g.F16: torch.float16, g.I64: torch.int64,
          g.I32: torch.int32, g.BOOL: torch.bool, g.U8: torch.uint8}  # fmt: skip
ACTS = {number: FUNCTIONS[name] for name, number in g.ACTS.items()}
UNARY = {number: F.softplus if name == "softplus" else torch.logical_not if name == "not"
         else getattr(torch, name) for name, number in g.UNARY.items()}  # fmt: skip
COMPARE = [torch.eq, torch.ne, torch.lt, torch.le, torch.gt, torch.ge]
LOGICAL = [torch.logical_and, torch.logical_or, torch.logical_xor]
MINMAX = [torch.minimum, torch.maximum]
REDUCE = [torch.sum, torch.mean, torch.amax]
BIASES = {OF_ALL, OF_QUERIES, OF_KEYS}
ARITHMETIC = {"ADD": torch.add, "SUB": torch.sub, "MUL": torch.mul, "DIV": torch.div}

Tensors = Mapping[str, torch.Tensor]  # of the Python model, by their names there


def run(function: Function, inputs: Sequence[torch.Tensor], tensors: Tensors) -> torch.Tensor:
    return evaluate([function.output], dict(zip(function.inputs, inputs, strict=True)), tensors)[0]


def evaluate(
    wanted: Sequence[Value], known: Mapping[Value, torch.Tensor], tensors: Tensors
) -> list[torch.Tensor]:
    values = dict(known)
    with torch.no_grad():
        for node in made(wanted, known):
            results = _compute(
                node, [None if v is None else values[v] for v in node.inputs], tensors
            )
            values.update(
                zip(node.outputs, results if len(node.outputs) > 1 else [results], strict=True)
            )
    return [values[v] for v in wanted]


def _compute(node: Node, x: list[torch.Tensor], tensors: Tensors):
    i, r = node.ints, node.reals
    match node.op:
        case (
            "LINEAR"
            | "EMBED"
            | "NORM"
            | "ROPE"
            | "ATTENTION"
            | "MOE"
            | "MOE_ROUTED"
            | "RECUR"
            | "PARAM"
        ):
            return OBJECTS[node.op](node, node.object, x, tensors)
        case "ADD" | "SUB" | "MUL" | "DIV":
            whole = node.op == "DIV" and not x[0].is_floating_point()
            return torch.div(*x, rounding_mode="trunc") if whole else ARITHMETIC[node.op](*x)
        case "AFFINE":
            return (x[0] * r[0] + r[1]).to(x[0].dtype)
        case "CLAMP":
            return x[0].clamp(*r).to(x[0].dtype)
        case "UNARY":
            return ACTS[i[0] - g.UNARY_ACT](x[0]) if i[0] >= g.UNARY_ACT else UNARY[i[0]](x[0])
        case "ACT_MUL":
            return ACTS[i[0]](x[0]) * x[1]
        case "MATMUL":
            return x[0] @ x[1]
        case "SOFTMAX":
            return torch.softmax(x[0].float(), i[0])
        case "REDUCE":
            return REDUCE[i[1]](x[0], i[0], bool(i[2]))
        case "CUMSUM":
            return torch.cumsum(x[0], i[0]).to(x[0].dtype)
        case "TOPK":
            return torch.topk(x[0], i[0], -1)
        case "CAST":
            return x[0].to(DTYPES[node.names[0]])
        case "VIEW":
            return x[0].reshape(
                [x[0].shape[at] if size == 0 else size for at, size in enumerate(i)]
            )
        case "PERMUTE":
            return x[0].permute(i)
        case "NARROW":
            return x[0].narrow(*i)
        case "CAT":
            return torch.cat(x, i[0])
        case "REPEAT":
            return x[0].repeat_interleave(i[1], i[0])
        case "WHERE":
            return torch.where(*x)
        case "GATHER_ROWS":
            return x[0][x[1].clamp(0, x[0].shape[0] - 1)]
        case "TAKE":
            dims = [
                max(a, b) if d != i[0] else None
                for d, (a, b) in enumerate(zip(x[0].shape, x[1].shape))
            ]
            source, index = (
                t.expand([n if n is not None else t.shape[d] for d, n in enumerate(dims)])
                for t in x
            )
            return torch.gather(source, i[0], index)
        case "SCATTER":
            return x[0].scatter(i[0], x[1], x[2])
        case "EXPAND":
            return x[0].expand(x[1].shape)
        case "CONSTANT":
            return node.data
        case "COMPARE":
            return COMPARE[i[0]](*x)
        case "LOGICAL":
            return LOGICAL[i[0]](*x)
        case "BINARY":
            return MINMAX[i[0]](*x)
    raise Refused(f"op {node.op} has no meaning here")


# ---- declared objects


def _tensor(d: Declaration, tensors: Tensors, key: str) -> torch.Tensor | None:
    name = d.tensors.get(key)
    return tensors[name].float() if name else None


def _linear(node, d, x, tensors):
    weight, bias = _tensor(d, tensors, "weight"), _tensor(d, tensors, "bias")
    weight = weight.T if "transposed" in d.tensors else weight
    if "layout" in d.fields:  # rows of what the model keeps in one matrix
        rows = _rows(d.fields["out"], **d.fields["layout"])
        weight, bias = weight[rows], None if bias is None else bias[rows]
    return F.linear(x[0].float(), weight, bias)


def _rows(count: int, start: int, length: int = 0, period: int = 0) -> torch.Tensor:
    """`count` from `start` on; or of each `period` those from there on that are `length`."""
    i = torch.arange(count)
    return i + start if not period else i // length * period + i % length + start


def _embed(node, d, x, tensors):
    return F.embedding(x[0].clamp(0, d.fields["rows"] - 1), _tensor(d, tensors, "weight"))


def _norm(node, d, x, tensors):
    f = d.fields
    return norm(x[0], _tensor(d, tensors, "weight"), _tensor(d, tensors, "bias"), f["eps"],
                f["kind"] == "LAYER", f["weight_offset"], f["cast_last"])  # fmt: skip


def _rope(node, d, x, tensors):
    f = d.fields
    angles = x[1].double()[:, None] * torch.tensor(f["inv_freq"], dtype=torch.double)
    cos, sin = ((t * f["attention_factor"]).float()[:, None] for t in (angles.cos(), angles.sin()))
    turned, rest = x[0][..., : f["rotary_size"]], x[0][..., f["rotary_size"] :]
    a, b = (turned[..., ::2], turned[..., 1::2]) if f["interleaved"] else turned.chunk(2, -1)
    parts = (a * cos - b * sin, b * cos + a * sin)
    turned = torch.stack(parts, -1).flatten(-2) if f["interleaved"] else torch.cat(parts, -1)
    return torch.cat([turned, rest], -1)


def _attention(node, d, x, tensors):
    f = d.fields
    x = _expanded(f, x, tensors) if f["kind"] == "MLA" else x
    q, k, v = (t.transpose(0, 1)[None].float() for t in x[:3])
    arguments = dict(zip(node.names, x[3:]))
    if {"alibi_slopes", *BIASES} & set(arguments):
        return _with_bias(q, k, v, arguments, f)
    return attention(q, k, v, None, arguments.get("sinks"), f["layer"], "", f["scale"],
                     f["softcap"], f["kind"] in ("CAUSAL", "MLA"), f["window"],
                     f["chunk"])[0]  # fmt: skip


def _expanded(f, x, tensors):
    """Keys and values of all heads, of the latents and what all share."""
    q, latent, shared = x
    wide = F.linear(latent.float(), _tensor(f["kv_up"], tensors, "weight")).view(
        len(q), f["heads"], -1
    )
    nope = f["qk_dim"] - f["rope_dim"]
    return q, torch.cat([wide[..., :nope], shared.expand(-1, f["heads"], -1)], -1), wide[..., nope:]


def _with_bias(q, k, v, arguments, f):
    """slope * (the key's position - the query's), and biases of distances, are added to the
    scores."""
    groups, length = q.shape[1] // k.shape[1], q.shape[2]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    far = distances(length)
    scores = (q @ k.transpose(-1, -2) * f["scale"])[0]
    if "alibi_slopes" in arguments:
        scores = scores + arguments["alibi_slopes"][:, None, None] * far
    for name in BIASES & set(arguments):
        bias = arguments[name].float()
        most = bias.shape[-1] // 2
        columns = far.clamp(-most, most) + most
        if name == OF_ALL:
            scores = scores + bias[:, columns]
        elif name == OF_QUERIES:
            scores = scores + bias.transpose(0, 1).gather(2, columns.expand(scores.shape))
        else:
            of_keys = bias.transpose(0, 1).gather(2, columns.T.expand(scores.shape))
            scores = scores + of_keys.transpose(1, 2)
    scores = scores.masked_fill(
        ~visible(length, f["kind"] == "CAUSAL", f["window"], f["chunk"]), float("-inf")
    )
    return (torch.softmax(scores, -1) @ v[0]).transpose(0, 1)


def _experts(d, x, ids, weights, tensors):
    f = d.fields
    act = next(name for name, number in g.ACTS.items() if number == f["act"])
    return experts(x, ids, weights,
                   *(_tensor(d, tensors, key) for key in ("gate_up", "down", "gate_up_bias",
                   "down_bias")), act, f["limit"], f["up_offset"], **f["layout"])  # fmt: skip


def _moe_routed(node, d, x, tensors):
    return _experts(d, *x, tensors)


def _moe(node, d, x, tensors):
    ids, weights = route(d.fields, x[1], _tensor(d, tensors, "score_bias"))
    return _experts(d, x[0], ids, weights, tensors)


def route(
    f: Mapping, logits: torch.Tensor, bias: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """KEEL_MOE_* of logits [N, experts]: the chosen experts and their weights [N, k]."""
    logits, k, scoring = logits.float(), f["top_k"], f.get("scoring", 0)
    if scoring == 2:
        top, ids = logits.topk(k, -1)
        return ids, torch.softmax(top, -1) * f["routed_scale"]
    scores = logits.softmax(-1) if scoring == 0 else logits.sigmoid()
    choice = scores if bias is None else scores + bias
    if f.get("groups"):
        grouped = choice.view(len(choice), f["groups"], -1)
        best = grouped.topk(2, -1)[0].sum(-1) if scoring == 1 else grouped.amax(-1)
        chosen = torch.zeros_like(best).scatter(1, best.topk(f["top_groups"], -1)[1], 1).bool()
        choice = choice.masked_fill(~chosen.repeat_interleave(grouped.shape[-1], -1), float("-inf"))
    ids = choice.topk(k, -1)[1]
    weights = scores.gather(1, ids)
    if f.get("norm_topk"):
        weights = weights / (weights.sum(-1, keepdim=True) + (1e-20 if scoring == 1 else 0))
    return ids, weights * f["routed_scale"]


def _recur(node, d, x, tensors):
    kind = next(name for name, number in g.RECUR.items() if number == node.ints[0])
    first, tensors, numbers = x[0], iter(x[1:]), iter(node.reals)
    a = {
        n: next(tensors) if at >= 0 else next(numbers)
        for n, at in zip(node.names, node.ints[1:], strict=True)
    }
    match kind:
        case "CAUSAL_CONV1D":
            return recurrences.conv1d(first.T[None], a["weight"], a.get("bias"), False)[0].T
        case "SSD":
            return recurrences.ssd(first[None], a["dt"][None], a["A"], a["B"][None], a["C"][None],
                                   a.get("D"), a.get("dt_bias"), a.get("dt_min", 0.0),
                                   a.get("dt_max", float("inf")))[0]  # fmt: skip
        case "SELECTIVE_SCAN":
            return recurrences.scan(first.T[None], a["dt"].T[None], a["A"], a["B"].T[None],
                                    a["C"].T[None], a.get("D"), a.get("dt_bias"))[0].T  # fmt: skip
        case "GATED_DELTA":
            return recurrences.delta(
                *(t[None] for t in (first, a["k"], a["v"], a["g"], a["beta"])), 1.0, False
            )[0]
        case "LINEAR_ATTENTION":
            return own_recurrences.linear_attention(
                *(t[None] for t in (first, a["k"], a["v"], a["g"]))
            )[0]
        case "SCAN":
            return own_recurrences.linear_scan(first[None], a["a"][None])[0]
    raise Refused(f"the recurrence {kind} has no meaning here")


def _param(node, d, x, tensors):
    tensor = tensors[d.tensors[""]]
    return tensor.float() if tensor.is_floating_point() else tensor


OBJECTS = {"LINEAR": _linear, "EMBED": _embed, "NORM": _norm, "ROPE": _rope,
           "ATTENTION": _attention, "MOE": _moe, "MOE_ROUTED": _moe_routed, "RECUR": _recur,
           "PARAM": _param}  # fmt: skip
