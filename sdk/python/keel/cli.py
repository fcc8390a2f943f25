"""The console script `keel`: the program of that name, and what only Python does.

The program takes this process's place, so that a server is the same one that the build makes.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

PROGRAM = pathlib.Path(__file__).parent / "bin" / "keel"

MORE_USAGE = """\

Of the Python package:
  export-transformers MODEL   write the graph of a transformers model, for --model-impl transformers
"""


def main(arguments: list[str] | None = None) -> None:
    """Runs a command. Does not return where the program takes this process's place."""
    command, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command == "export-transformers":
        sys.exit(export_transformers(rest))
    if not PROGRAM.exists():
        sys.exit(f"keel: {PROGRAM} is not there; the wheel of keel brings it")
    if command in ("-h", "--help", "help"):
        subprocess.run([PROGRAM, "--help"], check=True)
        print(MORE_USAGE, end="")
        return
    if command == "serve":
        from .serve import prepare

        rest = prepare(rest)
    sys.stdout.flush()
    os.execv(PROGRAM, ["keel", command, *rest])


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


if __name__ == "__main__":
    main()
