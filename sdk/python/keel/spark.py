"""A function for Spark's mapInPandas that continues the prompts of a DataFrame's rows.

    from keel.spark import generate, schema

    rows = spark.read.json("prompts.jsonl")
    rows.mapInPandas(generate("path/to/model", {"max_tokens": 64}), schema(rows.schema))

A Python worker loads the model once and keeps it for all its tasks: run one task at a time in an
executor (spark.task.cpus = spark.executor.cores), and leave spark.python.worker.reuse on.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas
    from pyspark.sql.types import StructType

    from .llm import LLM

Frames = Iterator["pandas.DataFrame"]


def generate(
    model: str,
    sampling: Mapping[str, Any] | None = None,
    column: str = "prompt",
    **options: Any,
) -> Callable[[Frames], Frames]:
    """A function of an iterator over frames that adds the columns of `schema`.

    `column`: of the prompts, texts or token ids; "messages" holds conversations. `sampling`: fields
    of `keel.SamplingParams`. `options`: keywords of `keel.LLM`.
    """
    key, fields = json.dumps({"model": model, **options}), dict(sampling or {})

    def run(frames: Frames) -> Frames:
        # Imported by the worker: what Spark sends it holds no module's state.
        from keel.params import SamplingParams
        from keel.rows import answer
        from keel.spark import llm_of_worker

        llm, params = llm_of_worker(key), SamplingParams(**fields)
        for frame in frames:
            yield frame.assign(**answer(llm, params, column, frame[column]))

    return run


@functools.cache
def llm_of_worker(key: str) -> LLM:
    """The engine of this process with these keywords, as JSON."""
    from .llm import LLM

    return LLM(**json.loads(key))


def schema(rows: StructType) -> StructType:
    """The schema of what `generate` gives for rows of the schema `rows`."""
    from pyspark.sql.types import IntegerType, StringType, StructType

    return (
        StructType(list(rows.fields))
        .add("text", StringType())
        .add("finish_reason", StringType())
        .add("num_generated_tokens", IntegerType())
    )
