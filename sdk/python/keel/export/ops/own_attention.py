"""Attention that a model computes by itself, without transformers' interface: softmax(f(q k^T)) v.

What f is, is found by trying: scale, mask and bias of positions are read off numbers that the
model's own ops give. So it does not matter how a model writes them. What is no such attention is
refused.
"""

import dataclasses

import torch
from torch.fx import Node as FxNode

from .. import graph as g
from ..graph import Refused, Rows, Value
from .trial import Trial

LENGTHS = (
    600,
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
    slopes: torch.Tensor | None


def weights_of(c, node: FxNode, scores: FxNode) -> Weights:
    """For a softmax over tokens."""
    if c.build.layer is None:
        raise Refused("a softmax over the tokens of the batch, outside of the layers")
    product = _product(c, scores)
    left, right = product.args[-2:]
    (q, heads), (k, kv_heads) = _heads(c, left, keys=False), _heads(c, right, keys=True)
    try:
        scale, see, bias = _tried(c, product, scores, heads)
    except (RuntimeError, IndexError, TypeError) as error:
        raise Refused(f"attention scores that cannot be tried: {error}") from error
    causal, window = _mask(see)
    fields = {
        "kind": "CAUSAL" if causal else "ENCODER", "layer": c.build.layer, "kv_share_layer": -1,
        "heads": heads, "kv_heads": kv_heads, "qk_dim": q.dims[2], "window": window, "chunk": 0,
        "scale": scale, "softcap": 0.0,
    }  # fmt: skip
    return Weights(q, k, fields, _slopes(see, bias))


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
    arguments = {} if weights.slopes is None else {"alibi_slopes": c.build.constant(weights.slopes)}
    q, k, v = (c.build.cast(value, g.MODEL) for value in (weights.q, weights.k, v))
    out = c.build.cast(
        c.build.attention(object, q, k, v, arguments), c.dtype(node)
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


def _product(c, scores: FxNode) -> FxNode:
    """The product of queries and keys that the scores are made of."""
    found, seen, stack = [], set(), [scores]
    while stack:
        node = stack.pop()
        if node in seen or node.op != "call_function" or not is_pairs(c, node):
            continue
        seen.add(node)
        if _name(node) in PRODUCTS and not any(is_pairs(c, a) for a in node.args[-2:]):
            found.append(node)
        else:
            stack.extend(node.all_input_nodes)
    if len(found) != 1:
        raise Refused("a softmax over the tokens of the batch, outside of attention")
    return found[0]


def _name(node: FxNode) -> str:
    schema = getattr(node.target, "_schema", None)
    return "" if schema is None else schema.name.split("::")[1]


def is_pairs(c, node: FxNode) -> bool:
    value = node.meta.get("val")
    return (
        isinstance(value, torch.Tensor)
        and sum(not isinstance(size, int) for size in value.shape) > 1
    )


def _tried(c, product: FxNode, scores: FxNode, heads: int):
    """(scale, [N, N] what is seen, [heads, N, N] what is added) of scores = scale * product +
    bias."""
    for length in LENGTHS:
        try:
            run = _Numbers(c, product, length)
            zero, far = (run.scores(scores, number) for number in (0.0, FAR))
            break
        except (RuntimeError, IndexError):  # longer than the tables of the model
            if length == LENGTHS[-1]:
                raise
    zero, far = (
        t.expand(*t.shape[:-3], heads, length, length).reshape(heads, length, length)
        for t in (zero, far)
    )
    see = (zero > HIDDEN).all(0)
    if not torch.equal(see, (zero > HIDDEN).any(0)):
        raise Refused("an attention mask that differs from head to head")
    factors = (far - zero)[:, see] / FAR
    scale = factors.median().item()
    random = run.scores(scores, None).reshape(heads, length, length)
    wanted = zero + run.random.reshape(heads, length, length) * scale
    if (
        not scale
        or ((random - wanted).abs()[:, see] > TOLERANCE * (1 + wanted.abs()[:, see])).any()
    ):
        raise Refused(
            "attention scores that are not scaled, masked and biased products of queries and keys"
        )
    exact = run.scale(scores, product, scale)
    return exact, see, zero


class _Numbers(Trial):
    """The scores, by what the product is."""

    def __init__(self, c, product: FxNode, length: int):
        super().__init__(c, length)
        self.product = product
        self.random = (
            torch.randn(self.shape(product), generator=torch.Generator().manual_seed(0)) * 8
        )

    def scores(self, scores: FxNode, number: float | None) -> torch.Tensor:
        product = self.random if number is None else torch.full_like(self.random, number)
        known: dict[FxNode, object] = {}
        if _name(self.product) == "baddbmm":
            beta, alpha = (self.product.kwargs.get(k, 1) for k in ("beta", "alpha"))
            product = beta * self.value(self.product.args[0], known).float() + alpha * product
        known[self.product] = product
        return self.value(scores, known).float()

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
