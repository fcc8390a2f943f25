"""What coverage.tsv and coverage_vectors.tsv say, and the page that prints them:
docs/transformers-coverage.md."""

import csv
import dataclasses
import os
import pathlib
import re
import textwrap
from collections import Counter

SOURCES = pathlib.Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
PAGE = SOURCES / "docs/transformers-coverage.md"
GUIDE = SOURCES / "docs/transformers.md"  # which says the counts
VERSION = "5.23"
FIELDS = ("class", "model_type", "result", "reason")

# From nothing to all. "apart" is none of those that its table counts.
RESULTS = ("apart", "not run", "not built", "not traced", "not converted", "refused", "different",
           "equal")
MEANING = {
    "equal": "the numbers of transformers",
    "different": "runs, but gives other numbers",
    "refused": "exported, but the engine does not take the graph",
    "not converted": "something in it has no counterpart in a graph",
    "not traced": "torch.export, or a hook of the exporter, cannot take it",
    "not run": "not surveyed yet",
    "not built": "no tiny model of it could be made",
    "apart": "none of those that are counted",
}


@dataclasses.dataclass
class Row:
    name: str
    model_type: str = ""
    result: str = "not built"
    reason: str = ""
    seconds: float = 0.0

    def cells(self) -> list[str]:
        return [self.name, self.model_type, self.result, self.reason]


def is_worse(row: Row, before: Row | None) -> bool:
    return before is not None and RESULTS.index(row.result) < RESULTS.index(before.result)


@dataclasses.dataclass(frozen=True)
class Table:
    """A file beside this one, a row a class, which may only get better, and the part of the page
    that prints it."""

    file: str
    title: str
    counted: str  # what its classes are
    said: str  # of them, on the page

    @property
    def path(self) -> pathlib.Path:
        return SOURCES / "tests/transformers" / self.file

    @property
    def count(self) -> re.Pattern:
        return re.compile(rf"\d+ of \d+ {self.counted} equal \(\d+ %\)")

    def read(self) -> dict[str, Row]:
        if not self.path.exists():
            return {}
        with self.path.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
            return {r["class"]: Row(*(r[field] for field in FIELDS)) for r in rows}

    def write(self, rows: dict[str, Row]) -> None:
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(
                file, delimiter="\t", quoting=csv.QUOTE_NONE, lineterminator="\n", quotechar=None
            )
            writer.writerow(FIELDS)
            for row in sorted(rows.values(), key=lambda r: r.name.lower()):
                writer.writerow([cell.replace("\t", " ") for cell in row.cells()])

    def summary(self, rows: dict[str, Row]) -> str:
        counts = Counter(row.result for row in rows.values())
        whole = sum(counts.values()) - counts["apart"]
        share = 100 * counts["equal"] / max(whole, 1)
        rest = ", ".join(
            f"{counts[r]} {r}"
            for r in reversed(RESULTS)
            if counts[r] and r not in ("equal", "apart")
        )
        said = [
            f"{counts['equal']} of {whole} {self.counted} equal ({share:.0f} %)",
            rest or "none is left",
        ]
        return "; ".join([*said, f"{counts['apart']} apart"])

    def section(self) -> list[str]:
        rows = self.read()
        counts = Counter(row.result for row in rows.values())
        by_name = sorted(rows.values(), key=lambda r: r.name.lower())
        lines = [f"## {self.title}", "", self.said, "", f"{self.summary(rows)}.", ""]
        lines += ["| result | classes | meaning |", "|---|---|---|"]
        lines += [f"| {r} | {counts[r]} | {MEANING[r]} |" for r in reversed(RESULTS) if counts[r]]
        equal = ", ".join(f"`{row.name}`" for row in by_name if row.result == "equal")
        lines += ["", "Equal:", "", *textwrap.wrap(equal, 120, break_on_hyphens=False)]
        lines += ["", "The rest:", "", "| class | result | why |", "|---|---|---|"]
        for row in by_name:
            if row.result != "equal":
                reason = row.reason.replace("|", "\\|").replace("<", "&lt;")
                lines.append(f"| `{row.name}` | {row.result} | {reason} |")
        return lines


TEXT = Table(
    "coverage.tsv",
    "Models that generate text",
    "decoders",
    """\
The classes that `AutoModelForCausalLM` knows: the logits of all prompt positions within 1e-4 of the largest, and 32 greedy
tokens; whole, in chunks, and batched with others.""",  # noqa: E501
)
VECTORS = Table(
    "coverage_vectors.tsv",
    "Models that answer with vectors",
    "models of vectors",
    """\
The classes that `AutoModelForSequenceClassification` knows, and the base models of those that `AutoModelForMaskedLM` knows:
the hidden states of each token, or the numbers for the labels (of a causal class those of every beginning of the text),
within 1e-4 of the largest; alone, batched with others, and of causal ones in chunks.""",  # noqa: E501
)
TABLES = (TEXT, VECTORS)

PAGE_BEGINNING = f"""\
# Which models of transformers can be exported?

The classes of transformers {VERSION}, each with random weights and a tiny configuration: traced once, converted to a graph
file ([transformers.md](transformers.md)), and held in Keel's engine against the class itself, in fp32.

`./bazelw run //tests/transformers:survey -- --update` makes this page, `tests/transformers/coverage.tsv` and
`coverage_vectors.tsv`, which may only get better.
"""  # noqa: E501


def page() -> str:
    return "\n".join([PAGE_BEGINNING, *TEXT.section(), "", *VECTORS.section()]) + "\n"


def write_pages() -> None:
    """The page, and the counts in the guide."""
    PAGE.write_text(page(), encoding="utf-8")
    guide = GUIDE.read_text(encoding="utf-8")
    for table in TABLES:
        guide = table.count.sub(table.count.search(table.summary(table.read())).group(), guide)
    GUIDE.write_text(guide, encoding="utf-8")
