"""The engine's options from keyword arguments: Keel's flags with _ for -, and names of vLLM and
SGLang that mean the same."""

from __future__ import annotations

import ctypes
import json
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from . import abi

# The same under another name.
ALIASES = {
    "impl": "model_impl",
    "model_path": "model",
    "context_length": "max_model_len",
    "tp_size": "tensor_parallel_size",
    "pp_size": "pipeline_parallel_size",
    "max_running_requests": "max_num_seqs",
    "chunked_prefill_size": "max_num_batched_tokens",
    "kv_cache_memory": "kv_cache_memory_bytes",
}

# What scripts for a GPU say and a CPU has no use for: left out, with one warning.
NEEDLESS = {
    "cpu_offload_gb",
    "disable_custom_all_reduce",
    "disable_cuda_graph",
    "enforce_eager",
    "gpu_memory_utilization",
    "log_level",
    "mem_fraction_static",
    "swap_space",
}


class Option(NamedTuple):
    """One option of the engine: the server's flag of the same name."""

    name: str
    group: str
    value_name: str  # "" for a switch
    default: str
    help: str


def describe() -> Iterator[Option]:
    """Every option there is, in the order of help."""
    texts = [ctypes.c_char_p() for _ in Option._fields]
    index = 0
    while not abi.option_describe(index, *map(ctypes.byref, texts)):
        yield Option(*((text.value or b"").decode() for text in texts))
        index += 1


def list_options() -> str:
    """The keywords of LLM and Engine, as text for people."""
    lines = []
    for option in describe():
        default = f" (default {option.default})" if option.default else ""
        lines.append(f"    {option.name.replace('-', '_')}: {option.help}{default}")
    return "\n".join(lines)


def flags_of(keywords: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(flag, value) of each keyword that is not None; a list gives its flag several times."""
    flags = []
    for keyword, value in keywords.items():
        if keyword in NEEDLESS:
            warnings.warn(
                f"{keyword} does nothing in Keel, which computes on the CPU", stacklevel=4
            )
            continue
        if value is None:
            continue
        name = ALIASES.get(keyword, keyword).replace("_", "-")
        for one in value if isinstance(value, (list, tuple)) else [value]:
            flags.append((name, _text_of(one)))
    return flags


def _text_of(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict) else str(value)
