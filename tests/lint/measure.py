"""Prints what can be counted of the tree's structure: bazel run //tests/lint:measure.

Code is what ships: .cc, .h and .c of core, apps, sdk and plugins without tests and what serves
tests. Functions are lizard's. A limit that is a rule is a test of its own (include_graph_test).
"""

import os
import re
import statistics
from pathlib import Path

import lizard

from tests.lint import include_graph

TOP = ("sdk", "core", "plugins", "apps")
VAGUE = re.compile(r"(Manager|Helper|Utils?|Handler|Impl|Misc|Data|Info)$")
TYPE = re.compile(r"^\s*(?:class|struct|enum class|enum)\s+(\w+)[^;]*\{", re.MULTILINE)
# A member or function of an ABI header that takes arguments: `name)(` in a table, else
# KEEL_ENGINE_API.
POINTER = re.compile(r"\(\*(\w+)\)\(")
EXPORT = re.compile(r"^KEEL_ENGINE_API\b[^;(]*?(\w+)\(", re.MULTILINE)
TAG = re.compile(
    r"\[(any|load|build|run|callback too|not in a callback|one at a time|[a-z, ]*thread[a-z ]*)\]"
)
EXAMPLE = re.compile(r"^\s*(?://|\*)\s{2,}\S.*[;{]$", re.MULTILINE)  # a line of code in a comment
COMMENT = re.compile(r"^\s*(//|/\*|\*)")


def is_test(path):
    name = path.name
    return (
        path.parts[0] == "tests"
        or name.endswith(("_test.cc", "_test.c", "_bench.cc"))
        or name.startswith(("testing", "fake_"))
        or "testing" in path.parts
    )


def lines_of(root, paths):
    return sum(len((root / path).read_text(errors="replace").splitlines()) for path in paths)


