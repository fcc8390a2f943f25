"""A stage of a Ray Data pipeline that continues the prompts of its rows.

    import ray
    from keel.ray import KeelGenerate

    rows = ray.data.read_json("prompts.jsonl")
    rows.map_batches(
        KeelGenerate,
        fn_constructor_kwargs={"model": "path/to/model", "sampling": {"max_tokens": 64}},
        compute=ray.data.ActorPoolStrategy(size=2), num_cpus=8, batch_size=256,
    ).write_json("answers")

Each of the two workers loads the model once; those of one machine share its file in memory.
`num_cpus` is the engine's threads (Ray sets OMP_NUM_THREADS to it). A batch of at least four times
max_num_seqs keeps the engine full.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .llm import LLM
from .params import SamplingParams
from .rows import answer


class KeelGenerate:
    """Adds columns `text`, `finish_reason` and `num_generated_tokens` to rows.

    `column`: of the prompts, texts or token ids; "messages" holds conversations. `sampling`: fields
    of `keel.SamplingParams`. `options`: keywords of `keel.LLM`.
    """

    def __init__(
        self,
        model: str,
        sampling: Mapping[str, Any] | None = None,
        column: str = "prompt",
        **options: Any,
    ) -> None:
        self._llm = LLM(model, **options)
        self._params = SamplingParams(**(sampling or {}))
        self._column = column

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Takes and gives a batch of Ray Data: columns by name."""
        return {**batch, **answer(self._llm, self._params, self._column, batch[self._column])}
