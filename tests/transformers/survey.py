"""Exports every causal language model of transformers and holds each against itself in Keel's engine.

  ./bazelw run //tests/transformers:survey -- [--update] [--jobs N] [CLASS ...]

For each class: a tiny checkpoint with random weights, its graph file, and the engine's logits (every prompt position)
and greedy tokens against transformers', whole, in chunks and batched with others. coverage.tsv beside this file says
what came of it. --update writes what is better than it was; a class that was equal and is not any more is an error.
"""

import argparse
import contextlib
import csv
import dataclasses
import multiprocessing
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import apart
import reasons
import transformers_env  # noqa: F401, puts transformers on the path

SOURCES = pathlib.Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
TABLE = SOURCES / "tests/transformers/coverage.tsv"
PAGE = SOURCES / "docs/transformers-coverage.md"
GUIDE = SOURCES / "docs/transformers.md"  # which says the count
COUNT = re.compile(r"\d+ of \d+ decoders equal \(\d+ %\)")
CHECK_GRAPH = "tests/transformers/check_graph"
VERSION = "5.23"
FIELDS = ("class", "model_type", "result", "reason")

# From nothing to all. "apart" is no decoder by itself (apart.py).
RESULTS = ("apart", "not run", "not built", "not traced", "not converted", "refused", "different", "equal")
MEANING = {
    "equal": "logits and tokens as transformers'",
    "different": "runs, but gives other logits or tokens",
    "refused": "exported, but the engine does not take the graph",
    "not converted": "something in it has no counterpart in a graph",
    "not traced": "torch.export, or a hook of the exporter, cannot take it",
    "not run": "not surveyed yet",
    "not built": "no tiny model of it could be made",
    "apart": "no causal decoder by itself",
}
SECONDS = 240  # for one class


@dataclasses.dataclass
class Row:
    name: str
    model_type: str = ""
    result: str = "not built"
    reason: str = ""
    seconds: float = 0.0

    def cells(self) -> list[str]:
        return [self.name, self.model_type, self.result, self.reason]


def survey_class(name: str, check_graph: str, work: pathlib.Path) -> Row:
    """Everything about one class, in this process."""
    row = _survey_class(name, check_graph, work)
    if row.result != "equal":
        row.reason = reasons.REASONS.get(name, row.reason)
    return row


def _survey_class(name: str, check_graph: str, work: pathlib.Path) -> Row:
    import golden
    import keel.export.export
    from keel.export import Refused, build, emit, trace

    row = Row(name, golden.model_class(name).config_class.model_type)
    if name in apart.APART:
        row.result, row.reason = "apart", apart.APART[name]
        return row
    directory = work / name
    directory.mkdir(parents=True, exist_ok=True)
    try:
        golden.write(golden.model_class(name), directory)
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
        row.reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return row


def _is_equal(line: str) -> bool:
    _, difference, tokens = line.split()
    return float(difference) <= 1e-4 and tokens == "same"


def _short(error: Exception, kind: bool = True) -> str:
    text = " ".join(str(error).split())
    return (f"{type(error).__name__}: {text}" if kind else text)[:300]


def warm_up() -> None:
    """Exports a model, so that what torch imports and keeps for that is there before processes fork."""
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


# ---- the table


def read_table() -> dict[str, Row]:
    if not TABLE.exists():
        return {}
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return {r["class"]: Row(*(r[field] for field in FIELDS)) for r in rows}


def write_table(rows: dict[str, Row]) -> None:
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, lineterminator="\n", quotechar=None)
        writer.writerow(FIELDS)
        for row in sorted(rows.values(), key=lambda r: r.name.lower()):
            writer.writerow([cell.replace("\t", " ") for cell in row.cells()])


def is_worse(row: Row, before: Row | None) -> bool:
    return before is not None and RESULTS.index(row.result) < RESULTS.index(before.result)


