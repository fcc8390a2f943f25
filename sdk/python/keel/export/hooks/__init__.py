"""Puts Keel's opaque ops where transformers lets a serving system put its own code, for as long as
a trace lasts.

| part | hook | op |
|---|---|---|
| attention, masks | transformers' attention and mask interfaces | `keel::attention` |
| experts | transformers' experts interface; the forward of some classes | `keel::experts` |
| recurrences | functions of the modeling module | `keel::conv1d`, `ssd`, `scan`, `delta` |
| loops over tokens | methods and classes by name | `keel::linear_scan`, `linear_attention` |
| norms, activations | modules that behave like one when tried | `keel::norm`, `keel::act` |
"""

import contextlib
import dataclasses
import sys
import types
from collections import Counter
from collections.abc import Callable, Iterator

import torch
from transformers import masking_utils

from . import activations, attention, experts, norms, own_experts, own_recurrences, recurrences


@dataclasses.dataclass
class Found:
    """What was recognised, for the report."""

    norms: Counter = dataclasses.field(default_factory=Counter)
    activations: Counter = dataclasses.field(default_factory=Counter)
    recurrences: Counter = dataclasses.field(default_factory=Counter)


@contextlib.contextmanager
def installed(model: torch.nn.Module) -> Iterator[Found]:
    """Hooks everything in the model; undone at the end."""
    found = Found()
    with contextlib.ExitStack() as undo:
        for name, module in model.named_modules():
            _choose_implementations(module, undo)
            _set(module, "_keel_name", name, undo)
            for method, function in own_experts.METHODS.get(type(module).__name__, {}).items():
                _set(module, method, types.MethodType(function, module), undo)
            own = own_experts.FORWARDS.get(type(module).__name__)
            if own is not None:
                _set(module, "_keel_act", own_experts.activation_of(module), undo)
                _set_forward(module, own, undo)
            elif experts.has_experts(module):
                _set(module, "_keel_gate", experts.recognise_gate(module), undo)
            elif not any(True for _ in module.children()):
                _hook_leaf(module, found, undo)
        _hook_functions(model, attention.FUNCTIONS, undo)
        found.recurrences.update(_hook_functions(model, recurrences.FUNCTIONS, undo))
        _hook_loops(model, found, undo)
        for name, function in attention.MASK_PARTS.items():
            _set(masking_utils, name, function, undo)
        yield found


def _choose_implementations(module: torch.nn.Module, undo: contextlib.ExitStack) -> None:
    config = getattr(module, "config", None)
    for key, name in (
        ("_attn_implementation", attention.NAME),
        ("_experts_implementation", experts.NAME),
    ):
        if hasattr(config, key) and getattr(config, key) != name:
            undo.callback(setattr, config, key, getattr(config, key))
            setattr(config, key, name)


def _hook_leaf(module: torch.nn.Module, found: Found, undo: contextlib.ExitStack) -> None:
    """Norms and activations, which have no parts of their own."""
    if not any(True for _ in module.parameters()):
        name = activations.recognise_activation(module)
        if name is not None:
            found.activations[type(module).__name__] += 1
            _set_forward(module, lambda self, x: torch.ops.keel.act(x, name), undo)
            return
    arguments = norms.recognise_norm(module)
    if arguments is not None:
        found.norms[type(module).__name__] += 1
        values = dataclasses.astuple(arguments)

        def forward(self, x, *more, **named):
            if any(m is not None for m in (*more, *named.values())):  # a gate: more than a norm
                return type(self).forward(self, x, *more, **named)
            own = norms.parameters_of(self)
            return torch.ops.keel.norm(x, own.get("weight"), own.get("bias"), *values)

        _set_forward(module, forward, undo)


def _hook_functions(
    model: torch.nn.Module, functions: dict[str, Callable], undo: contextlib.ExitStack
) -> Counter:
    """In the modeling files, and in modules that keep the functions as attributes; how many there
    are."""
    found: Counter = Counter()
    files = {
        sys.modules[type(m).__module__]
        for m in model.modules()
        if type(m).__module__ in sys.modules
    }
    for owner in [*files, *model.modules()]:
        for name, function in functions.items():
            if name in vars(owner):
                found[name] += 1
                _set(owner, name, function, undo)
    return found


def _hook_loops(model: torch.nn.Module, found: Found, undo: contextlib.ExitStack) -> None:
    """Recurrences that are loops over the tokens."""
    for module in model.modules():
        forward = own_recurrences.FORWARDS.get(type(module).__name__)
        if forward is not None:
            found.recurrences[type(module).__name__] += 1
            _set_forward(module, forward, undo)
        for name, function in own_recurrences.METHODS.items():
            if hasattr(type(module), name):
                found.recurrences[type(module).__name__] += 1
                _set(module, name, function, undo)


def _set_forward(module: torch.nn.Module, forward, undo: contextlib.ExitStack) -> None:
    _set(module, "forward", types.MethodType(forward, module), undo)


def _set(owner, name: str, value, undo: contextlib.ExitStack) -> None:
    """Sets what __dict__ holds, past torch's own setattr; `undo` puts back what was there."""
    own = vars(owner)
    if name in own:
        undo.callback(own.__setitem__, name, own[name])
    else:
        undo.callback(own.pop, name, None)
    own[name] = value
