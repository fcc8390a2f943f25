"""From a model of transformers to an ExportedProgram whose hard parts are single `keel::` ops."""

import contextlib
import dataclasses
import inspect
import re
from collections.abc import Iterator

import torch
import transformers.exporters.exporter_dynamo  # noqa: F401, registers the patches named "dynamo"
from transformers.exporters.utils import apply_patches

from . import hooks
from .backbone import TOKEN_TYPES, Backbone
from .graph import Refused

# Of the example; no size of a model may be equal to it by accident, but none is wrong if it is.
LENGTH = 7
MAX_LENGTH = 1 << 16
_BOUND = re.compile(r"N = Dim\('N',(?: min=\d+,)? max=(\d+)\)")  # what torch.export suggests
_FIRST_POSITION = "_keel_first_position"
SAME = 1e-3  # of the largest number: what rounding makes of the same positions


@dataclasses.dataclass
class Trace:
    program: torch.export.ExportedProgram
    found: hooks.Found
    most_tokens: int | None  # longer texts are computed in another way


class _Logits(torch.nn.Module):
    """The model as a function of ids [1, N], positions [1, N] and perhaps token types to what it is
    asked for."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model
        self.takes = set(inspect.signature(_called(model).forward).parameters)
        self.first = first_position(model)

    def forward(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor,
        token_types: torch.Tensor | None = None,
    ) -> torch.Tensor:
        position_ids = position_ids + self.first if self.first else position_ids
        arguments = {"position_ids": position_ids, "use_cache": False, "return_dict": True}
        if "lengths" in self.takes:  # which would be counted in the ids: all are of one text
            arguments["attention_mask"] = torch.ones_like(input_ids)
        if token_types is not None:
            arguments[TOKEN_TYPES] = token_types
        given = {name: value for name, value in arguments.items() if name in self.takes}
        return _said(_called(self.model)(input_ids=input_ids, **given))


def first_position(model: torch.nn.Module) -> int:
    """What is added to positions, as `trace` has found it."""
    return vars(model).get(_FIRST_POSITION, 0)


def _called(model: torch.nn.Module) -> torch.nn.Module:
    return model.base if isinstance(model, Backbone) else model


def _said(out) -> torch.Tensor:
    logits = getattr(out, "logits", None)
    return out.last_hidden_state if logits is None else logits


def example(length: int, vocab_size: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and positions of one row."""
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, vocab_size, (1, length), generator=random), torch.arange(length)[None]


def example_types(model: torch.nn.Module, length: int) -> torch.Tensor | None:
    """Token types of one row; None: the model tells none apart."""
    count = model.num_token_types() if isinstance(model, Backbone) else 0
    return torch.arange(length)[None] % count if count else None


def trace(model: torch.nn.Module) -> Trace:
    """Traces `model` (bf16 weights, so that every cast to f32 can be seen) over a number of tokens
    N."""
    model.eval()
    with _buffers_kept(model):
        vars(model)[_FIRST_POSITION] = _first_position(model)
    with _buffers_kept(model):
        return _trace(model)


def _trace(model: torch.nn.Module) -> Trace:
    most = getattr(model.config.get_text_config(), "max_position_embeddings", None) or MAX_LENGTH
    most = (
        min(MAX_LENGTH, most - first_position(model)) if most > 0 else MAX_LENGTH
    )  # tables of positions end there
    with hooks.installed(model) as found, refusing():
        try:
            program, bound = _of_tokens(model, most), None
        except torch._dynamo.exc.UserError as error:  # longer texts are computed in another way
            suggested = _BOUND.search(str(error))
            if suggested is None:
                raise
            bound = int(suggested.group(1))
            program = _of_tokens(model, bound)
    return Trace(program, found, bound)


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Where models are traced: with transformers' patches for that, and what torch.export raises as
    a refusal."""
    with torch.no_grad(), apply_patches("dynamo"):
        try:
            yield
        except Refused:
            raise
        except Exception as error:
            raise Refused(f"torch.export cannot trace it: {_first_line(error)}") from error


def _of_tokens(model: torch.nn.Module, most: int) -> torch.export.ExportedProgram:
    inputs, types = (
        example(LENGTH, model.get_input_embeddings().weight.shape[0]),
        example_types(model, LENGTH),
    )
    return exported(_Logits(model), inputs if types is None else (*inputs, types), 1, most)


def exported(
    module: torch.nn.Module, inputs: tuple, dim: int, most: int
) -> torch.export.ExportedProgram:
    """The program for up to `most` tokens, which are dimension `dim` of each input."""
    tokens = torch.export.Dim("N", min=2, max=most)
    program = torch.export.export(module, inputs, dynamic_shapes=({dim: tokens},) * len(inputs),
                                  strict=False,
                                  prefer_deferred_runtime_asserts_over_guards=True)  # fmt: skip
    return program.run_decompositions({})  # takes no op apart, but makes values of writes in place


@contextlib.contextmanager
def _buffers_kept(model: torch.nn.Module) -> Iterator[None]:
    """Puts them back at the end: some models round their tables to the type of what they are
    given."""
    held = [
        (module, name, buffer)
        for module in model.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    try:
        yield
    finally:
        for module, name, buffer in held:
            setattr(module, name, buffer)


def _first_position(model: torch.nn.Module) -> int:
    """The position of the first token if a model is given none: some count from 2, or from behind
    their padding index."""
    padding = getattr(model.config.get_text_config(), "pad_token_id", None)
    called = _called(model)
    if "position_ids" not in inspect.signature(called.forward).parameters:
        return 0
    behind = 0 if padding is None else padding + 1
    # Not the padding's, nor one that a class takes for it whatever its configuration says.
    ids = torch.arange(LENGTH)[None] + _called(model).get_input_embeddings().weight.shape[0] // 2
    ids = ids + LENGTH if padding is not None and padding in ids else ids
    positions = torch.arange(LENGTH)[None]
    with torch.no_grad():
        try:
            said = _said(called(input_ids=ids, use_cache=False))
            for first in (0, behind, 1, 2):
                own = _said(called(input_ids=ids, position_ids=positions + first, use_cache=False))
                if (own - said).abs().max() <= SAME * said.abs().max():
                    return first
        except Exception:  # the trace says why
            return 0
    raise Refused(
        "its first token is at none of the positions 0, 1, 2 and one behind its padding's, "
        f"{behind}, if it is given none"
    )


def logits_of(
    model: torch.nn.Module,
    ids: torch.Tensor,
    positions: torch.Tensor,
    token_types: torch.Tensor | None = None,
) -> torch.Tensor:
    """What the model itself says: [N, vocabulary], of a backbone [N, size], of a classifier
    [labels]."""
    with torch.no_grad():
        return _Logits(model.eval())(ids, positions, token_types)[0]


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"
