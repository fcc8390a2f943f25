"""`LLM`: a model in this process, with the names of vLLM's class."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from typing import Any, Union

from .batch import listed, one_each, run, text_of
from .delta import Delta, merge
from .errors import NotServed
from .graphs import graph_dir_of
from .outputs import (
    BeamSearchOutput,
    BeamSearchSequence,
    ClassificationRequestOutput,
    EmbeddingRequestOutput,
    RequestOutput,
    ScoringRequestOutput,
)
from .params import BeamSearchParams, SamplingParams
from .pooling import PoolingParams, classify, embed
from .progress import Bar, LoadBars, Progress
from .request import Message, Prompt, Request
from .scoring import score
from .session import Session
from .tokenizer import Tokenizer

Params = Union[SamplingParams, Sequence[SamplingParams], None]


class LLM:
    """A model, loaded into this process.

        llm = LLM("path/to/model", max_num_seqs=32)
        for output in llm.generate(["A river is", "A lake is"]):
            print(output.outputs[0].text)

    `model` is the directory of a checkpoint or a Hugging Face id in the on-disk cache; `model_impl`
    one of auto, native, plugin and transformers (a graph of the Python class, exported first if
    there is none yet). Further keywords are the flags of `keel serve`, with _ for -, and
    `keel.list_options()` lists them. `seed` makes what is drawn the same in each run of a program
    that asks the same in the same order. Loading shows a bar on a terminal, none with
    `use_tqdm_on_load=False`, and the bars of a class like tqdm wherever that shows them.

    May be used from several threads at once. Not in a child that fork() made: errors.ForkError.
    """

    def __init__(
        self,
        model: str,
        *,
        model_impl: str = "auto",
        seed: int | None = None,
        use_tqdm_on_load: Progress = True,
        **options: Any,
    ) -> None:
        if model_impl == "transformers" and not options.get("graph_dir"):
            trusted = bool(options.get("trust_remote_code"))
            options["graph_dir"] = graph_dir_of(model, trusted)
        keywords = {"model": model, "model_impl": model_impl, **options}
        self._session = Session(keywords, LoadBars(use_tqdm_on_load))
        self._seeds = None if seed is None else random.Random(seed)

    def __enter__(self) -> LLM:
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def shutdown(self) -> None:
        """Cancels what runs and frees the model."""
        self._session.close()

    @property
    def info(self) -> dict[str, Any]:
        """What was loaded: model, architecture, model_impl, max_model_len, dtype ..."""
        return self._session.info

    # ---- generating

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        sampling_params: Params = None,
        *,
        use_tqdm: Progress = True,
        priority: Sequence[int] | None = None,
    ) -> list[RequestOutput]:
        """Continues each prompt; results come in the order of the prompts.

        A prompt is a text, a list of token ids, or a dict with `prompt` or `prompt_token_ids`, and
        with `multi_modal_data` for what its placeholders stand for (`keel.request.TextPrompt`). One
        prompt alone is a list of one. `sampling_params`: one for all, or one for each. All prompts
        are given to the engine at once, which batches them. An interrupt cancels them.
        """
        some = listed(prompts)
        return self._run(some, _set_prompt, sampling_params, use_tqdm, priority)

    def chat(
        self,
        messages: Sequence[Message] | Sequence[Sequence[Message]],
        sampling_params: Params = None,
        *,
        use_tqdm: Progress = True,
        chat_template: str | None = None,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        tools: list[dict[str, Any]] | None = None,
        documents: list[dict[str, Any]] | None = None,
        chat_template_kwargs: dict[str, Any] | None = None,
        mm_processor_kwargs: dict[str, Any] | None = None,
    ) -> list[RequestOutput]:
        """Answers a conversation, or each of a list of them, by the model's chat template. Images
        are parts of a message's content, of type image_url as OpenAI has them, or image_pil."""
        if chat_template is not None:
            raise NotServed(
                "a chat_template for one call is not served, the model's own is used; put yours "
                "into the checkpoint as chat_template.jinja",
                field="chat_template",
            )
        single = bool(messages) and isinstance(messages[0], dict)
        extra: dict[str, int | str] = {
            "add_generation_prompt": int(add_generation_prompt),
            "continue_final_message": int(continue_final_message),
        }
        named = {
            "tools": tools,
            "documents": documents,
            "chat_template_kwargs": chat_template_kwargs,
            "mm_processor_kwargs": mm_processor_kwargs,
        }
        extra.update({name: json.dumps(value) for name, value in named.items() if value})

        def set_messages(request: Request, conversation: Any) -> None:
            request.set_messages(conversation)
            for name, value in extra.items():
                request.set(name, value)

        conversations = [messages] if single else list(messages)
        return self._run(conversations, set_messages, sampling_params, use_tqdm)

    def beam_search(
        self,
        prompts: Prompt | Sequence[Prompt],
        params: BeamSearchParams,
        *,
        use_tqdm: Progress = False,
    ) -> list[BeamSearchOutput]:
        """The likeliest continuations of each prompt. As in vLLM, a beam's tokens and text hold the
        prompt, too."""
        sampling = SamplingParams(
            n=params.beam_width,
            max_tokens=params.max_tokens,
            temperature=params.temperature or None,
            ignore_eos=params.ignore_eos,
            skip_special_tokens=params.skip_special_tokens,
            include_stop_str_in_output=params.include_stop_str_in_output,
            structured_outputs=params.structured_outputs,
            allowed_token_ids=params.allowed_token_ids,
        )

        def set_prompt(request: Request, prompt: Any) -> None:
            request.set_prompt(prompt)
            request.set("beam_width", params.beam_width)
            request.set("length_penalty", float(params.length_penalty))

        results = self._run(listed(prompts), set_prompt, sampling, use_tqdm)
        return [BeamSearchOutput(self._beams(r, params.skip_special_tokens)) for r in results]

    def _beams(self, result: RequestOutput, skip_special_tokens: bool) -> list[BeamSearchSequence]:
        beams = []
        for output in result.outputs:
            tokens = result.prompt_token_ids + output.token_ids
            text = self._session.detokenize(tokens, skip_special_tokens)
            logprob = output.cumulative_logprob or 0.0
            beams.append(
                BeamSearchSequence(tokens, text, logprob, output.finish_reason, output.stop_reason)
            )
        return beams

    def _run(
        self,
        prompts: Sequence[Any],
        set_prompt: Callable[[Request, Any], None],
        sampling_params: Params,
        use_tqdm: Progress,
        priority: Sequence[int] | None = None,
    ) -> list[RequestOutput]:
        """Generates for each of `prompts`, as `set_prompt` gives it to a request."""
        params = one_each("sampling_params", sampling_params or SamplingParams(), len(prompts))
        priorities = one_each("priority", 0 if priority is None else priority, len(prompts))
        results = [RequestOutput("", text_of(prompt)) for prompt in prompts]

        def request_of(place: int) -> Request:
            request = Request()
            set_prompt(request, prompts[place])
            request.set_params(params[place])
            if params[place].seed is None and self._seeds is not None:
                request.set("seed", self._seeds.getrandbits(31))
            request.set("priority", priorities[place])
            request.set("stream", 0)
            return request

        def take(place: int, number: int, delta: Delta) -> None:
            results[place].request_id = str(number)
            merge(results[place], delta)

        run(self._session, len(prompts), request_of, take, Bar(use_tqdm, len(prompts)))
        return results

    # ---- the rest

    def embed(
        self,
        prompts: Prompt | Sequence[Prompt],
        *,
        pooling_params: PoolingParams | None = None,
        use_tqdm: Progress = True,
    ) -> list[EmbeddingRequestOutput]:
        """The embedding of each prompt."""
        return embed(self._session, prompts, pooling_params, use_tqdm)

    def classify(
        self,
        prompts: Prompt | Sequence[Prompt],
        *,
        pooling_params: PoolingParams | None = None,
        use_tqdm: Progress = True,
    ) -> list[ClassificationRequestOutput]:
        """The probability of each label, of each prompt."""
        return classify(self._session, prompts, pooling_params, use_tqdm)

    def score(
        self,
        queries: str | Sequence[str],
        documents: str | Sequence[str],
        *,
        pooling_params: PoolingParams | None = None,
        use_tqdm: Progress = True,
    ) -> list[ScoringRequestOutput]:
        """How well each document fits its query, in the order of the documents; one query alone is
        that of all. A cross-encoder reads both together; of an embedding model the score is the
        cosine of two vectors."""
        return score(self._session, queries, documents, pooling_params, use_tqdm)

    def get_tokenizer(self) -> Tokenizer:
        """The model's tokenizer: `encode` and `decode`."""
        return Tokenizer(self._session)

    def get_default_sampling_params(self) -> SamplingParams:
        """Parameters that leave all sampling to the model's generation_config.json."""
        return SamplingParams()

    def metrics(self) -> str:
        """The engine's counters, in Prometheus' text format."""
        return self._session.metrics()


def _set_prompt(request: Request, prompt: Prompt) -> None:
    request.set_prompt(prompt)
