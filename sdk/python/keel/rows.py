"""New columns for a column of prompts: what the stages of Ray and Spark have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .llm import LLM
from .params import SamplingParams

COLUMNS = ("text", "finish_reason", "num_generated_tokens")


def answer(
    llm: LLM, params: SamplingParams, column: str, values: Iterable[Any]
) -> dict[str, list[Any]]:
    """The new columns for a column of prompts."""
    ask = llm.chat if column == "messages" else llm.generate
    rows = [_plain(value) for value in values]
    results = ask(rows, params, use_tqdm=False) if rows else []
    outputs = [result.outputs[0] for result in results]
    return {
        "text": [output.text for output in outputs],
        "finish_reason": [output.finish_reason for output in outputs],
        "num_generated_tokens": [len(output.token_ids) for output in outputs],
    }


def _plain(value: Any) -> Any:
    """Text as it is; an array of token ids or messages as a list."""
    if isinstance(value, str):
        return value
    if hasattr(value, "tolist"):
        return value.tolist()
    return list(value)
