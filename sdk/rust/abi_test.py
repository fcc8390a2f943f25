"""The Rust bindings have the header's layout and numbers; sdk/rust/update_abi.sh writes them
anew."""

import pathlib
import re
import unittest

BINDINGS = pathlib.Path("sdk/rust/src/abi.rs").read_text(encoding="utf-8")
GOLDEN = pathlib.Path("sdk/abi/layout.golden").read_text(encoding="utf-8")
# plugin_note.h is not bound.
PLUGIN_H = GOLDEN.split("# sdk/abi/plugin_note.h")[0].split("# sdk/abi/engine.h")[0]


def golden_layout() -> dict[str, int]:
    """ "keel_host": 40, "keel_host::log": 32 ...: sizes of structs and offsets of fields."""
    layout, struct = {}, ""
    for line in PLUGIN_H.splitlines():
        if found := re.match(r"struct (\w+)  size (\d+)", line):
            struct = found[1]
            layout[struct] = int(found[2])
        elif found := re.match(r" +(\d+)  (.*)$", line):
            name = re.search(r"\(\*(\w+)\)", found[2]) or re.search(r"(\w+)(\[\w+\])*$", found[2])
            layout[f"{struct}::{name[1]}"] = int(found[1])
    return layout


def bound_layout() -> dict[str, int]:
    """The same, from the assertions that the Rust compiler checks."""
    layout = {
        name: int(size)
        for name, size in re.findall(r"size_of::<(\w+)>\(\) - (\d+)usize", BINDINGS)
    }
    for struct, field, offset in re.findall(
        r"offset_of!\((\w+), (\w+)\)\s+- (\d+)usize", BINDINGS
    ):
        layout[f"{struct}::{field.removesuffix('_')}"] = int(offset)  # self, impl: Rust's words
    return layout


class AbiTest(unittest.TestCase):
    def test_structs(self) -> None:
        expected, bound = golden_layout(), bound_layout()
        self.assertGreater(len(expected), 150)
        for name, value in expected.items():
            if name.startswith("keel_"):
                self.assertEqual(bound.get(name), value, name)

    def test_constants(self) -> None:
        expected = dict(re.findall(r"^define (KEEL_\w+) (\w+)$", PLUGIN_H, re.MULTILINE))
        bound = dict(re.findall(r"^pub const (KEEL_\w+): \w+ = (\d+);", BINDINGS, re.MULTILINE))
        self.assertGreater(len(expected), 60)
        for name, value in expected.items():
            if name.endswith("_MIN_SIZE"):
                continue  # by offsetof, which is not bound
            self.assertEqual(bound.get(name), str(int(value.rstrip("u"), 0)), name)


if __name__ == "__main__":
    unittest.main()
