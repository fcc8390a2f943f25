"""Norms: modules that normalise over the last dimension, recognised by trying them on numbers."""

import dataclasses
import itertools

import torch

from .library import define, like_first


@define(
    "norm(Tensor x, Tensor? weight, Tensor? bias, float eps, bool mean, float offset, bool "
    "cast_last) -> Tensor",
    like_first,
)
def norm(x, weight, bias, eps, mean, offset, cast_last):
    """KEEL_NORM_RMS, with `mean` KEEL_NORM_LAYER."""
    y = x.float()
    if mean:
        y = y - y.mean(-1, keepdim=True)
    y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + eps)
    if not cast_last:
        y = y.to(x.dtype)
    if weight is not None:
        weight = weight.float() if cast_last else weight
        y = y * (weight + offset if offset else weight)
    return (y if bias is None else y + bias).to(x.dtype)


@dataclasses.dataclass(frozen=True)
class NormArguments:
    eps: float
    mean: bool
    offset: float
    cast_last: bool


def parameters_of(module: torch.nn.Module) -> dict[str, torch.nn.Parameter] | None:
    """The norm's "weight" and "bias", as far as it has them; None: it has others. A single one is
    the weight."""
    own = dict(module.named_parameters(recurse=False))
    if len(own) == 1 and "bias" not in own:
        own = {"weight": next(iter(own.values()))}
    if set(own) - {"weight", "bias"} or any(p.dim() != 1 for p in own.values()):
        return None
    return own


def recognise_norm(module: torch.nn.Module) -> NormArguments | None:
    """The arguments of `keel::norm` that give the module's values in f32 and in bf16, or None."""
    parameters = parameters_of(module)
    if parameters is None:
        return None
    saved = {name: p.data for name, p in parameters.items()}
    try:
        with torch.no_grad():
            return _recognise(module, parameters)
    except Exception:  # it takes something else than one tensor
        return None
    finally:
        for name, p in parameters.items():
            p.data = saved[name]


def _recognise(
    module: torch.nn.Module, parameters: dict[str, torch.nn.Parameter]
) -> NormArguments | None:
    random = torch.Generator().manual_seed(0)
    size = next((p.numel() for p in parameters.values()), 32)
    # Large rows say the formula, small ones the eps.
    x = torch.randn(6, size, generator=random) * torch.tensor([3, 1, 1, 0.1, 1e-2, 1e-3])[:, None]
    numbers = {name: torch.randn(p.shape, generator=random) for name, p in parameters.items()}
    _set(parameters, numbers)
    y = module(x)
    if not isinstance(y, torch.Tensor) or y.shape != x.shape or y.dtype != x.dtype:
        return None
    for mean, offset, eps in itertools.product((False, True), (0.0, 1.0), _epsilons(module)):
        tried = norm(x, numbers.get("weight"), numbers.get("bias"), eps, mean, offset, True)
        if torch.allclose(tried, y, atol=1e-5, rtol=1e-5):
            return NormArguments(
                eps, mean, offset, _casts_last(module, parameters, numbers, x, eps, mean, offset)
            )
    return None


def _casts_last(module, parameters, numbers, x, eps, mean, offset) -> bool:
    """In bf16 it shows where the module casts."""
    numbers = {name: n.bfloat16() for name, n in numbers.items()}
    _set(parameters, numbers)
    y = module(x.bfloat16()).float()
    first, last = (
        norm(
            x.bfloat16(), numbers.get("weight"), numbers.get("bias"), eps, mean, offset, cast_last
        ).float()
        for cast_last in (False, True)
    )
    return bool((last - y).abs().sum() < (first - y).abs().sum())


def _epsilons(module: torch.nn.Module) -> list[float]:
    """What the module says, under any name, before the usual ones."""
    said = [v for v in vars(module).values() if isinstance(v, float) and 0 < v < 0.1]
    return list(dict.fromkeys([*said, 1e-6, 1e-5, 1e-12, torch.finfo(torch.float32).eps]))


def _set(parameters: dict[str, torch.nn.Parameter], numbers: dict[str, torch.Tensor]) -> None:
    for name, p in parameters.items():
        p.data = numbers[name]
