"""`Engine`: a model in this process, with the names of SGLang's class."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import queue
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, Union

from .delta import Delta, merge
from .errors import InvalidArgument, NotServed
from .llm import LLM
from .outputs import CompletionOutput, Logprobs, RequestOutput
from .params import SamplingParams, StructuredOutputsParams
from .request import Request

Result = dict[str, Any]
Params = Union[Mapping[str, Any], Sequence[Mapping[str, Any]], None]

# SGLang's names of parameters that are vLLM's under another.
_NAMES = {"max_new_tokens": "max_tokens", "min_new_tokens": "min_tokens", "sampling_seed": "seed"}
_NAMES["no_stop_trim"] = "include_stop_str_in_output"
_GRAMMARS = {"json_schema": "json", "regex": "regex", "ebnf": "grammar"}
_KNOWN = {field.name for field in dataclasses.fields(SamplingParams)}


class Engine:
    """A model, loaded into this process.

        engine = Engine("path/to/model", impl="auto")
        print(engine.generate("A river is", {"max_new_tokens": 32})["text"])

    `impl` and further keywords are those of `keel.LLM`. A result is a dict of text, output_ids and
    meta_info; a list of prompts gives a list of results, and n above 1 gives n results a prompt.
    """

    def __init__(self, model_path: str, *, impl: str = "auto", **options: Any) -> None:
        self._llm = LLM(model_path, model_impl=impl, **options)
        self._session = self._llm._session

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def shutdown(self) -> None:
        """Cancels what runs and frees the model."""
        self._llm.shutdown()

    def get_server_info(self) -> dict[str, Any]:
        """What was loaded: model, architecture, model_impl, max_model_len, dtype ..."""
        return self._llm.info

    def generate(
        self,
        prompt: str | Sequence[str] | None = None,
        sampling_params: Params = None,
        input_ids: Sequence[int] | Sequence[Sequence[int]] | None = None,
        *,
        return_logprob: bool = False,
        top_logprobs_num: int = 0,
        stream: bool = False,
    ) -> Result | list[Result] | Iterator[Result]:
        """Continues a prompt or each of several. With `stream`, an iterator over results of one
        prompt, each of which holds the text so far; closing it cancels the request."""
        prompts, single = _prompts(prompt, input_ids)
        params = _params(sampling_params, len(prompts), return_logprob, top_logprobs_num)
        if stream:
            return self._stream(_only(prompts), params[0])
        results = self._llm.generate(prompts, params, use_tqdm=False)
        return _one_or_all([_result(r, p) for r, p in zip(results, params)], single)

    async def async_generate(
        self,
        prompt: str | Sequence[str] | None = None,
        sampling_params: Params = None,
        input_ids: Sequence[int] | Sequence[Sequence[int]] | None = None,
        *,
        return_logprob: bool = False,
        top_logprobs_num: int = 0,
        stream: bool = False,
    ) -> Result | list[Result] | AsyncIterator[Result]:
        """As `generate`, without a thread: the running event loop takes the outputs. Cancelling the
        task cancels its requests. With `stream`, an async iterator:

            async for result in await engine.async_generate("A river is", stream=True):
                print(result["text"])
        """
        prompts, single = _prompts(prompt, input_ids)
        params = _params(sampling_params, len(prompts), return_logprob, top_logprobs_num)
        if stream:
            return self.async_stream(_only(prompts), params[0])
        tasks = [asyncio.ensure_future(self._whole(*pair)) for pair in zip(prompts, params)]
        try:
            return _one_or_all(await asyncio.gather(*tasks), single)
        finally:
            for task in tasks:
                task.cancel()

    async def async_stream(
        self,
        prompt: str | Sequence[int],
        sampling_params: Mapping[str, Any] | SamplingParams | None = None,
    ) -> AsyncGenerator[Result, None]:
        """Results of one prompt, each of which holds the text so far. Leaving the loop over them
        (with `contextlib.aclosing`, or by cancelling the task) cancels the request."""
        params = sampling_params
        if not isinstance(params, SamplingParams):
            params = _sampling_params(params or {}, False, 0)
        result = RequestOutput("", prompt if isinstance(prompt, str) else None)
        async with contextlib.aclosing(self._session.stream(_request(prompt, params))) as deltas:
            async for delta in deltas:
                merge(result, delta)
                yield _streamed(result, delta, params)

    async def _whole(self, prompt: Any, params: SamplingParams) -> Result | list[Result]:
        result = RequestOutput("", prompt if isinstance(prompt, str) else None)
        request = _request(prompt, params, stream=False)
        async with contextlib.aclosing(self._session.stream(request)) as deltas:
            async for delta in deltas:
                merge(result, delta)
        return _result(result, params)

    def _stream(self, prompt: Any, params: SamplingParams) -> Iterator[Result]:
        deltas: queue.SimpleQueue[Delta] = queue.SimpleQueue()
        self._session.start_reader()
        number = self._session.submit(_request(prompt, params), deltas.put)
        return self._read(number, deltas, RequestOutput(str(number), None), params)

    def _read(
        self, number: int, deltas: queue.SimpleQueue, result: RequestOutput, params: SamplingParams
    ) -> Iterator[Result]:
        try:
            while not result.finished:
                delta = deltas.get()
                merge(result, delta)
                yield _streamed(result, delta, params)
        finally:
            if not result.finished:
                self._session.cancel(number)

    def encode(self, prompt: str | Sequence[str]) -> Result | list[Result]:
        """The vector of a prompt, or of each of several."""
        single = isinstance(prompt, str)
        prompts: list[Any] = [prompt] if isinstance(prompt, str) else list(prompt)
        found = self._llm.embed(prompts, use_tqdm=False)
        results = [
            {
                "embedding": one.outputs.embedding,
                "meta_info": {"id": one.request_id, "prompt_tokens": len(one.prompt_token_ids)},
            }
            for one in found
        ]
        return _one_or_all(results, single)


def _prompts(prompt: Any, input_ids: Any) -> tuple[list[Any], bool]:
    """The prompts as a list, and whether there was one alone."""
    if (prompt is None) == (input_ids is None):
        raise InvalidArgument("expected one of prompt and input_ids", field="prompt")
    given = input_ids if prompt is None else prompt
    single = isinstance(given, str) or (len(given) > 0 and isinstance(given[0], int))
    return ([given] if single else list(given)), single


def _only(prompts: list[Any]) -> Any:
    if len(prompts) != 1:
        raise NotServed(f"stream takes one prompt, found {len(prompts)}", field="stream")
    return prompts[0]


def _one_or_all(results: list[Any], single: bool) -> Any:
    return results[0] if single else results


def _params(given: Params, count: int, logprob: bool, top: int) -> list[SamplingParams]:
    """Parameters for each prompt."""
    many = [given or {}] * count if given is None or isinstance(given, Mapping) else list(given)
    if len(many) != count:
        raise InvalidArgument(
            f"sampling_params has {len(many)} entries for {count} prompts", field="sampling_params"
        )
    return [_sampling_params(one, logprob, top) for one in many]


def _sampling_params(given: Mapping[str, Any], logprob: bool, top: int) -> SamplingParams:
    values: dict[str, Any] = {"max_tokens": 128}
    for name, value in given.items():
        if value is None:
            continue
        if name in _GRAMMARS:
            if value:
                values["structured_outputs"] = StructuredOutputsParams(**{_GRAMMARS[name]: value})
            continue
        known = _NAMES.get(name, name)
        if known not in _KNOWN:
            expected = sorted((_KNOWN - set(_NAMES.values())) | set(_NAMES) | set(_GRAMMARS))
            raise InvalidArgument(
                f"unknown sampling parameter '{name}', expected one of {', '.join(expected)}",
                field=name,
            )
        values[known] = value
    if logprob:
        values["logprobs"] = top
    return SamplingParams(**values)


def _request(prompt: Any, params: SamplingParams, stream: bool = True) -> Request:
    request = Request()
    request.set_prompt(prompt)
    request.set_params(params)
    request.set("stream", int(stream))
    return request


def _result(result: RequestOutput, params: SamplingParams) -> Result | list[Result]:
    results = [_one(result, output) for output in result.outputs]
    return results[0] if params.n == 1 else results


def _streamed(result: RequestOutput, delta: Delta, params: SamplingParams) -> Result:
    """What a delta made of its sequence; `index` says which, where there are several."""
    one = _one(result, result.outputs[delta.index])
    return one if params.n == 1 else {"index": delta.index, **one}


def _one(result: RequestOutput, output: CompletionOutput) -> Result:
    meta: dict[str, Any] = {
        "id": result.request_id,
        "finish_reason": _finish_reason(output),
        "prompt_tokens": len(result.prompt_token_ids),
        "completion_tokens": len(output.token_ids),
        "cached_tokens": result.num_cached_tokens,
    }
    if output.logprobs is not None:
        pairs = list(zip(output.token_ids, output.logprobs))
        meta["output_token_logprobs"] = [_entry(token, position) for token, position in pairs]
        meta["output_top_logprobs"] = [
            [_entry(token, position) for token in position] for _, position in pairs
        ]
    return {"text": output.text, "output_ids": list(output.token_ids), "meta_info": meta}


def _entry(token: int, position: Logprobs) -> tuple[float, int, str | None]:
    return (position[token].logprob, token, position[token].decoded_token)


def _finish_reason(output: CompletionOutput) -> dict[str, Any] | None:
    if output.finish_reason is None:
        return None
    reason: dict[str, Any] = {"type": output.finish_reason}
    if output.finish_reason == "length":
        reason["length"] = len(output.token_ids)
    if output.stop_reason is not None:
        reason["matched"] = output.stop_reason
    return reason
