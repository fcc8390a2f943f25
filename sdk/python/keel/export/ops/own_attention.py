"""Attention that a model computes by itself, without transformers' interface: softmax(f(q k^T)) v.

What f is, is found by trying: scale, mask and biases are read off numbers that the model's own ops
give. So it does not matter how a model writes them. What is no such attention is refused.
"""

import dataclasses

import torch
from torch.fx import Node as FxNode

from .. import graph as g
from ..graph import Refused, Rows, Value
from . import distances
from .trial import Trial

LENGTHS = (
    600,
    512,
    300,
    61,
)  # the first that the model's tables of positions have; longer than windows where it can be
HIDDEN = -5000.0  # a lower score is no score; models write 1e4 or the lowest number
FAR = 1024.0
TOLERANCE = 1e-3
PRODUCTS = {"matmul", "bmm", "baddbmm"}


@dataclasses.dataclass
class Weights:
    """What softmax gives: a weight for each pair of a query and a key."""

    q: Value  # [N, heads, D]
    k: Value  # [N, kv_heads, D]
    fields: dict
    arguments: dict[str, Value]  # of the attention


def weights_of(c, node: FxNode, scores: FxNode) -> Weights:
    """For a softmax over tokens."""
    if c.build.layer is None:
        raise Refused("a softmax over the tokens of the batch, outside of the layers")
    product, made_of = _parts(c, scores)
    left, right = product.args[-2:]
    (q, heads), (k, kv_heads) = _heads(c, left, keys=False), _heads(c, right, keys=True)
    try:
        tried = _tried(c, product, made_of, scores, heads)
    except (RuntimeError, IndexError, TypeError) as error:
        raise Refused(f"attention scores that cannot be tried: {error}") from error
    causal, window = _mask(tried.see)
    if causal and any(s.kind == distances.OF_KEYS for s in tried.sources):
        raise Refused("scores with a bias of keys by their distance, where the past is kept")
    fields = {
        "kind": "CAUSAL" if causal else "ENCODER", "layer": c.build.layer, "kv_share_layer": -1,
        "heads": heads, "kv_heads": kv_heads, "qk_dim": q.dims[2], "window": window, "chunk": 0,
        "scale": tried.scale, "softcap": 0.0,
    }  # fmt: skip
    arguments = distances.arguments_of(c, tried.sources, heads, _farthest(c, tried))
    slopes = _slopes(tried.see, tried.bias)
    if slopes is not None:
        arguments["alibi_slopes"] = c.build.constant(slopes)
    return Weights(q, k, fields, arguments)


def follow(c, node: FxNode, x: FxNode, *args, **kwargs) -> Weights | Value:
    """Ops on the weights: shapes and types change nothing; the product with the values is the
    attention."""
    weights = c.raw(x)
    if _name(node) not in PRODUCTS:
        if not _is_shape(c, node, x):
            raise Refused(
                "something between an attention's softmax and its values that no attention of "
                "Keel's has"
            )
        return weights
    v, kv_heads = _heads(c, args[0], keys=False)
    if kv_heads != weights.fields["kv_heads"]:
        raise Refused(f"{weights.fields['kv_heads']} heads of keys and {kv_heads} of values")
    name = f"{c.module(node)}.attention".removeprefix(".")
    object = c.declare("attention", name, weights.fields | {"v_dim": v.dims[2]})
    q, k, v = (c.build.cast(value, g.MODEL) for value in (weights.q, weights.k, v))
    out = c.build.cast(
        c.build.attention(object, q, k, v, weights.arguments), c.dtype(node)
    )  # [N, heads, v_dim]
    return c.without_ones(c.build.permute(out, (1, 0, 2)), node)


def _is_shape(c, node: FxNode, x: FxNode) -> bool:
    known = {"to", "_to_copy", "type_as", "clone", "contiguous", "dropout", "view", "reshape",
             "_unsafe_view", "expand", "alias", "detach", "unsqueeze", "squeeze",
             "float"}  # fmt: skip
    return _name(node) in known and c.kept(c.shape(node)) == c.kept(c.shape(x))


def _heads(c, x: FxNode, keys: bool) -> tuple[Value, int]:
    """[.., heads, N, D], of keys [.., heads, D, N], as [N, heads, D]."""
    shape = c.shape(x)
    size, tokens = shape[-2:] if keys else reversed(shape[-2:])
    if (
        tokens != Rows()
        or not isinstance(size, int)
        or any(isinstance(d, Rows) for d in shape[:-2])
    ):
        raise Refused("a softmax over tokens whose scores are no product of queries and keys")
    heads = 1
    for d in shape[:-2]:
        heads *= d
    value = c.build.view(c.value(x), (heads, *((size, tokens) if keys else (tokens, size))))
    return c.build.permute(value, (2, 0, 1) if keys else (1, 0, 2)), heads


# ---- the piece between product and softmax


def _parts(c, scores: FxNode) -> tuple[FxNode, list[FxNode]]:
    """The product of queries and keys that the scores are made of, and what else they are made of
    that is learned or computed from what is said."""
    products, others, seen, stack = [], [], set(), [scores]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if not is_pairs(c, node):
            if c.is_tensor(node) and c.is_said(node):
                others.append(node)
        elif _name(node) in PRODUCTS and not any(is_pairs(c, a) for a in node.args[-2:]):
            products.append(node)
        else:
            stack.extend(node.all_input_nodes)
    if len(products) != 1:
        raise Refused("a softmax over the tokens of the batch, outside of attention")
    return products[0], others


