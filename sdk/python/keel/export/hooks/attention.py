"""Attention: transformers' attention interface and mask interface, filled with `keel::attention`.

What a mask hides is found by asking the model's own mask function about pairs of positions, not by
names: the mask that is handed to the layers is a tensor which only carries the answer (causal or
not, window, chunk), `keel::mask`.
"""

from collections.abc import Callable

import torch
from torch.utils._python_dispatch import _disable_current_modes
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface

from ..graph import Refused
from .library import define

NAME = "keel"
FAR = 1 << 22  # a position behind any window
UNKNOWN = -1  # the window of a mask that is none of Keel's


@define(
    "mask(Tensor like, bool causal, int window, int chunk) -> Tensor",
    lambda like, causal, window, chunk: like.new_empty(1, 1, like.shape[1], like.shape[1]),
)
def mask(like: torch.Tensor, causal: bool, window: int, chunk: int) -> torch.Tensor:
    """What is added to the scores, as transformers' eager attention has it: models without the
    interface do so."""
    see = visible(like.shape[1], causal, window, chunk)
    return torch.zeros(see.shape, dtype=like.dtype).masked_fill(~see, torch.finfo(like.dtype).min)[
        None, None
    ]


def visible(length: int, causal: bool, window: int, chunk: int) -> torch.Tensor:
    """[length, length]: whether query i sees key j. A window that is not causal is as wide behind i
    as before it."""
    i, j = torch.arange(length)[:, None], torch.arange(length)[None, :]
    see = j <= i if causal else torch.ones(length, length, dtype=torch.bool)
    if window:
        see = see & (j > i - window) & (j < i + window)
    if chunk:
        see = see & (j // chunk == i // chunk)
    return see


@define(
    "attention(Tensor q, Tensor k, Tensor v, Tensor? mask, Tensor? sinks, int layer, str module, "
    "float scale, "
    "float softcap, bool causal, int window, int chunk) -> Tensor",
    lambda q, k, v, *_: q.new_empty(q.shape[0], q.shape[2], q.shape[1], v.shape[3]),
)
def attention(q, k, v, mask, sinks, layer, module, scale, softcap, causal, window, chunk):
    """q, k, v [1, heads, N, size] -> [1, N, heads, size]."""
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    scores = ((q @ k.transpose(-1, -2)) * scale).float()
    if softcap:
        scores = softcap * torch.tanh(scores / softcap)
    scores = scores.masked_fill(~visible(q.shape[2], causal, window, chunk), float("-inf"))
    if sinks is not None:
        rows = (scores.shape[0], scores.shape[1], scores.shape[2], 1)
        scores = torch.cat([scores, sinks.float().view(1, -1, 1, 1).expand(rows)], -1)
    weights = torch.softmax(scores, -1)[..., : k.shape[2]]
    return (weights.to(q.dtype) @ v).transpose(1, 2).contiguous()


def attention_forward(module, query, key, value, attention_mask=None, scaling=None, dropout=0.0,
                      sliding_window=None, softcap=None, s_aux=None, is_causal=None,
                      position_bias=None, indices=None, **kwargs):  # fmt: skip
    """What transformers calls for a layer's attention."""
    place = getattr(module, "_keel_name", "")
    name = f"{place} ({type(module).__name__})" if place else type(module).__name__
    if position_bias is not None:
        raise Refused(f"{name} adds a position bias to its scores, which no op of a decoder does")
    if indices is not None:  # no text that is short enough for all of them would tell
        raise Refused(f"{name} attends to the keys that an index chooses (sparse attention)")
    layer = getattr(module, "layer_idx", None)
    layer = -1 if layer is None else layer  # that which it is traced in
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if not isinstance(scale, (int, float)):
        raise Refused(f"{name} scales its scores by a tensor, expected a number")
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    out = torch.ops.keel.attention(query, key, value, attention_mask, s_aux, layer,
                                   place, float(scale),
                                   float(softcap or 0), bool(causal), int(sliding_window or 0),
                                   0)  # fmt: skip
    return out, None


def mask_forward(q_length, mask_function, local_size=None, attention_mask=None, device=None,
                 dtype=torch.float32, **kwargs):  # fmt: skip
    """What transformers calls for a mask."""
    try:
        causal, window, chunk = recognise_mask(mask_function, local_size)
    except Refused:  # it counts where an attention uses it
        causal, window, chunk = True, UNKNOWN, 0
    return torch.ops.keel.mask(
        torch.empty(1, q_length, device=device, dtype=dtype), causal, window, chunk
    )


def recognise_mask(see: Callable, local_size: int | None) -> tuple[bool, int, int]:
    """(causal, window, chunk) of a function of transformers that says whether a query sees a
    key."""

    def ask(query: int, key: int) -> bool:
        return bool(see(torch.tensor(0), torch.tensor(0), torch.tensor(query), torch.tensor(key)))

    with _disable_current_modes(), torch.no_grad():  # real numbers, in the middle of a trace
        sizes = [] if not local_size else [(local_size, 0), (local_size + 1, 0), (0, local_size)]
        for causal in (True, False):
            for window, chunk in [(0, 0), *sizes]:
                if all(ask(i, j) == expected for i, j, expected in _probes(causal, window, chunk)):
                    return causal, window, chunk
    raise Refused("its attention mask is none of causal, bidirectional, window and chunk")


def _probes(causal: bool, window: int, chunk: int):
    """Pairs of positions around every border that a mask may have."""
    sizes = [s for s in (window, chunk) if s]
    for i in (
        0,
        1,
        5,
        FAR,
        FAR + 1,
        *(s * n + d for s in sizes for n in (1, 3) for d in (-1, 0, 1)),
    ):
        near = (0, 1, 2, 3, *(s + e for s in sizes for e in (-1, 0, 1)))
        for j in (0, *(i - d for d in near), *(i + d for d in near)):
            if j >= 0:
                see = (j <= i or not causal) and (not window or i - window < j < i + window)
                yield i, j, see and (not chunk or i // chunk == j // chunk)


def one_sequence(position_ids):
    """For transformers' find_packed_sequence_indices: a trace is of one sequence; the host keeps
    several apart."""
    return None


def chunks(chunk_size, left_padding):
    """For transformers' chunked_overlay: without padding."""
    return lambda batch, head, query, key: query // chunk_size == key // chunk_size


def attention_span(query, key, most):
    """For DeBERTa's compute_attention_span, which takes no more of its table of distances than a
    text needs: all of it."""
    return most


FUNCTIONS = {"compute_attention_span": attention_span}
MASK_PARTS = {"find_packed_sequence_indices": one_sequence, "chunked_overlay": chunks}

AttentionInterface.register(NAME, attention_forward)
AttentionMaskInterface.register(NAME, mask_forward)
