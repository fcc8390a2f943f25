"""The binary interface as text: layouts, signatures and constants of the ABI headers.

A difference to layout.golden is a change of the ABI: it needs a line in docs/abi.md, and for
plugin.h a new KEEL_ABI_MINOR. `bazel run //sdk/abi:layout_test -- --update` writes the golden.
"""

import difflib
import os
import re
import subprocess
import sys
import tempfile

HEADERS = ("sdk/abi/plugin.h", "sdk/abi/engine.h")
GOLDEN = "sdk/abi/layout.golden"

STRUCT = re.compile(r"(?:typedef )?struct (\w+)? ?\{([^{}]*)\} ?(\w*) ?;")
CONSTANT = re.compile(r"^#define (KEEL_\w+) +(.+)$", re.MULTILINE)  # no macros with arguments
# Not part of the interface, or different on each system.
NOT_CONSTANTS = ("KEEL_SDK_", "KEEL_STATUS_DEFINED", "KEEL_ENGINE_API")


def strip_comments(text):
    return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)


def declarations(body):
    """(name, text) of each member of a struct's body."""
    for declaration in filter(None, (d.strip() for d in body.split(";"))):
        pointer = re.search(r"\(\*(\w+)\)", declaration)
        if pointer:
            yield pointer.group(1), declaration
            continue
        kind = re.match(r"(?:const |struct )*\w+ ?(?:const)?", declaration).group(0).strip()
        for declarator in declaration[len(kind):].split(","):
            name = re.search(r"(\w+) ?(?:\[\w+\])?$", declarator.strip()).group(1)
            yield name, f"{kind} {declarator.strip()}"


def describe(header):
    """Lines of C statements that print the interface of the header at that path."""
    with open(header, encoding="utf-8") as file:
        raw = strip_comments(file.read())
    flat = re.sub(r"\s+", " ", re.sub(r"^#.*(?:\\\n.*)*$", " ", raw, flags=re.MULTILINE))
    flat = flat.replace('__attribute__((visibility("default"))) ', "").replace(
        "KEEL_ENGINE_API ", ""
    )
    for name, value in CONSTANT.findall(raw):
        if name.endswith("_MIN_SIZE"):
            yield f'printf("define {name} %zu\\n", (size_t)({name}));'
        elif not name.startswith(NOT_CONSTANTS):
            value = value.strip().replace("\\", "\\\\").replace('"', '\\"')
            yield f'puts("define {name} {value}");'
    for tag, body, alias in STRUCT.findall(flat):
        name = alias or f"struct {tag}"
        yield f'printf("struct {name}  size %zu align %zu\\n", sizeof({name}), _Alignof({name}));'
        for member, text in declarations(body):
            yield f'printf("  %3zu  {text}\\n", offsetof({name}, {member}));'
    for statement in STRUCT.sub(";", flat).split(";"):
        text = re.sub(r'^(?: |extern "C" \{|\})*', "", statement).strip()
        if text and not text.startswith("KEEL_FROZEN"):  # the compiler checks these
            yield f'puts("{text}");'


def render(headers):
    """The text of the layouts, signatures and constants of headers at these paths."""
    lines = []
    for header in headers:
        lines += [f'puts("# {header}");', *describe(header)]
    includes = "".join(f'#include "{header}"\n' for header in headers)
    body = "\n  ".join(lines)
    program = f"#include <stdio.h>\n{includes}int main(void) {{\n  {body}\n  return 0;\n}}\n"
    with tempfile.TemporaryDirectory() as directory:
        source, binary = os.path.join(directory, "layout.c"), os.path.join(directory, "layout")
        with open(source, "w", encoding="utf-8") as file:
            file.write(program)
        subprocess.run(["gcc", "-std=c11", "-I.", source, "-o", binary], check=True)
        return subprocess.run([binary], check=True, stdout=subprocess.PIPE, text=True).stdout


def main():
    actual = render(HEADERS)
    if sys.argv[1:] == ["--update"]:
        with open(os.path.join(os.environ["BUILD_WORKSPACE_DIRECTORY"], GOLDEN), "w") as file:
            file.write(actual)
        return 0
    with open(GOLDEN, encoding="utf-8") as file:
        expected = file.read()
    if actual == expected:
        return 0
    sys.stdout.writelines(
        difflib.unified_diff(
            expected.splitlines(True), actual.splitlines(True), GOLDEN, "the headers"
        )
    )
    print("the ABI changed: " + __doc__.split("\n", 2)[2])
    return 1


if __name__ == "__main__":
    sys.exit(main())
