"""`keel serve`: what is done before the server starts."""

from __future__ import annotations

import sys

from .errors import KeelError


def prepare(arguments: list[str]) -> list[str]:
    """The server's arguments. With --model-impl transformers the models that have no graph yet are
    exported first."""
    if _value(arguments, "--model-impl") != "transformers" or _value(arguments, "--graph-dir"):
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


def _value(arguments: list[str], flag: str) -> str | None:
    """The last value of a flag, given as `--flag value` or `--flag=value`."""
    found = None
    for i, argument in enumerate(arguments):
        if argument.startswith(flag + "="):
            found = argument[len(flag) + 1 :]
        elif argument == flag and i + 1 < len(arguments):
            found = arguments[i + 1]
    return found


def _models(arguments: list[str]) -> list[str]:
    """The models of a command line: `--model M`, and MODEL if it comes first, as vLLM has it."""
    models = [arguments[0]] if arguments and not arguments[0].startswith("-") else []
    named = _value(arguments, "--model")
    return models + ([named] if named else [])
