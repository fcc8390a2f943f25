"""Finds latent attention by trying it (DeepSeek-V2, arXiv:2405.04434): KEEL_ATTENTION_MLA.

A model writes it as attention over keys and values of all heads, which a linear makes of a latent.
Kept in the cache are then those, many times what the latent and the rotated part of the keys take
that all heads share.
"""

import torch

from ..graph import Builder, Declaration, Function, Node, Rows, Value
from ..interpret import Tensors, evaluate

PARTS = {"VIEW", "PERMUTE", "NARROW", "CAT", "REPEAT", "EXPAND", "CAST"}
LENGTH = 5


def with_latents(function: Function, tensors: Tensors) -> Function:
    found = {}
    for node in function.nodes():
        if node.op == "ATTENTION":
            latent = recognise(node, tensors)
            if latent is not None:
                found[node] = latent
    if not found:
        return function
    new: dict[Value, Value] = {v: v for v in function.inputs}
    builder = Builder()
    for node in function.nodes():
        builder.layer = node.layer
        if node in found:
            object, latent, rotated = found[node]
            k, v = (builder.view(new[x], (Rows(), 1, x.dims[-1])) for x in (latent, rotated))
            new[node.output] = builder.attention(object, new[node.inputs[0]], k, v, {})
        else:
            new.update(
                zip(
                    node.outputs,
                    builder.again(node, tuple(v and new[v] for v in node.inputs)),
                    strict=True,
                )
            )
    result = Function(function.name, function.inputs, new[function.output])
    expanded = {n.object for n in result.nodes() if n.op == "LINEAR"}
    alone = not any(object.fields["kv_up"] in expanded for object, _, _ in found.values())
    return result if alone else function


def recognise(node: Node, tensors: Tensors) -> tuple[Declaration, Value, Value] | None:
    """The declaration with the linear that expands latents; the latent; the keys' part that all
    heads share. Or None."""
    q, k, v, *arguments = node.inputs
    f = node.object.fields
    if f["kind"] != "CAUSAL" or arguments or k is None or f["heads"] != f["kv_heads"]:
        return None
    if f["window"] or f["chunk"] or f["softcap"]:
        return None
    sources = _sources(v)
    if len(sources) != 1 or not sources[0].made_by("LINEAR"):
        return None
    expanded = sources[0]
    up, latent = expanded.node.object, expanded.node.inputs[0]
    nope = up.fields["out"] // f["heads"] - f["v_dim"]
    rope = f["qk_dim"] - nope
    if (
        nope <= 0
        or rope <= 0
        or up.fields["bias"]
        or {"layout", "transposed"} & {*up.fields, *up.tensors}
    ):
        return None
    both = _sources(k, rope)
    if latent.dims != (Rows(), up.fields["in"]) or len(both) != 2 or expanded not in both:
        return None
    rotated = both[1 - both.index(expanded)]
    if not _is_of_rows(rotated, rope):
        return None
    if not _is_latent(f, expanded, rotated, k, v, nope, tensors):
        return None
    fields = f | {
        "kind": "MLA",
        "kv_heads": 1,
        "kv_lora_rank": up.fields["in"],
        "rope_dim": rope,
        "kv_up": up,
    }
    return Declaration(node.object.name, "attention", fields), latent, rotated


def _sources(value: Value, size: int = 0) -> list[Value]:
    """What it is a rearrangement of; what has `size` elements of a row is not looked into."""
    out, stack = [], [value]
    while stack:
        v = stack.pop()
        if _is_of_rows(v, size):
            out += [v] if v not in out else []
        elif (
            v.node is not None
            and v.node.op in PARTS
            and not (v.made_by("CAST") and v.dtype != v.node.inputs[0].dtype)
        ):
            stack.extend(v.node.inputs[:1] if v.node.op == "EXPAND" else v.node.inputs)
        elif v not in out:
            out.append(v)
    return out


def _is_of_rows(value: Value, size: int) -> bool:
    return value.dims[-1:] == (size,) and [d for d in value.dims[:-1] if d != 1] == [Rows()]


def _is_latent(
    f: dict, expanded: Value, rotated: Value, k: Value, v: Value, nope: int, tensors: Tensors
) -> bool:
    """Whether a head's key is the first part of what the latent is expanded to and the part that
    all share, its value the rest."""
    random = torch.Generator().manual_seed(0)
    wide = torch.randn(LENGTH, expanded.dims[-1], generator=random)
    shared = torch.randn(
        [LENGTH if isinstance(d, Rows) else d for d in rotated.dims], generator=random
    )
    try:
        got_k, got_v = evaluate([k, v], {expanded: wide, rotated: shared}, tensors)
    except (RuntimeError, KeyError, IndexError):  # it needs more than these
        return False
    heads = wide.view(LENGTH, f["heads"], -1)
    keys = torch.cat([heads[..., :nope], shared.view(LENGTH, 1, -1).expand(-1, f["heads"], -1)], -1)
    return torch.equal(got_k, keys) and torch.equal(got_v, heads[..., nope:])
