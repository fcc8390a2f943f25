"""Vectors instead of text: parameters and results, with vLLM's names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from .batch import listed, run
from .delta import Delta
from .outputs import (
    ClassificationOutput,
    ClassificationRequestOutput,
    EmbeddingOutput,
    EmbeddingRequestOutput,
)
from .progress import Bar, Progress
from .request import Request
from .session import Session


@dataclasses.dataclass
class PoolingParams:
    """How a model's numbers become a vector."""

    dimensions: int | None = None  # the first so many, of models made for it
    use_activation: bool | None = None  # False: not normalized, no probabilities


def vectors(
    session: Session,
    task: str,
    prompts: Sequence[Any],
    params: PoolingParams | None,
    use_tqdm: Progress,
    make: Callable[[int, Delta], Any],
    set_prompt: Callable[[Request, Any], None] = Request.set_prompt,
) -> list[Any]:
    """`make` of the vector of each of `prompts`, as `set_prompt` gives it to a request."""
    session.needs("output_vector", "vectors")
    found: list[Any] = [None] * len(prompts)

    def request_of(place: int) -> Request:
        request = Request()
        set_prompt(request, prompts[place])
        request.set("task", task)
        if params is not None and params.dimensions is not None:
            request.set("dimensions", params.dimensions)
        if params is not None and params.use_activation is not None:
            request.set("use_activation", int(params.use_activation))
        return request

    def take(place: int, number: int, delta: Delta) -> None:
        if delta.error is not None:
            raise delta.error
        if delta.last:
            found[place] = make(number, delta)

    run(session, len(prompts), request_of, take, Bar(use_tqdm, len(prompts)))
    return found


def embed(
    session: Session, prompts: Any, params: PoolingParams | None, use_tqdm: Progress
) -> list[EmbeddingRequestOutput]:
    """The embedding of each prompt."""

    def make(number: int, delta: Delta) -> EmbeddingRequestOutput:
        output = EmbeddingOutput(delta.vector)
        return EmbeddingRequestOutput(str(number), output, delta.prompt_token_ids or [])

    return vectors(session, "embed", listed(prompts), params, use_tqdm, make)


def classify(
    session: Session, prompts: Any, params: PoolingParams | None, use_tqdm: Progress
) -> list[ClassificationRequestOutput]:
    """A number for each label, of each prompt."""

    def make(number: int, delta: Delta) -> ClassificationRequestOutput:
        output = ClassificationOutput(delta.vector)
        return ClassificationRequestOutput(str(number), output, delta.prompt_token_ids or [])

    return vectors(session, "classify", listed(prompts), params, use_tqdm, make)
