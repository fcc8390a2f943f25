"""What one sequence of a request gave since its previous output, copied out of the engine."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Callable

from . import abi
from .errors import KeelError, error_of
from .outputs import CompletionOutput, Logprob, Logprobs, RequestOutput

TokenText = Callable[[int], str]


@dataclasses.dataclass
class Delta:
    """New text and tokens of sequence `index`; `prompt_token_ids` only in a request's first."""

    index: int
    text: str
    token_ids: list[int]
    logprobs: list[Logprobs]
    cumulative_logprob: float
    finish_reason: str | None
    stop_reason: int | str | None
    num_cached_tokens: int
    last: bool
    error: KeelError | None
    prompt_token_ids: list[int] | None = None
    prompt_logprobs: list[Logprobs | None] | None = None
    vector: list[float] = dataclasses.field(default_factory=list)


def read_delta(output: int, first: bool, token_text: TokenText) -> Delta:
    """Copies an output. `output` is a keel_output*."""
    n = ctypes.c_size_t()
    text = ctypes.string_at(abi.output_text(output, ctypes.byref(n)), n.value).decode()
    token_ids = abi.output_tokens(output, ctypes.byref(n))[: n.value]
    reason = abi.output_finish_reason(output)
    delta = Delta(
        index=abi.output_index(output),
        text=text,
        token_ids=token_ids,
        logprobs=_logprobs(abi.output_logprob, output, token_ids, token_text),
        cumulative_logprob=abi.output_cumulative_logprob(output),
        finish_reason=reason.decode() if reason else None,
        stop_reason=_stop_reason(output),
        num_cached_tokens=abi.output_cached_tokens(output),
        last=bool(abi.output_is_last(output)),
        error=_error(output),
    )
    if delta.last and abi.output_vector is not None:
        delta.vector = abi.output_vector(output, ctypes.byref(n))[: n.value]
    if first:
        prompt = abi.output_prompt_tokens(output, ctypes.byref(n))[: n.value]
        delta.prompt_token_ids = prompt
        if len(prompt) > 1:
            # Token 0 follows nothing.
            found = _logprobs(abi.output_prompt_logprob, output, prompt, token_text, begin=1)
            delta.prompt_logprobs = [None, *found] if found else None
    return delta


def _stop_reason(output: int) -> int | str | None:
    token = abi.output_stop_token(output)
    if token >= 0:
        return token
    return abi.output_stop_reason(output).decode() or None


def _error(output: int) -> KeelError | None:
    message = ctypes.c_char_p()
    status = abi.output_status(output, ctypes.byref(message))
    if not status:
        return None
    field = abi.output_error_detail(output, b"field").decode()
    return error_of(status, (message.value or b"").decode(), field=field)


def _logprobs(
    read: Callable, output: int, tokens: list[int], token_text: TokenText, begin: int = 0
) -> list[Logprobs]:
    """Of each of `tokens` from `begin` on; none if the request did not ask for them."""
    logprob, n = ctypes.c_float(), ctypes.c_size_t()
    top_tokens, top_logprobs = ctypes.POINTER(ctypes.c_int32)(), ctypes.POINTER(ctypes.c_float)()
    found = []
    for i in range(begin, len(tokens)):
        places = [ctypes.byref(v) for v in (logprob, top_tokens, top_logprobs, n)]
        if read(output, i, *places):
            return []
        ranked = zip(top_tokens[: n.value], top_logprobs[: n.value])
        position = {t: Logprob(p, rank, token_text(t)) for rank, (t, p) in enumerate(ranked, 1)}
        if tokens[i] not in position:
            own = Logprob(logprob.value, None, token_text(tokens[i]))
            position = {tokens[i]: own, **position}
        found.append(position)
    return found


def merge(result: RequestOutput, delta: Delta) -> None:
    """Adds a delta to what came before it. Raises the error that ended the request."""
    if delta.error is not None and delta.finish_reason == "error":
        raise delta.error
    if delta.prompt_token_ids is not None:
        result.prompt_token_ids = delta.prompt_token_ids
        result.prompt_logprobs = delta.prompt_logprobs
    while len(result.outputs) <= delta.index:
        result.outputs.append(CompletionOutput(len(result.outputs)))
    output = result.outputs[delta.index]
    output.text += delta.text
    output.token_ids += delta.token_ids
    if delta.logprobs:
        output.logprobs = (output.logprobs or []) + delta.logprobs
    if delta.cumulative_logprob:
        output.cumulative_logprob = delta.cumulative_logprob
    output.finish_reason = delta.finish_reason
    output.stop_reason = delta.stop_reason
    result.num_cached_tokens = delta.num_cached_tokens
    result.finished = delta.last
