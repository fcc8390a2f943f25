"""What comes of a request, with vLLM's names."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass
class Logprob:
    """The log-probability of one token."""

    logprob: float
    rank: int | None = None  # from 1; None: it is not among the alternatives that were asked for
    decoded_token: str | None = None


Logprobs = dict[int, Logprob]  # of one position: the token itself and its alternatives


@dataclasses.dataclass
class CompletionOutput:
    """One continuation of a prompt."""

    index: int
    text: str = ""
    token_ids: list[int] = dataclasses.field(default_factory=list)
    cumulative_logprob: float | None = None
    logprobs: list[Logprobs] | None = None
    finish_reason: str | None = None  # "stop", "length" or "abort"; None while it runs
    stop_reason: int | str | None = None  # the stop token or stop string that ended it

    def finished(self) -> bool:
        """Whether it has ended."""
        return self.finish_reason is not None


@dataclasses.dataclass
class RequestOutput:
    """What came of a prompt."""

    request_id: str
    prompt: str | None
    prompt_token_ids: list[int] = dataclasses.field(default_factory=list)
    prompt_logprobs: list[Logprobs | None] | None = None
    outputs: list[CompletionOutput] = dataclasses.field(default_factory=list)
    finished: bool = False
    num_cached_tokens: int = 0


@dataclasses.dataclass
class BeamSearchSequence:
    """A beam: the prompt's tokens and those that follow it, and the text of both."""

    tokens: list[int]
    text: str
    cum_logprob: float
    finish_reason: str | None = None
    stop_reason: int | str | None = None


@dataclasses.dataclass
class BeamSearchOutput:
    """The beams of a prompt, the likeliest first."""

    sequences: list[BeamSearchSequence]


@dataclasses.dataclass
class EmbeddingOutput:
    """A prompt's vector."""

    embedding: list[float]

    @property
    def hidden_size(self) -> int:
        """How long it is."""
        return len(self.embedding)


@dataclasses.dataclass
class EmbeddingRequestOutput:
    """What came of a prompt that was embedded."""

    request_id: str
    outputs: EmbeddingOutput
    prompt_token_ids: list[int]
    finished: bool = True


@dataclasses.dataclass
class ClassificationOutput:
    """A number for each label of the model, in the order of `LLM.info["pooling"]["labels"]`."""

    probs: list[float]

    @property
    def num_classes(self) -> int:
        """How many labels there are."""
        return len(self.probs)


@dataclasses.dataclass
class ClassificationRequestOutput:
    """What came of a prompt that was classified."""

    request_id: str
    outputs: ClassificationOutput
    prompt_token_ids: list[int]
    finished: bool = True


@dataclasses.dataclass
class ScoringOutput:
    """How well a document fits a query."""

    score: float


@dataclasses.dataclass
class ScoringRequestOutput:
    """What came of a query and a document; `prompt_token_ids` are those of both."""

    request_id: str
    outputs: ScoringOutput
    prompt_token_ids: list[int]
    finished: bool = True
