"""keel.abi declares what sdk/abi/engine.h does."""

import ast
import re
import unittest

HEADER = "sdk/abi/engine.h"
MODULE = "sdk/python/keel/abi.py"

PROTOTYPE = re.compile(r"^KEEL_ENGINE_API ([^;(]*?)(keel_\w+)\(([^;]*)\);", re.MULTILINE)

# How the module spells a type of C, pointers to handles aside.
SPELLINGS = {
    "void": "None",
    "keel_status": "_status",
    "int32_t": "c.c_int32",
    "uint32_t": "c.c_uint32",
    "int64_t": "c.c_int64",
    "uint64_t": "c.c_uint64",
    "size_t": "_size",
    "double": "c.c_double",
    "keel_bytes_fn": "BytesFn",
    "keel_progress_fn": "ProgressFn",
    "keel_output_fn": "OutputFn",
    "void*": "c.c_void_p",
    "char*": "_text",
    "char**": "c.POINTER(_text)",
    "size_t*": "_sizes",
    "uint64_t*": "c.POINTER(c.c_uint64)",
    "int32_t*": "_ints",
    "int32_t**": "c.POINTER(_ints)",
    "float*": "_floats",
    "float**": "c.POINTER(_floats)",
}
# Texts that are read by their length, not up to a zero.
BY_LENGTH = {"output_text": "c.c_void_p"}


def spelled(text: str) -> str:
    """A type of C, with or without the name of an argument, as the module spells it."""
    text = re.sub(r"\bconst\b", "", text).strip()
    kind, stars = re.match(r"(\w+)\s*([\s*]*)", text).groups()
    stars = stars.replace(" ", "")
    if kind + stars in SPELLINGS:
        return SPELLINGS[kind + stars]
    return {"*": "Handle", "**": "_handles", "***": "c.POINTER(_handles)"}[stars]


def declared() -> dict[str, tuple[str, list[str]]]:
    """What the header declares: {name: (result, arguments)}."""
    with open(HEADER, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL).replace("* const*", "**")
    found = {}
    for result, name, arguments in PROTOTYPE.findall(text):
        listed = [] if arguments.strip() == "void" else arguments.split(",")
        name = name.removeprefix("keel_")
        found[name] = (BY_LENGTH.get(name, spelled(result)), [spelled(a) for a in listed])
    return found


def tables() -> dict[str, tuple[str, list[str]]]:
    """The same of the module's tables, read without loading a library."""
    with open(MODULE, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id in ("SLOW", "QUICK", "LATER"):
            for key, value in zip(node.value.keys, node.value.values):
                result, arguments = value.elts
                listed = [ast.unparse(argument) for argument in arguments.elts]
                found[key.value] = (ast.unparse(result), listed)
    return found


class AbiTest(unittest.TestCase):
    def test_every_function_is_declared_as_in_the_header(self):
        header, module = declared(), tables()
        self.assertGreater(len(module), 40)
        for name, signature in module.items():
            if name in header:
                self.assertEqual(signature, header[name], name)
        self.assertEqual(set(module) - set(header), {"output_vector"} - set(header))


if __name__ == "__main__":
    unittest.main()
