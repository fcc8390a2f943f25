"""Who may use whom in Keel's tree, and what breaks it.

The order is docs/architecture.md's: apps use sdk and core/capi; plugins use sdk; core uses sdk/abi
and, within itself, only folders before; nobody uses apps or tests. Neither folders nor files make
a cycle, where x.h and x.cc count as one.
"""

import ast
import os
import re
from pathlib import Path

TOP = ("sdk", "core", "plugins", "apps", "tests", "third_party")

# A folder of core uses only folders before it.
CORE = (
    "base tensor config checkpoint kernels cache attention parallel graph weights ops compile exec "
    "plugin remote text "
    "chat media processor grammar sampling scheduler model check engine pool conformance capi"
).split()

INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)
SOURCES = (".h", ".cc", ".c", ".hpp", ".cpp", ".inc")


def allowed(user, used):
    """Whether a file of folder `user` may use one of folder `used` ("core/base", "sdk/abi",
    ...)."""
    mine, theirs = user.split("/"), used.split("/")
    if mine[0] == "tests" or theirs[0] == "third_party":
        return mine[0] != "sdk" or theirs[0] != "third_party"
    if mine[0] == "sdk":
        # The ABI stands alone, the C++ side on it alone; template and examples use both.
        reach = {"abi": ["abi"], "keel": ["abi", "keel"]}.get(mine[1] if mine[1:] else "")
        return theirs[0] == "sdk" and (reach is None or theirs[1:2] == [] or theirs[1] in reach)
    if mine[0] == "core":
        if theirs[0] == "core":
            return mine[1] == theirs[1] or _rank(theirs[1]) < _rank(mine[1])
        return theirs[:2] == ["sdk", "abi"]
    if mine[0] == "plugins":
        return theirs[0] == "sdk" or mine[:2] == theirs[:2]
    if mine[0] == "apps":
        # keel-validate runs where no libtorch is, so it can't stand on libkeel.
        if mine[1:2] == ["validate"] and theirs[:2] == ["core", "conformance"]:
            return True
        # keel-bench times kernels by themselves, which no ABI has.
        if mine[1:2] == ["bench"] and theirs[:2] in (["core", "kernels"], ["core", "weights"]):
            return True
        return theirs[0] in ("sdk", "apps") or theirs[:2] == ["core", "capi"]
    return False


def _rank(folder):
    return CORE.index(folder) if folder in CORE else -1


def problems(root):
    """Every breach of the order below `root`, each as a line of text."""
    found, edges, units = [], {}, {}
    for path in files(Path(root)):
        name = str(path.relative_to(root))
        folder = os.path.dirname(name)
        parts = folder.split("/")
        if parts[0] == "core" and (len(parts) < 2 or parts[1] not in CORE):
            found.append(
                f"{name}: core/{'/'.join(parts[1:])} is not in the order of folders (CORE)"
            )
            continue
        for used in _uses(path, name):
            if used.split("/")[0] not in TOP or used == folder:
                continue
            if not allowed(folder, used):
                found.append(f"{name}: {folder} may not use {used}")
            edges.setdefault(folder, {}).setdefault(used, name)
        for used in _included(path):
            if _unit(used) != _unit(name):
                units.setdefault(_unit(name), {}).setdefault(_unit(used), name)
    return found + _cycles(edges) + _cycles(units)


def folder_edges(root):
    """The folders that each folder uses."""
    edges = {}
    for path in files(Path(root)):
        name = str(path.relative_to(root))
        used = {use for use in _uses(path, name) if use.split("/")[0] in TOP}
        edges.setdefault(os.path.dirname(name), set()).update(used - {os.path.dirname(name)})
    return edges


def files(root):
    """Sources and BUILD files below `root`."""
    for top in TOP:
        for directory, folders, names in os.walk(root / top):
            folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "testdata")
            for name in sorted(names):
                if name == "BUILD" or name.endswith(SOURCES):
                    yield Path(directory, name)


def _unit(name):
    """x.h and x.cc are one unit: what one includes the other depends on."""
    return os.path.splitext(name)[0]


def _included(path):
    """The headers of this tree that a source includes."""
    if path.name == "BUILD":
        return []
    found = INCLUDE.findall(path.read_text(encoding="utf-8", errors="replace"))
    return [include for include in found if include.split("/")[0] in TOP]


def _uses(path, name):
    """The folders whose headers or libraries a file names."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.name != "BUILD":
        return sorted({os.path.dirname(include) for include in INCLUDE.findall(text)})
    labels = set()
    for node in ast.walk(ast.parse(text, name)):
        if isinstance(node, ast.keyword) and node.arg in ("deps", "implementation_deps"):
            for leaf in ast.walk(node.value):
                if isinstance(leaf, ast.Constant) and str(leaf.value).startswith("//"):
                    labels.add(leaf.value[2:].partition(":")[0])
    return sorted(labels)


def _cycles(edges):
    """Cycles between folders, or between units of source, each once."""
    found, done = [], set()

    def visit(folder, trail):
        if folder in trail:
            cycle = trail[trail.index(folder) :] + [folder]
            why = ", ".join(edges[a][b] for a, b in zip(cycle, cycle[1:]))
            found.append(f"cycle: {' -> '.join(cycle)} (by {why})")
        elif folder not in done:
            for used in sorted(edges.get(folder, ())):
                visit(used, trail + [folder])
            done.add(folder)

    for folder in sorted(edges):
        visit(folder, [])
    return found
