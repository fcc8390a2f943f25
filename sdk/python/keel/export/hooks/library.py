"""The opaque ops that a trace keeps: torch.ops.keel.*, each with its meaning on the CPU."""

from collections.abc import Callable

import torch

LIBRARY = torch.library.Library("keel", "DEF")


def define(schema: str, shape: Callable[..., torch.Tensor]) -> Callable:
    """Defines `name(arguments) -> Tensor` by the function that it decorates; `shape` says what it
    gives."""

    def decorate(function: Callable) -> Callable:
        name = schema.partition("(")[0]
        LIBRARY.define(schema)
        LIBRARY.impl(name, function, "CPU")
        torch.library.register_fake(f"keel::{name}", shape, lib=LIBRARY)
        return function

    return decorate


def like_first(x: torch.Tensor, *_) -> torch.Tensor:
    return torch.empty_like(x)
