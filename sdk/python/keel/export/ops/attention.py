"""Attention by transformers' interface: what its mask hides, and what is added to its scores."""

import dataclasses

import torch

from .. import graph as g
from ..graph import Refused, Rows, Value
from ..hooks.attention import UNKNOWN, visible
from .own_attention import HIDDEN, is_pairs
from .table import converts
from .trial import Trial

LENGTH = 61


@converts("keel_mask")
def keel_mask(c, node, like, causal, window, chunk):
    if window == UNKNOWN:
        raise Refused("an attention mask that is none of causal, bidirectional, window and chunk")
    return Mask(causal, window, chunk)


class Mask:
    """What an attention mask hides."""

    def __init__(self, causal, window, chunk):
        self.causal, self.window, self.chunk = causal, window, chunk


@dataclasses.dataclass
class Bias:
    """What is added to the scores besides a mask: a number of each key, by head of keys."""

    mask: Mask
    of_keys: Value  # [N, kv_heads]


def _mask_of(c, node, heads, kv_heads):
    """The mask behind what models do with it: cut it to its length, give it another type, add to
    it."""
    masks, sources = _leaves(c, node)
    if len(masks) != 1 or len(sources) > 1:
        raise Refused(
            "an attention mask that is computed from something else than positions and one value "
            "of each key"
        )
    mask = c.raw(masks[0])
    return mask if not sources else Bias(mask, _of_keys(c, node, mask, sources[0], heads, kv_heads))


def _leaves(c, node):
    """The masks that a value for pairs of tokens is made of, and what it takes of each token
    besides."""
    masks, sources, seen, stack = [], [], set(), [node]
    while stack:
        at = stack.pop()
        if at in seen or not c.is_tensor(at) or at.op != "call_function":
            continue
        seen.add(at)
        if at.target is torch.ops.keel.mask.default:
            masks.append(at)
        elif is_pairs(c, at):
            stack.extend(at.all_input_nodes)
        elif any(not isinstance(size, int) for size in at.meta["val"].shape):
            sources.append(at)
    return masks, sources


def _of_keys(c, node, mask, source, heads, kv_heads):
    """[N, kv_heads] of the source, if trying says that it is what is added where a key is seen."""
    trial = Trial(c, LENGTH)
    try:
        random = torch.randn(trial.shape(source), generator=torch.Generator().manual_seed(0))
        added = trial.value(node, {source: random}).float().expand(1, heads, LENGTH, LENGTH)[0]
        by_key = (
            random.reshape(kv_heads, 1, LENGTH)
            .repeat_interleave(heads // kv_heads, 0)
            .expand(added.shape)
        )
    except (RuntimeError, IndexError, TypeError) as error:
        raise Refused(f"an attention mask that cannot be tried: {error}") from error
    see = visible(LENGTH, mask.causal, mask.window, mask.chunk)
    if not torch.equal(added > HIDDEN, see.expand(added.shape)) or not torch.equal(
        added[:, see], by_key[:, see]
    ):
        raise Refused("an attention mask that is no number of each key where a key is seen")
    if kv_heads == 1:
        return c.build.view(c.value(source), (Rows(), 1))
    return c.build.permute(c.build.view(c.value(source), (kv_heads, Rows())), (1, 0))


@converts("keel_attention")
def keel_attention(
    c, node, q, k, v, mask, sinks, layer, module, scale, softcap, causal, window, chunk
):
    (_, heads, _, qk_dim), (_, kv_heads, keys, _), v_dim = c.shape(q), c.shape(k), c.shape(v)[3]
    if c.shape(q)[2] != Rows() or keys != Rows():
        raise Refused(f"attention over {keys} keys, expected those of its own tokens")
    counted = layer < 0 or c.layers.counted
    layer = c.build.layer if counted else layer
    if layer is None:
        raise Refused(
            "attention outside of the layers, without a layer_idx: whose keys and values it reads "
            "is not known"
        )
    bias = None
    if mask is not None:
        said = _mask_of(c, mask, heads, kv_heads)
        if isinstance(said, Bias):
            bias, said, qk_dim = said.of_keys, said.mask, qk_dim + 1
        causal, window, chunk = said.causal, said.window, said.chunk
    fields = {
        "kind": "CAUSAL" if causal else "ENCODER", "layer": layer, "kv_share_layer": -1,
        "heads": heads, "kv_heads": kv_heads, "qk_dim": qk_dim, "v_dim": v_dim, "window": window,
        "chunk": chunk, "scale": scale, "softcap": softcap,
    }  # fmt: skip
    object = c.declare(
        "attention",
        f"{module or 'attention'}.{layer}" if c.layers.counted or not module else module,
        fields,
    )
    order = (2, 1, 3)
    q, k, v = (
        c.build.cast(c.build.view(c.laid(x, (0, 2, 1, 3)), [c.shape(x)[i] for i in order]), g.MODEL)
        for x in (q, k, v)
    )
    if bias is not None:
        q, k = _with_bias(c, q, k, bias, scale)
    arguments = {} if sinks is None else {"sinks": c.value(sinks)}
    return c.without_ones(c.build.attention(object, q, k, v, arguments), node)


def _with_bias(c, q, k, bias, scale):
    """q [N, heads, D] and k [N, kv_heads, D] with one more dimension, in which their product is the
    key's bias."""
    ones = c.build.affine(c.build.narrow(q, 2, 0, 1), 0.0, 1.0)
    bias = c.build.affine(c.build.view(bias, (*k.dims[:2], 1)), 1 / scale, 0.0)
    return c.build.cat([q, ones], 2), c.build.cat([k, c.build.cast(bias, g.MODEL)], 2)
