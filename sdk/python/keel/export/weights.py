"""Random weights that take no memory, so that a model of any size can be traced and tried on a
small machine.

A tensor of them is a window on a short row of random numbers: w[i, j] = row[3 i + j]. Its rows
differ, its columns differ, and it is no multiple of its transpose, which is what trying a model
needs.
"""

import contextlib
import zlib
from collections.abc import Iterator

import torch

STRIDES = (13, 7, 3, 1)  # of the last four dimensions


@contextlib.contextmanager
def unfilled() -> Iterator[None]:
    """Modules made inside get parameters of their shape whose memory is never touched: windows, as
    soon as they are set."""
    from transformers.initialization import no_init_weights

    register = torch.nn.Module.register_parameter

    def registered(self, name, parameter):
        if parameter is not None and parameter.dim() > 1:
            parameter.data = window(parameter.shape, parameter.dtype, name)
        register(self, name, parameter)

    torch.nn.Module.register_parameter = registered
    try:
        with no_init_weights():
            yield
    finally:
        torch.nn.Module.register_parameter = register


def fill(model: torch.nn.Module, dtype: torch.dtype) -> None:
    """Sets each weight to random numbers of `dtype`; the same numbers for the same name and
    shape."""
    kept_in_f32 = _kept_in_f32(model)
    for name, parameter in model.named_parameters():
        f32 = any(part in name.split(".") for part in kept_in_f32)
        parameter.data = window(parameter.shape, torch.float32 if f32 else dtype, name)
        parameter.requires_grad_(False)
    buffers = dict(model.named_buffers())
    for name in model.state_dict():
        if name in buffers and _is_unset(buffers[name]):  # what a checkpoint holds is a weight
            buffers[name].data = window(buffers[name].shape, buffers[name].dtype, name)


def _is_unset(buffer: torch.Tensor) -> bool:
    """Whether it has no numbers yet that others go with: decays of a linear attention, and what is
    made of them."""
    return (
        buffer.is_floating_point()
        and buffer.numel() > 0
        and bool((buffer == buffer.flatten()[0]).all())
    )


def window(shape: torch.Size, dtype: torch.dtype, name: str) -> torch.Tensor:
    strides = STRIDES[len(STRIDES) - len(shape) :] if shape else ()
    if len(shape) > len(STRIDES):
        raise ValueError(f"{name} has {len(shape)} dimensions, expected at most {len(STRIDES)}")
    size = 1 + sum(stride * (n - 1) for stride, n in zip(strides, shape))
    random = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    spread = 0.5 if len(shape) < 2 else shape[-1] ** -0.5
    row = torch.randn(size, generator=random) * spread
    return row.to(dtype).as_strided(shape, strides)


def _kept_in_f32(model: torch.nn.Module) -> set[str]:
    """Parts of names whose weights a model keeps in f32 whatever it is loaded as."""
    said = (getattr(m, "_keep_in_fp32_modules_strict", None) for m in model.modules())
    return {part for parts in said for part in parts or ()}
