"""`keel serve`: what is done before the server starts."""

from __future__ import annotations

import sys

from .errors import KeelError

# The server takes these names for the same.
MODEL = ("--model", "--model-id", "--model-path")
MODEL_IMPL = ("--model-impl", "--impl")


def prepare(arguments: list[str]) -> list[str]:
    """The server's arguments. With --model-impl transformers the models that have no graph yet are
    exported first."""
    if _values(arguments, MODEL_IMPL)[-1:] != ["transformers"]:
        return arguments
    if _values(arguments, ("--graph-dir",)):
        return arguments
    from .graphs import graph_dir_of

    trusted = any(argument.startswith("--trust-remote-code") for argument in arguments)
    folder = None
    for model in _models(arguments):
        print(f"keel serve: looking for the graph of {model}", file=sys.stderr, flush=True)
        try:
            folder = graph_dir_of(model, trusted) or folder
        except KeelError as error:
            sys.exit(f"keel serve: {error}")
    return arguments + (["--graph-dir", folder] if folder else [])


def _values(arguments: list[str], names: tuple[str, ...]) -> list[str]:
    """The values of a flag, given as `--flag value` or `--flag=value`."""
    found = []
    for argument, following in zip(arguments, [*arguments[1:], None]):
        name, equals, value = argument.partition("=")
        if name not in names:
            continue
        if equals:
            found.append(value)
        elif following is not None:
            found.append(following)
    return found


def _models(arguments: list[str]) -> list[str]:
    """The models of a command line: `--model M`, also as NAME=M,option..., and MODEL if it comes
    first, as vLLM has it."""
    named = [arguments[0]] if arguments and not arguments[0].startswith("-") else []
    named += _values(arguments, MODEL)
    return [model.split(",")[0].rpartition("=")[2] for model in named]
