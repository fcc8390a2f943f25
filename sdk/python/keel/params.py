"""What to generate: the parameters of a request, with vLLM's names and defaults."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any


class RequestOutputKind(enum.Enum):
    """What a stream's outputs hold. Results of `LLM` are always whole."""

    CUMULATIVE = 0
    DELTA = 1
    FINAL_ONLY = 2


@dataclasses.dataclass
class StructuredOutputsParams:
    """What the text must be: one of the first five."""

    json: str | dict | None = None  # a JSON schema
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None  # Lark or EBNF
    json_object: bool | None = None
    disable_any_whitespace: bool = False
    disable_additional_properties: bool = False
    whitespace_pattern: str | None = None


@dataclasses.dataclass
class SamplingParams:
    """How to continue a prompt.

    A sampling value that stays None is the model's own (generation_config.json), else the neutral
    one: temperature 1, top_p 1, top_k off, no penalties. In vLLM that holds for
    `LLM.get_default_sampling_params()` alone, and a plain `SamplingParams()` is neutral.
    """

    n: int = 1
    presence_penalty: float | None = None  # -2 to 2
    frequency_penalty: float | None = None  # -2 to 2
    repetition_penalty: float | None = None  # above 0
    temperature: float | None = None  # 0: the likeliest token
    top_p: float | None = None
    top_k: int | None = None  # 0 and -1: all
    min_p: float | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool = False
    max_tokens: int | None = 16  # None: what the model's config says, else the rest of the context
    min_tokens: int = 0
    logprobs: int | None = None  # so many alternatives a token; -1: all
    prompt_logprobs: int | None = None
    detokenize: bool = True
    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True
    include_stop_str_in_output: bool = False
    output_kind: RequestOutputKind = RequestOutputKind.CUMULATIVE
    structured_outputs: StructuredOutputsParams | None = None
    logit_bias: dict[int, float] | None = None
    allowed_token_ids: list[int] | None = None
    bad_words: list[str] | None = None
    extra_args: dict[str, Any] | None = None
    # Keel's own.
    typical_p: float | None = None
    best_of: int | None = None  # so many are generated, the n likeliest given
    timeout_ms: int | None = None  # then it ends with "abort" and what there is

    @classmethod
    def from_optional(cls, **values: Any) -> SamplingParams:
        """Parameters from those of `values` that are not None."""
        return cls(**{name: value for name, value in values.items() if value is not None})

    def clone(self) -> SamplingParams:
        """A copy."""
        return dataclasses.replace(self)


@dataclasses.dataclass
class BeamSearchParams:
    """Beam search: the `beam_width` likeliest continuations."""

    beam_width: int
    max_tokens: int
    ignore_eos: bool = False
    temperature: float = 0.0
    length_penalty: float = 1.0
    include_stop_str_in_output: bool = False
    skip_special_tokens: bool = True
    structured_outputs: StructuredOutputsParams | None = None
    allowed_token_ids: list[int] | None = None
