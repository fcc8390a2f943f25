"""Exports classes of transformers and holds each against itself in Keel's engine.

Language models, and models of vectors.

  ./bazelw run //tests/transformers:survey -- [--update] [--jobs N] [CLASS ...]

For each class: a tiny checkpoint with random weights, its graph file, and the engine's logits
(every prompt position) and greedy tokens, or its vectors, against transformers', whole, in chunks
and batched with others. coverage.tsv and coverage_vectors.tsv beside this file say what came of it.
--update writes what is better than it was; a class that was equal and is not any more is an error.
"""

import argparse
import contextlib
import multiprocessing
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import apart
import reasons
import transformers_env  # noqa: F401, puts transformers on the path
import vector_classes
from tables import TEXT, VECTORS, Row, Table, is_worse, write_pages

CHECK_GRAPH = "tests/transformers/check_graph"
SECONDS = 240  # for one class


def survey_class(name: str, check_graph: str, work: pathlib.Path) -> Row:
    """Everything about one class, in this process."""
    row = _survey_class(name, check_graph, work)
    if row.result != "equal":
        row.reason = (reasons.REASONS | vector_classes.REASONS).get(name, row.reason)
    return row


def table_of(name: str) -> Table:
    import tiny_configs

    return TEXT if name in tiny_configs.classes() else VECTORS


def _survey_class(name: str, check_graph: str, work: pathlib.Path) -> Row:
    import golden
    import golden_vectors
    import keel.export.export
    from keel.export import Refused, build, emit

    row = Row(name, golden.model_class(name).config_class.model_type)
    said = (apart.APART | vector_classes.APART).get(name)
    if said is not None:
        row.result, row.reason = "apart", said
        return row
    directory = work / name
    directory.mkdir(parents=True, exist_ok=True)
    try:
        writer = golden if table_of(name) is TEXT else golden_vectors
        writer.write(golden.model_class(name), directory)
    except Exception as error:
        row.reason = _short(error)
        return row
    try:
        config = golden.config_of(golden.model_class(name), directory)
        row.result = "not traced"
        model = build.build_model(config, golden.model_class(name))
        graph = keel.export.export.export(model).graph
        row.result = "not converted"
        graph_file = directory / "keel-graph.pb"
        graph_file.write_bytes(emit.emit(graph).SerializeToString(deterministic=True))
    except Refused as error:
        row.result = "not traced" if "torch.export" in str(error) else "not converted"
        row.reason = _short(error, kind=False)
        return row
    except Exception as error:
        row.reason = _short(error)
        traceback.print_exc()
        return row
    done = subprocess.run([check_graph, graph_file, directory], capture_output=True, text=True)
    row.result = {0: "equal", 1: "different"}.get(done.returncode, "refused")
    if row.result == "different":
        lines = [line for line in done.stdout.splitlines() if not _is_equal(line)]
        row.reason = ", ".join(lines)
    elif row.result == "refused":
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        row.reason = said.removeprefix(f"{directory}: ")
    return row


def _is_equal(line: str) -> bool:
    _, difference, tokens = line.split()
    return float(difference) <= 1e-4 and tokens == "same"


def _short(error: Exception, kind: bool = True) -> str:
    text = " ".join(str(error).split())
    return (f"{type(error).__name__}: {text}" if kind else text)[:300]


def warm_up() -> None:
    """Exports a model, so that what torch imports and keeps for that is there before processes
    fork."""
    import keel.export.export
    import tiny_configs
    import transformers
    from keel.export import build

    model_class = transformers.LlamaForCausalLM
    keel.export.export.export(build.build_model(tiny_configs.tiny_config(model_class), model_class))


def in_process(name: str, check_graph: str, work: pathlib.Path, keep: bool) -> Row:
    """survey_class in a process of its own, which may crash or hang."""
    start = time.monotonic()
    ours, theirs = multiprocessing.Pipe(duplex=False)

    def child() -> None:
        sys.stdout = sys.stderr = open(work / f"{name}.log", "w", buffering=1)
        theirs.send(survey_class(name, check_graph, work))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    row = Row(name, reason=f"takes more than {SECONDS} s")
    if ours.poll(SECONDS):
        try:
            row = ours.recv()
        except EOFError:
            process.join()
            row.reason = f"its process ends with {process.exitcode}"
    process.kill()
    process.join()
    if not keep:
        shutil.rmtree(work / name, ignore_errors=True)
    row.seconds = time.monotonic() - start
    return row


def survey(
    names: Sequence[str], check_graph: str, work: pathlib.Path, jobs: int, keep: bool = False
) -> Iterator[Row]:
    """Rows as they come."""
    work.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool:
        for future in as_completed(
            [pool.submit(in_process, n, check_graph, work, keep) for n in names]
        ):
            yield future.result()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("classes", nargs="*", metavar="CLASS", help="only these")
    parser.add_argument("--check-graph", default=CHECK_GRAPH, help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, default=1, help="classes at once (default 1)")
    parser.add_argument("--update", action="store_true", help="write the tables and the page")
    parser.add_argument(
        "--allow-worse", action="store_true", help="with --update: also what is worse than it was"
    )
    parser.add_argument("--page", action="store_true", help="only write docs/transformers*.md anew")
    parser.add_argument(
        "--keep", type=pathlib.Path, metavar="DIR", help="keep checkpoints, graphs and logs there"
    )
    args = parser.parse_args()

    if args.page:
        write_pages()
        return 0
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    import tiny_configs

    warm_up()
    names = args.classes or [*tiny_configs.classes(), *vector_classes.classes()]
    before, rows, worse = TEXT.read() | VECTORS.read(), {}, []
    with contextlib.ExitStack() as stack:
        work = args.keep or pathlib.Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="keel-survey-"))
        )
        for row in survey(names, args.check_graph, work, args.jobs, bool(args.keep)):
            rows[row.name] = row
            if is_worse(row, before.get(row.name)):
                worse.append(row.name)
            if args.update and (args.allow_worse or row.name not in worse):
                table_of(row.name).write(table_of(row.name).read() | {row.name: row})
            print(
                f"[{len(rows)}/{len(names)}] {row.name}: {row.result} {row.seconds:.0f} s  "
                f"{row.reason}",
                flush=True,
            )
    for table in (TEXT, VECTORS):
        own = {n: r for n, r in rows.items() if table_of(n) is table}
        if own:
            print(table.summary(own))
    if worse:
        print(f"worse than the table says: {' '.join(worse)}")
    if args.update:
        write_pages()
    return int(bool(worse))


if __name__ == "__main__":
    sys.exit(main())