def _name(node: FxNode) -> str:
    schema = getattr(node.target, "_schema", None)
    return "" if schema is None else schema.name.split("::")[1]


def is_pairs(c, node: FxNode) -> bool:
    value = node.meta.get("val")
    return (
        isinstance(value, torch.Tensor)
        and sum(not isinstance(size, int) for size in value.shape) > 1
    )


@dataclasses.dataclass
class Tried:
    """scores = scale * product + bias + what is added of the sources, where a key is seen."""

    scale: float
    see: torch.Tensor  # [N, N]
    bias: torch.Tensor  # [heads, N, N]
    sources: list[distances.Source]


def _tried(c, product: FxNode, made_of: list[FxNode], scores: FxNode, heads: int) -> Tried:
    for length in LENGTHS:
        try:
            run = _Numbers(c, product, made_of, scores, heads, length)
            zero, far = run.scores(0.0), run.scores(FAR)
            break
        except (RuntimeError, IndexError):  # longer than the tables of the model
            if length == LENGTHS[-1]:
                raise
    see = (zero > HIDDEN).all(0)
    if not torch.equal(see, (zero > HIDDEN).any(0)):
        raise Refused("an attention mask that differs from head to head")
    factors = (far - zero)[:, see] / FAR
    scale = factors.median().item()
    sources = [
        distances.recognised(
            node,
            run.shape(node),
            distances.rows_of(c.shape(node)),
            see,
            lambda held, node=node: run.scores(0.0, {node: held}) - zero,
        )
        for node in made_of
    ]
    random = {node: run.random_of(node) for node in made_of}
    wanted = zero + run.random.reshape(zero.shape) * scale
    for source in sources:
        wanted = wanted + source.added(random[source.node], heads)
    off = (run.scores(None, random) - wanted).abs()
    if not scale or (off[:, see] > TOLERANCE * (1 + wanted.abs()[:, see])).any():
        raise Refused(
            "attention scores that are not scaled, masked and biased products of queries and keys"
        )
    return Tried(run.scale(scores, product, scale), see, zero, sources)


def _farthest(c, tried: Tried) -> int:
    """How many distances on either side the biases tell apart, in texts that the model takes."""
    most, length = distances.farthest(tried.sources), len(tried.see)
    limit = getattr(c.model.config.get_text_config(), "max_position_embeddings", None) or length + 1
    if most == length - 1 and length < limit:
        raise Refused(f"scores with a bias that tells more than {length} distances apart")
    return most


class _Numbers(Trial):
    """The scores, by what they are made of."""

    def __init__(self, c, product, made_of, scores, heads, length: int):
        super().__init__(c, length)
        self.product, self.made_of, self.of, self.heads = product, made_of, scores, heads
        self.random = self.random_of(product) * 8

    def random_of(self, node: FxNode) -> torch.Tensor:
        return torch.randn(self.shape(node), generator=torch.Generator().manual_seed(0))

    def scores(
        self, number: float | None, held: dict[FxNode, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """[heads, N, N] where the product is a number, or random, and other parts are zero but for
        those `held`."""
        product = self.random if number is None else torch.full_like(self.random, number)
        known: dict[FxNode, object] = {n: torch.zeros(self.shape(n)) for n in self.made_of}
        known |= held or {}
        if _name(self.product) == "baddbmm":
            beta, alpha = (self.product.kwargs.get(k, 1) for k in ("beta", "alpha"))
            product = beta * self.value(self.product.args[0], known).float() + alpha * product
        known[self.product] = product
        out = self.value(self.of, known).float()
        shape = (self.heads, self.length, self.length)
        return out.expand(*out.shape[:-3], *shape).reshape(shape)

    def scale(self, scores: FxNode, product: FxNode, measured: float) -> float:
        """The number that the model writes, where it is known: 1 / sqrt(D) and the like are exact
        in f64."""
        root = self.shape(product.args[-2])[-1] ** -0.5
        for exact in (1.0, root, measured):
            if abs(exact - measured) < 1e-4 * abs(measured):
                return float(exact)
        return measured


# ---- what it is


def _mask(see: torch.Tensor) -> tuple[bool, int]:
    """(causal, window)."""
    length = len(see)
    i, j = torch.arange(length)[:, None], torch.arange(length)[None]
    if see.all():
        return False, 0
    window = int(see[-1].sum())
    if torch.equal(see, j <= i):
        return True, 0
    if torch.equal(see, (j <= i) & (j > i - window)):
        return True, window
    raise Refused("an attention mask that is none of causal, bidirectional and window")


def _slopes(see: torch.Tensor, bias: torch.Tensor) -> torch.Tensor | None:
    """By head the slope of alibi, if that is what is added; what is the same for all keys of a
    query adds nothing."""
    bias = bias.double()
    known = see[:, 1:] & see[:, :-1]
    steps = (bias[:, :, 1:] - bias[:, :, :-1])[:, known]
    slopes = steps.median(1).values if steps.numel() else torch.zeros(len(bias))
    if (slopes == 0).all() and (steps.abs() <= TOLERANCE).all():
        return None
    i, j = torch.arange(len(see))[:, None], torch.arange(len(see))[None]
    rest = bias - slopes[:, None, None] * (j - i)
    rest = (rest - rest.diagonal(dim1=1, dim2=2)[:, :, None]).abs()
    if (rest[:, see] > 2e-3 * bias[:, see].abs().max()).any():
        raise Refused("attention scores with a bias of positions that is no alibi")
    far = (bias[:, -1, -1] - bias[:, -1, 0]) / (len(see) - 1) if see[-1, 0] else slopes
    return far.float()
