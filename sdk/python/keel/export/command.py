"""keel export-transformers CHECKPOINT [-o DIR] [--trust-remote-code] [--report]"""

import argparse
import os
import pathlib
import sys
import warnings
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    _quiet()
    try:
        from .checkpoint import GRAPH_FILE, export_checkpoint
        from .graph import Refused
        from .report import text
    except ModuleNotFoundError as error:
        print(
            f"export-transformers needs the package {error.name}: pip install torch transformers "
            "protobuf",
            file=sys.stderr,
        )
        return 1
    checkpoint = _directory(options.checkpoint)
    try:
        said = export_checkpoint(
            checkpoint, options.output, trust_remote_code=options.trust_remote_code
        )
    except (Refused, OSError, ValueError) as error:
        print(f"{options.checkpoint} cannot be exported: {error}", file=sys.stderr)
        return 1
    if options.report:
        print(text(said))
    print(f"wrote {pathlib.Path(options.output or checkpoint) / GRAPH_FILE}")
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="keel export-transformers",
        description="Writes the graph of a transformers model, which Keel serves without Python.",
    )
    parser.add_argument(
        "checkpoint", help="a directory with config.json, or an id in the Hugging Face cache"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", help="where keel-graph.pb goes (default: the checkpoint)"
    )
    parser.add_argument(
        "--trust-remote-code", action="store_true", help="run the Python files that auto_map names"
    )
    parser.add_argument(
        "--report",
        action="store_true",
        help="say what was recognised, and what stays as primitives",
    )
    return parser.parse_args(arguments)


def _directory(name: str) -> pathlib.Path:
    """The directory itself, or that of an id that was downloaded before."""
    if os.path.isdir(name):
        return pathlib.Path(name)
    from huggingface_hub import snapshot_download

    try:
        return pathlib.Path(snapshot_download(name, local_files_only=True))
    except Exception as error:
        sys.exit(
            f"{name} is no directory, and no model in the Hugging Face cache "
            f"({type(error).__name__})"
        )


def _quiet() -> None:
    """Of the libraries below, what does not concern who exports."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    warnings.filterwarnings("ignore")


if __name__ == "__main__":
    sys.exit(main())