def spread(values):
    """Median, 90th percentile and the largest."""
    values = sorted(values)
    return statistics.median_low(values), values[len(values) * 9 // 10], values[-1]


def share(part, whole):
    return f"{100 * part / whole:.1f} % ({part} of {whole})" if whole else "none"


class Tree:
    """The sources below `root`, as paths relative to it."""

    def __init__(self, root):
        self.root = Path(root)
        files = [path.relative_to(root) for path in include_graph.files(self.root)]
        sources = [path for path in files if path.suffix in (".cc", ".h", ".c")]
        self.code = [p for p in sources if p.parts[0] in TOP and not is_test(p)]
        self.tests = [p for p in sources if is_test(p)]
        self.headers = [p for p in self.code if p.suffix == ".h"]

    def text(self, path):
        return (self.root / path).read_text(errors="replace")

    def lines(self, *patterns):
        """Lines of code in the files that match any of `patterns`."""
        return lines_of(self.root, [p for p in self.code if any(p.match(x) for x in patterns)])


def files(tree):
    sizes = {path: lines_of(tree.root, [path]) for path in tree.code}
    median, p90, _ = spread(sizes.values())
    longest = sorted(sizes, key=sizes.get, reverse=True)[:5]
    yield "files of code, lines", f"{len(sizes)}, {sum(sizes.values())}"
    yield "median / p90 file", f"{median} / {p90}"
    yield "longest files", ", ".join(f"{sizes[path]} {path}" for path in longest)
    yield "files over 400 lines", sum(size > 400 for size in sizes.values())


def functions(tree):
    found = []
    for path in tree.code:
        found += lizard.analyze_file(str(tree.root / path)).function_list
    median, p90, _ = spread([f.length for f in found])
    longest = sorted(found, key=lambda f: f.length, reverse=True)[:3]
    knotted = max(found, key=lambda f: f.cyclomatic_complexity)
    yield "functions: median / p90 lines", f"{median} / {p90} of {len(found)}"
    yield "longest functions", ", ".join(f"{f.length} {f.name}" for f in longest)
    yield "most branches in a function", f"{knotted.cyclomatic_complexity} {knotted.name}"
    yield "functions of 7 parameters or more", sum(len(f.parameters) >= 7 for f in found)


def rooms(tree):
    for label, patterns in {
        "scheduler, lines": ["core/scheduler/scheduler.*", "core/scheduler/sequence.h"],
        "KV pool and prefix cache, lines": ["core/cache/block_*.*", "core/cache/prefix_index.*"],
        "model runner, lines": ["core/*/model_runner.*"],
        "engine, lines": ["core/engine/engine*.*", "core/engine/decoding*.*"],
    }.items():
        yield label, tree.lines(*patterns)
    sizes = {}
    for path in tree.code:
        sizes.setdefault(str(path.parent), []).append(path)
    sizes = {folder: lines_of(tree.root, paths) for folder, paths in sizes.items()}
    largest = sorted(sizes, key=sizes.get, reverse=True)[:5]
    yield "largest folders, lines", ", ".join(f"{sizes[folder]} {folder}" for folder in largest)
    edges = include_graph.folder_edges(tree.root)
    core = [folder for folder in edges if folder.startswith("core/")]
    arrows = sum(used in core for folder in core for used in edges[folder])
    yield "folders of core, arrows", f"{len(core)}, {arrows}"
    yield "breaches and cycles, folders and files", len(include_graph.problems(tree.root))


def families(tree):
    names = sorted(p.stem for p in tree.code if p.parts[0] == "plugins" and p.stem == p.parent.name)
    lines = {name: tree.lines(f"plugins/{name}/{name}.cc") for name in names}
    yield "family files, lines", ", ".join(f"{name} {lines[name]}" for name in names)
    places = {name: [] for name in names}
    for path in include_graph.files(tree.root):
        short, text = str(path.relative_to(tree.root)), path.read_text(errors="replace")
        for name in names:
            if not short.startswith(f"plugins/{name}/") and f'"{name}"' in text:
                places[name].append(short)
    most = max(places, key=lambda name: len(places[name]))
    yield (
        "files that name a family, most",
        f"{len(places[most])} {most} ({', '.join(places[most])})",
    )


def names(tree):
    types = [name for path in tree.code for name in TYPE.findall(tree.text(path))]
    vague = sorted({name for name in types if VAGUE.search(name)})
    yield (
        "vague type names",
        share(len(vague), len(types)) + (": " + ", ".join(vague) if vague else ""),
    )


def words(tree):
    def comments(paths):
        lines = [line for path in paths for line in tree.text(path).splitlines() if line.strip()]
        return f"{100 * sum(bool(COMMENT.match(line)) for line in lines) / len(lines):.0f} %"

    yield "comment lines: headers / all", f"{comments(tree.headers)} / {comments(tree.code)}"
    public = [p for p in tree.headers if p.parts[0] == "sdk" and p.parts[1] in ("abi", "keel")]
    yield "comment lines: sdk/abi / sdk/keel", " / ".join(
        comments([p for p in public if p.parts[1] == folder]) for folder in ("abi", "keel")
    )
    with_example = [p for p in public if EXAMPLE.search(tree.text(p))]
    yield "public headers with an example", share(len(with_example), len(public))
    for header, pattern in (("plugin.h", POINTER), ("engine.h", EXPORT)):
        yield (
            f"sdk/abi/{header}: functions with a thread tag",
            tagged(tree.text(Path("sdk/abi", header)), pattern),
        )


def tagged(text, pattern):
    """Functions whose own lines, the comment above them or their table's comment have a tag."""
    total = own = 0
    blocks = re.split(r"\n\s*\n", text)
    for block in blocks:
        for match in pattern.finditer(block):
            total += 1
            before = block[: match.start()]
            own += bool(TAG.search(block[match.start() :].partition("\n")[0]) or TAG.search(before))
    return share(own, total)


def tests(tree):
    sources = [p for p in tree.code if p.suffix == ".cc" and p.parts[0] in ("core", "apps")]
    beside = [p for p in sources if (tree.root / p.with_name(p.stem + "_test.cc")).exists()]
    yield ".cc with a test beside", share(len(beside), len(sources))
    code = lines_of(tree.root, tree.code)
    yield "tests / code, lines of C++", f"{100 * lines_of(tree.root, tree.tests) / code:.0f} %"
    cases = sum(
        len(re.findall(r"^(?:TYPED_)?TEST(?:_[FP])?\(", tree.text(p), re.MULTILINE))
        for p in tree.tests
    )
    yield "test files, cases", f"{sum(p.name.endswith('_test.cc') for p in tree.tests)}, {cases}"


def main():
    root = os.environ.get("BUILD_WORKSPACE_DIRECTORY") or Path(os.path.realpath("WORKSPACE")).parent
    tree = Tree(root)
    print("| point | value |\n|---|---|")
    for measure in (families, rooms, files, functions, names, words, tests):
        for point, value in measure(tree):
            print(f"| {point} | {value} |", flush=True)


if __name__ == "__main__":
    main()
