"""Splits a function of ids into what Keel's engine calls: embeddings, forward, logits."""

import dataclasses
import math

import torch

from . import graph as g
from .backbone import TOKEN_TYPES
from .graph import Builder, Declaration, Function, Refused, Rows, Type, Value, made


@dataclasses.dataclass
class Parts:
    """forward: embeds, positions and extras to hidden states. head: `pool`, or `logits` if lm_head,
    scale and softcap do not say them."""

    forward: Function
    head: Function | None
    embed_tokens: str
    lm_head: str
    embed_scale: float = 1.0
    logit_scale: float = 1.0
    logit_softcap: float = 0.0
    tied: bool = False
    extras: list[Value] = dataclasses.field(default_factory=list)
    table: Declaration | None = None  # of tokens, where its width is not that of hidden states


def split(function: Function, model: torch.nn.Module) -> Parts:
    embed, scale, embeds = embedding_of(function, model)
    head = _head(function, model)
    hidden = head.inputs[0]
    if hidden.made_by("CAST") and hidden.node.inputs[0].dtype == g.MODEL:
        hidden = hidden.node.inputs[0]
    if len(hidden.dims) != 2 or hidden.dims[0] != Rows():
        raise Refused(f"the head takes {hidden.type}, expected {g.MODEL}[N, hidden_size]")
    if hidden.dims[1] != embed.fields["size"]:
        embed, scale, embeds = _table_of_head(head), 1.0, None
    forward, extras = forward_of(
        function, Builder().cast(hidden, g.MODEL), embeds, embed.fields["size"]
    )
    parts = Parts(forward, None, embed.name, head.object.name, embed_scale=scale, extras=extras)
    parts.tied = head.object.tensors["weight"] == embed.tensors["weight"]
    if parts.tied:
        parts.lm_head = "lm_head"
    _logits(function, hidden, head, embed, parts)
    return parts


def embedding_of(function: Function, model: torch.nn.Module) -> tuple[Declaration, float, Value]:
    """The table of tokens, the factor behind it, and the value that the engine gives instead."""
    weight = model.get_input_embeddings().weight
    names = {name for name, p in model.named_parameters(remove_duplicate=False) if p is weight}
    nodes = function.nodes()
    found = [
        n
        for n in nodes
        if n.op == "EMBED"
        and n.object.tensors["weight"] in names
        and n.inputs[0] is function.inputs[0]
    ]
    if not found:
        raise Refused("its ids do not go to an embedding of tokens")
    value = found[0].output
    users = [n for n in nodes if value in n.inputs]
    if len(users) == 1 and users[0].op == "AFFINE" and users[0].reals[1] == 0:
        return (
            found[0].object,
            _exact(users[0].reals[0], found[0].object.fields["size"]),
            users[0].output,
        )
    return found[0].object, 1.0, value


def _table_of_head(head) -> Declaration:
    """The head's matrix as the engine's embeddings, where those of the model are not as wide as
    what the head takes.

    The engine needs some of that size; forward looks the tokens up in the model's own.
    """
    fields = {"rows": head.object.fields["out"], "size": head.object.fields["in"]}
    return Declaration(
        head.object.name, "embedding", fields, {"weight": head.object.tensors["weight"]}
    )


def _exact(scale: float, size: int) -> float:
    """sqrt(size), where that is what a buffer of f32 or bf16 holds."""
    root = math.sqrt(size)
    return root if abs(scale - root) < 1e-6 * root else scale


def _head(function: Function, model: torch.nn.Module):
    """The last linear of hidden states to the vocabulary."""
    output = model.get_output_embeddings()
    weight = None if output is None else output.weight
    names = {name for name, p in model.named_parameters(remove_duplicate=False) if p is weight}
    heads = [
        n for n in function.nodes() if n.op == "LINEAR" and n.object.tensors["weight"] in names
    ]
    if not heads:
        raise Refused("its logits do not come from an output embedding (get_output_embeddings)")
    return heads[-1]


def forward_of(
    function: Function, hidden: Value, embeds: Value | None, size: int
) -> tuple[Function, list[Value]]:
    """Inputs in the order of the engine: embeds (in the place of a value, or of none), positions,
    then ids and token types if the model looks at them besides."""
    given = Value(Type(g.MODEL, (Rows(), size)), name="embeds")
    positions = Value(Type(g.I64, (Rows(),)), name="positions")
    ids = Value(Type(g.I64, (Rows(),)), name="input_ids")
    types = Value(Type(g.I64, (Rows(),)), name=TOKEN_TYPES)
    known = dict(zip(function.inputs, (ids, positions, types))) | (
        {} if embeds is None else {embeds: given}
    )
    output = rebuilt(hidden, known)
    used = {v for n in made([output]) for v in n.inputs}
    extras = [v for v in (ids, types) if v in used]
    return Function("forward", [given, positions, *extras], output), extras


def rebuilt(value: Value, known: dict[Value, Value]) -> Value:
    """`value` made anew of other inputs."""
    builder, new = Builder(), dict(known)
    for node in made([value], known):
        builder.layer = node.layer
        missing = [v for v in node.inputs if v is not None and v not in new]
        if missing:
            raise Refused(f"{node.op} needs {missing[0]}, which is not at hand there")
        new.update(
            zip(
                node.outputs,
                builder.again(node, tuple(v and new[v] for v in node.inputs)),
                strict=True,
            )
        )
    return new[value]


def _logits(function: Function, hidden: Value, head, embed: Declaration, parts: Parts) -> None:
    """Scale and softcap as numbers where they are all that is behind the head; else a function of
    rows."""
    output, scale, softcap = function.output, 1.0, 0.0
    if output.made_by("CAST"):
        output = output.node.inputs[0]
    chain = _chain(output, head.output)
    match [(n.op, n.ints, n.reals) for n in chain or ()]:
        case []:
            plain = chain is not None
        case [("AFFINE", _, (factor, 0.0))]:
            plain, scale = True, factor
        case [("AFFINE", _, (inner, 0.0)), ("UNARY", (tanh,), _), ("AFFINE", _, (outer, 0.0))] if (
            tanh == g.UNARY["tanh"] and outer > 0
        ):
            plain, scale, softcap = True, inner * outer, outer
        case _:
            plain = False
    if plain and not head.object.fields["bias"] and head.inputs[0] is hidden:
        parts.logit_scale, parts.logit_softcap = _near(scale), softcap
        return
    rows = Value(Type(g.MODEL, (Rows(), embed.fields["size"])), name="hidden")
    if parts.tied:
        head.object.name, head.object.tied_to = "lm_head", embed
    result = rebuilt(function.output, {hidden: Builder().cast(rows, hidden.dtype)})
    parts.head = Function("logits", [rows], Builder().cast(result, g.MODEL))


def _near(scale: float) -> float:
    """1, where a division and a product of the same number are."""
    return 1.0 if abs(scale - 1) < 1e-6 else scale


def _chain(value: Value, start: Value) -> list | None:
    """The nodes of one input each from `start` to `value`, casts left out; None: there is more than
    a chain."""
    chain = []
    while value is not start:
        node = value.node
        if node is None or len(node.inputs) != 1:
            return None
        if node.op != "CAST":
            chain.insert(0, node)
        value = node.inputs[0]
    return chain