def summary(rows: dict[str, Row]) -> str:
    counts = Counter(row.result for row in rows.values())
    decoders = sum(counts.values()) - counts["apart"]
    share = 100 * counts["equal"] / max(decoders, 1)
    rest = ", ".join(f"{counts[r]} {r}" for r in reversed(RESULTS) if counts[r] and r not in ("equal", "apart"))
    said = [f"{counts['equal']} of {decoders} decoders equal ({share:.0f} %)", rest or "none is left"]
    return "; ".join([*said, f"{counts['apart']} apart"])


PAGE_BEGINNING = """\
# Which models of transformers can be exported?

The classes that `AutoModelForCausalLM` of transformers {version} knows, each with random weights and a tiny
configuration: traced once, converted to a graph file ([transformers.md](transformers.md)), and held in Keel's engine
against the class itself, in fp32: the logits of all prompt positions within 1e-4 of the largest, and 32 greedy tokens;
whole, in chunks, and batched with others.

{summary}.

`./bazelw run //tests/transformers:survey -- --update` makes this page and `tests/transformers/coverage.tsv`, which may
only get better.
"""


def page(rows: dict[str, Row]) -> str:
    """docs/transformers-coverage.md."""
    counts = Counter(row.result for row in rows.values())
    by_name = sorted(rows.values(), key=lambda r: r.name.lower())
    lines = ["| result | classes | meaning |", "|---|---|---|"]
    lines += [f"| {r} | {counts[r]} | {MEANING[r]} |" for r in reversed(RESULTS) if counts[r]]
    equal = ", ".join(f"`{row.name}`" for row in by_name if row.result == "equal")
    lines += ["", "## Equal", "", *textwrap.wrap(equal, 120, break_on_hyphens=False)]
    lines += ["", "## The rest", "", "| class | result | why |", "|---|---|---|"]
    for row in by_name:
        if row.result != "equal":
            reason = row.reason.replace("|", "\\|").replace("<", "&lt;")
            lines.append(f"| `{row.name}` | {row.result} | {reason} |")
    beginning = PAGE_BEGINNING.format(version=VERSION, summary=summary(rows))
    return beginning + "\n" + "\n".join(lines) + "\n"


def write_pages(rows: dict[str, Row]) -> None:
    PAGE.write_text(page(rows), encoding="utf-8")
    GUIDE.write_text(COUNT.sub(COUNT.search(summary(rows)).group(), GUIDE.read_text(encoding="utf-8")), encoding="utf-8")


def survey(names: Sequence[str], check_graph: str, work: pathlib.Path, jobs: int, keep: bool = False) -> Iterator[Row]:
    """Rows as they come."""
    work.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool:
        for future in as_completed([pool.submit(in_process, n, check_graph, work, keep) for n in names]):
            yield future.result()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("classes", nargs="*", metavar="CLASS", help="only these")
    parser.add_argument("--check-graph", default=CHECK_GRAPH, help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, default=1, help="classes at once (default 1)")
    parser.add_argument("--update", action="store_true", help="write coverage.tsv")
    parser.add_argument("--allow-worse", action="store_true", help="with --update: also what is worse than it was")
    parser.add_argument("--page", action="store_true", help="only write docs/transformers*.md anew")
    parser.add_argument("--keep", type=pathlib.Path, metavar="DIR", help="keep checkpoints, graphs and logs there")
    args = parser.parse_args()

    if args.page:
        write_pages(read_table())
        return 0
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    import tiny_configs

    warm_up()
    names = args.classes or tiny_configs.classes()
    before, rows, worse = read_table(), {}, []
    with contextlib.ExitStack() as stack:
        work = args.keep or pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keel-survey-")))
        for row in survey(names, args.check_graph, work, args.jobs, bool(args.keep)):
            rows[row.name] = row
            if is_worse(row, before.get(row.name)):
                worse.append(row.name)
            print(f"[{len(rows)}/{len(names)}] {row.name}: {row.result} {row.seconds:.0f} s  {row.reason}", flush=True)
    print(summary(rows))
    if worse:
        print(f"worse than coverage.tsv says: {' '.join(worse)}")
    if args.update:
        table = before | {n: r if args.allow_worse or n not in worse else before[n] for n, r in rows.items()}
        write_table(table)
        write_pages(table)
    return int(bool(worse))


if __name__ == "__main__":
    sys.exit(main())
