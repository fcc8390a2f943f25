"""How near each family that sees or hears is to transformers: the table of docs/images.md, made of
what vision_test.cc measures.

  ./bazelw run //tests/multimodal:parity -- --update
"""

import argparse
import dataclasses
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

SOURCES = pathlib.Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", "."))
PAGE = "docs/images.md"
BEGIN = "<!-- made by //tests/multimodal:parity -->\n"
END = "<!-- end -->\n"
PROGRAM = pathlib.Path("tests/multimodal/media_parity")
TESTS = ("CountsAreTransformers", "CountsOfVideosAreTransformers", "AnswersAsTransformers",
         "PixelsFeaturesAndLogitsAreTransformers")  # fmt: skip
MODALITIES = {"image": "images", "video": "videos", "audio": "sounds"}
HEADER = (
    "| checkpoint | of | pixels or spectrogram | features | logits | greedy tokens | counts |\n"
    "|---|---|---|---|---|---|---|\n"
)


@dataclasses.dataclass(frozen=True)
class Row:
    """What is known of the media of one kind that one checkpoint takes. Differences are bounds."""

    checkpoint: str
    modality: str
    inputs: float
    features: float
    logits: float
    greedy: str  # "384 of 384"
    counts: str

    def cells(self) -> list[str]:
        numbers = (f"{x:.0e}" for x in (self.inputs, self.features, self.logits))
        return [f"`{self.checkpoint}`", MODALITIES[self.modality], *numbers, self.greedy,
                self.counts]  # fmt: skip

    def line(self) -> str:
        return "| " + " | ".join(self.cells()) + " |\n"


def bound(difference: float) -> float:
    """The power of ten at or above twice of it, as machines differ in last bits; at least 1e-7."""
    return 10.0 ** math.ceil(math.log10(max(2 * difference, 1e-7)))


def measure(checkpoint: str) -> list[Row]:
    """Runs the tests of "llava/default"."""
    family, directory = checkpoint.split("/")
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "report.json")
        subprocess.run(
            [
                PROGRAM,
                f"plugins/{family}/lib{family}.so",
                f"plugins/{family}/testdata/{directory}",
                "--gtest_filter=" + ":".join(f"*.{name}" for name in TESTS),
                f"--gtest_output=json:{report}",
            ],
            check=True,
            stdout=sys.stderr,
        )
        suites = json.loads(report.read_text(encoding="utf-8"))["testsuites"]
    found = {key: value for suite in suites for test in suite["testsuite"]
             for key, value in test.items()}  # fmt: skip
    return [
        Row(
            checkpoint,
            modality,
            bound(float(found[f"{modality}_inputs"])),
            bound(float(found[f"{modality}_features"])),
            bound(float(found["logits"])),
            found["greedy"],
            found["video_counts" if modality == "video" else "counts"],
        )
        for modality in MODALITIES
        if f"{modality}_inputs" in found
    ]


def table(rows: list[Row]) -> str:
    return BEGIN + HEADER + "".join(row.line() for row in rows) + END


def table_of(page: str) -> str:
    begin = page.index(BEGIN)
    return page[begin : page.index(END, begin) + len(END)]


def read(text: str) -> dict[tuple[str, str], list[str]]:
    """The cells of each row of a table, by checkpoint and kind of media."""
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    cells = [row.strip("| ").split(" | ") for row in rows]
    return {(row[0], row[1]): row[2:] for row in cells}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", nargs="+", help="llava/default ...")
    parser.add_argument("--update", action="store_true", help=f"write {PAGE} anew")
    args = parser.parse_args()
    made = table([row for checkpoint in args.checkpoint for row in measure(checkpoint)])
    print(made, end="")
    if args.update:
        path = SOURCES / PAGE
        page = path.read_text(encoding="utf-8")
        path.write_text(page.replace(table_of(page), made), encoding="utf-8")


if __name__ == "__main__":
    main()
