"""How well documents fit queries: by a cross-encoder, or by the embeddings of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .delta import Delta
from .errors import InvalidArgument, NotServed
from .outputs import ScoringOutput, ScoringRequestOutput
from .pooling import PoolingParams, embed, vectors
from .progress import Progress
from .request import Request
from .session import Session


def score(
    session: Session, queries: Any, documents: Any, params: PoolingParams | None, use_tqdm: Progress
) -> list[ScoringRequestOutput]:
    """A score for each document and its query; one query is that of all documents."""
    first, second = _texts("queries", queries), _texts("documents", documents)
    if len(first) not in (1, len(second)):
        raise InvalidArgument(
            f"queries has {len(first)} texts and documents {len(second)}, expected one, or as many",
            field="queries",
        )
    of_pairs = _read_together if session.info["task"] == "classify" else _by_cosine
    return of_pairs(session, first, second, params, use_tqdm)


def _texts(name: str, given: Any) -> list[str]:
    texts = [given] if isinstance(given, str) else list(given)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidArgument(f"{name}[{i}] is {text!r:.80}, expected a str", field=name)
    return texts


def _read_together(
    session: Session,
    queries: list[str],
    documents: list[str],
    params: PoolingParams | None,
    use_tqdm: Progress,
) -> list[ScoringRequestOutput]:
    """The one label's number of each pair."""
    labels = session.info["pooling"]["size"]
    if labels != 1:
        raise NotServed(
            f"the model has {labels} labels, and a score needs a model with one, or one that gives "
            "embeddings; use classify",
            field="model",
        )

    def set_pair(request: Request, pair: tuple[str, str]) -> None:
        request.set_prompt(pair[0])
        request.set("text_pair", pair[1])

    def make(number: int, delta: Delta) -> ScoringRequestOutput:
        output = ScoringOutput(delta.vector[0])
        return ScoringRequestOutput(str(number), output, delta.prompt_token_ids or [])

    pairs = list(zip(_one_each(queries, documents), documents))
    return vectors(session, "classify", pairs, params, use_tqdm, make, set_pair)


def _by_cosine(
    session: Session,
    queries: list[str],
    documents: list[str],
    params: PoolingParams | None,
    use_tqdm: Progress,
) -> list[ScoringRequestOutput]:
    """The cosine of the embeddings of each pair; a text is embedded once."""
    found = embed(session, queries + documents, params, use_tqdm)
    seconds = found[len(queries) :]
    return [
        ScoringRequestOutput(
            f"{first.request_id}_{second.request_id}",
            ScoringOutput(_cosine(first.outputs.embedding, second.outputs.embedding)),
            first.prompt_token_ids + second.prompt_token_ids,
        )
        for first, second in zip(_one_each(found[: len(queries)], seconds), seconds)
    ]


def _one_each(queries: list[Any], documents: list[Any]) -> list[Any]:
    return queries * len(documents) if len(queries) == 1 else queries


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    product = sum(x * y for x, y in zip(a, b))
    return product / max(math.hypot(*a) * math.hypot(*b), 1e-12)
