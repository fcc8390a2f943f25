"""The console script `keel`: Keel's programs under one name.

The C++ programs take this process's place, so that a server is the same one that the build makes.
"""

from __future__ import annotations

import os
import pathlib
import sys

PROGRAMS = pathlib.Path(__file__).parent / "bin"

USAGE = """\
usage: keel COMMAND [ARGUMENT...]

  serve MODEL                 serve models over HTTP, by OpenAI's API and others
  batch                       answer a file of requests
  chat MODEL                  talk to a model in the terminal
  check MODEL                 say whether a model can be served, clause by clause
  bench                       measure a model or a server
  plugin                      look at plugins, pin and sign them
  export-transformers MODEL   write the graph of a transformers model, for --model-impl transformers

keel COMMAND --help explains a command.
"""

# Command: program in keel/bin.
COMMANDS = {
    "serve": "server",
    "batch": "batch",
    "chat": "chat",
    "check": "check",
    "bench": "bench",
    "plugin": "plugin",
}

# Flags of vLLM's, SGLang's and TGI's servers that mean the same under another name.
ALIASES = {
    "--impl": "--model-impl",
    "--model-id": "--model",
    "--model-path": "--model",
}


def main(arguments: list[str] | None = None) -> None:
    """Runs a command. Does not return where a program takes this process's place."""
    command, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command in ("-h", "--help", "help"):
        print(USAGE, end="")
    elif command == "--version":
        from . import abi

        print(abi.version().decode())
    elif command == "export-transformers":
        sys.exit(export_transformers(rest))
    elif command in COMMANDS:
        replace_process(command, rest)
    else:
        sys.exit(f"keel: there is no command '{command}'; keel --help lists them")


def export_transformers(arguments: list[str]) -> int:
    """Writes the graph of a model, in this process."""
    try:
        from .export import command
    except ModuleNotFoundError as error:
        from .graphs import package_of

        missing = package_of(error)
        sys.exit(
            f"keel: export-transformers needs the package {missing}: pip install 'keel[export]'"
        )
    return command.main(arguments)


def replace_process(command: str, arguments: list[str]) -> None:
    """Becomes the program of a command."""
    program = PROGRAMS / COMMANDS[command]
    if not program.exists():
        sys.exit(f"keel: {program} is not there; the wheel of keel brings it")
    if command == "serve":
        from .serve import prepare

        arguments = prepare(translate(arguments))
    sys.stdout.flush()
    os.execv(program, [f"keel {command}", *arguments])


def translate(arguments: list[str]) -> list[str]:
    """The arguments of another server's command line in Keel's names. `--task generate` is what
    Keel does anyway."""
    renamed = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        renamed.append(ALIASES.get(name, name) + equals + value)
    for i, argument in enumerate(renamed):
        if argument == "--task=generate":
            return renamed[:i] + renamed[i + 1 :]
        if argument == "--task" and renamed[i + 1 : i + 2] == ["generate"]:
            return renamed[:i] + renamed[i + 2 :]
    return renamed


if __name__ == "__main__":
    main()
