"""Keel: language models in a Python program.

    from keel import LLM
    print(LLM("path/to/model").generate("A river is")[0].outputs[0].text)

`LLM` and `SamplingParams` have the names of vLLM's, `Engine` those of SGLang's. docs/python.md
tells more.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine import Engine
    from .errors import (
        EngineError,
        EngineTimeout,
        ForkError,
        InvalidArgument,
        KeelError,
        NotFound,
        NotServed,
        QueueFull,
    )
    from .llm import LLM
    from .options import list_options
    from .outputs import (
        BeamSearchOutput,
        BeamSearchSequence,
        ClassificationOutput,
        ClassificationRequestOutput,
        CompletionOutput,
        EmbeddingOutput,
        EmbeddingRequestOutput,
        Logprob,
        RequestOutput,
        ScoringOutput,
        ScoringRequestOutput,
    )
    from .params import (
        BeamSearchParams,
        RequestOutputKind,
        SamplingParams,
        StructuredOutputsParams,
    )
    from .pooling import PoolingParams
    from .request import TextPrompt, TokensPrompt
    from .tokenizer import Tokenizer

# Imported when first used: `keel serve` and an import of the exporter load no engine.
_WHERE = {
    "engine": ["Engine"],
    "errors": [
        "EngineError",
        "EngineTimeout",
        "ForkError",
        "InvalidArgument",
        "KeelError",
        "NotFound",
        "NotServed",
        "QueueFull",
    ],
    "llm": ["LLM"],
    "options": ["list_options"],
    "outputs": [
        "BeamSearchOutput",
        "BeamSearchSequence",
        "ClassificationOutput",
        "ClassificationRequestOutput",
        "CompletionOutput",
        "EmbeddingOutput",
        "EmbeddingRequestOutput",
        "Logprob",
        "RequestOutput",
        "ScoringOutput",
        "ScoringRequestOutput",
    ],
    "params": [
        "BeamSearchParams",
        "RequestOutputKind",
        "SamplingParams",
        "StructuredOutputsParams",
    ],
    "pooling": ["PoolingParams"],
    "request": ["TextPrompt", "TokensPrompt"],
    "tokenizer": ["Tokenizer"],
}
_SUBMODULES = {"export", "ray", "spark"}
_MODULE = {name: module for module, names in _WHERE.items() for name in names}

__all__ = sorted(_MODULE)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return importlib.import_module(".abi", __name__).version().decode()
    if name in _SUBMODULES:
        return importlib.import_module("." + name, __name__)
    if name not in _MODULE:
        raise AttributeError(f"module 'keel' has no attribute '{name}'")
    return getattr(importlib.import_module("." + _MODULE[name], __name__), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
