"""A request as the engine takes it, made of a prompt and parameters."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Sequence
from typing import Any, TypedDict, Union

from . import abi
from .errors import InvalidArgument, NotServed
from .media import add_media, take_media
from .params import SamplingParams, StructuredOutputsParams


class TextPrompt(TypedDict, total=False):
    """A text, as a dict. What its placeholders stand for is in `multi_modal_data`: {"image": item}
    or a list of items, of which each is a PIL image, an array of uint8 [height, width, 3], a file's
    bytes or its path, or a URL. Prompts with another `cache_salt` share no cached prefix."""

    prompt: str
    multi_modal_data: dict[str, Any]
    mm_processor_kwargs: dict[str, Any]
    cache_salt: str


class TokensPrompt(TypedDict, total=False):
    """Token ids, as a dict; `prompt` is their text, if it is known."""

    prompt_token_ids: list[int]
    prompt: str
    multi_modal_data: dict[str, Any]
    mm_processor_kwargs: dict[str, Any]
    cache_salt: str


Message = dict[str, Any]  # {"role": "user", "content": "hi"}
Prompt = Union[str, Sequence[int], TextPrompt, TokensPrompt]

# Parameters by how they are set. Those not listed are not the engine's.
_INTS = (
    "n",
    "top_k",
    "seed",
    "max_tokens",
    "min_tokens",
    "logprobs",
    "prompt_logprobs",
    "best_of",
    "timeout_ms",
    "ignore_eos",
    "skip_special_tokens",
    "include_stop_str_in_output",
)
_FLOATS = (
    "temperature",
    "top_p",
    "min_p",
    "typical_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
)
_STRING_LISTS = ("stop", "bad_words")
_INT_LISTS = ("stop_token_ids", "allowed_token_ids")
_PROMPT_KEYS = {
    "prompt",
    "prompt_token_ids",
    "multi_modal_data",
    "mm_processor_kwargs",
    "cache_salt",
}
# What vLLM has and Keel does only one way.
_FIXED = {"detokenize": True, "spaces_between_special_tokens": True, "extra_args": None}


class Request:
    """A request to be submitted: a handle of engine.h that frees itself."""

    def __init__(self) -> None:
        self.handle = ctypes.c_void_p()
        abi.check(abi.request_new(ctypes.byref(self.handle)))

    def __del__(self) -> None:
        if self.handle:
            abi.request_free(self.handle)

    def set(self, name: str, value: int | float | str) -> None:
        """Sets a parameter by its name in engine.h, by the type of its value."""
        key = name.encode()
        if isinstance(value, str):
            data = value.encode()
            abi.check(abi.request_set_string(self.handle, key, data, len(data)))
        elif isinstance(value, float):
            abi.check(abi.request_set_float(self.handle, key, value))
        else:
            abi.check(abi.request_set_int(self.handle, key, int(value)))

    def set_prompt(self, prompt: Prompt) -> None:
        """Text, token ids, or a dict with one of them."""
        given: Any = self._set_dict(prompt) if isinstance(prompt, dict) else prompt
        if isinstance(given, str):
            data = given.encode()
            abi.check(abi.request_set_prompt_text(self.handle, data, len(data)))
            return
        try:
            ids = (ctypes.c_int32 * len(given))(*given)
        except TypeError:
            raise InvalidArgument(
                f"prompt is {prompt!r:.80}, expected a str, a list of token ids, or a dict with "
                "'prompt' or 'prompt_token_ids'",
                field="prompt",
            ) from None
        abi.check(abi.request_set_prompt_tokens(self.handle, ids, len(ids)))

    def _set_dict(self, prompt: Any) -> Any:
        unknown = set(prompt) - _PROMPT_KEYS
        if unknown:
            raise NotServed(
                f"prompt has {', '.join(sorted(unknown))}, which Keel does not serve",
                field="prompt",
            )
        if prompt.get("cache_salt"):
            self.set("cache_salt", prompt["cache_salt"])
        if prompt.get("multi_modal_data"):
            add_media(self.handle, prompt["multi_modal_data"])
        if prompt.get("mm_processor_kwargs"):
            self.set("mm_processor_kwargs", json.dumps(prompt["mm_processor_kwargs"]))
        ids = prompt.get("prompt_token_ids")
        return prompt.get("prompt") if ids is None else list(ids)

    def set_messages(self, messages: Sequence[Message]) -> None:
        """A conversation, for the model's chat template. Parts of images, videos and sounds are
        OpenAI's, and vLLM's image_pil."""
        data = json.dumps(take_media(self.handle, messages)).encode()
        abi.check(abi.request_set_messages(self.handle, data, len(data)))

    def set_params(self, params: SamplingParams) -> None:
        """All of `params` that are set."""
        for name, only in _FIXED.items():
            if getattr(params, name) != only:
                raise NotServed(
                    f"{name} is {getattr(params, name)!r}, Keel serves only {only!r}", field=name
                )
        for name in _INTS:
            self._set_number(name, getattr(params, name), int)
        for name in _FLOATS:
            self._set_number(name, getattr(params, name), float)
        for name in _STRING_LISTS:
            values = getattr(params, name) or []
            for text in [values] if isinstance(values, str) else values:
                data = text.encode()
                abi.check(abi.request_add_string(self.handle, name.encode(), data, len(data)))
        for name in _INT_LISTS:
            for token in getattr(params, name) or []:
                abi.check(abi.request_add_int(self.handle, name.encode(), token))
        for token, bias in (params.logit_bias or {}).items():
            abi.check(abi.request_add_logit_bias(self.handle, int(token), bias))
        if params.structured_outputs is not None:
            self._set_structured(params.structured_outputs)

    def _set_number(self, name: str, value: Any, kind: type) -> None:
        if value is None:
            return
        if not isinstance(value, (int, float)) or (kind is int and value != int(value)):
            what = "a whole number" if kind is int else "a number"
            raise InvalidArgument(f"{name} is {value!r}, expected {what}", field=name)
        self.set(name, kind(value))

    def _set_structured(self, wanted: StructuredOutputsParams) -> None:
        if wanted.json is not None:
            schema = wanted.json
            self.set("structured_json", schema if isinstance(schema, str) else json.dumps(schema))
        if wanted.regex is not None:
            self.set("structured_regex", wanted.regex)
        if wanted.choice is not None:
            self.set("structured_choice", json.dumps(wanted.choice))
        if wanted.grammar is not None:
            self.set("structured_grammar", wanted.grammar)
        if wanted.json_object:
            self.set("structured_json_object", "{}")
        if wanted.disable_any_whitespace:
            self.set("structured_disable_any_whitespace", 1)
        if wanted.disable_additional_properties:
            self.set("structured_disable_additional_properties", 1)
        if wanted.whitespace_pattern is not None:
            self.set("structured_whitespace_pattern", wanted.whitespace_pattern)
