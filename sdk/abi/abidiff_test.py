"""libabigail's opinion, beside released_test's: it reads what a compiler made of the header.

Skipped where abidiff (Debian's abigail-tools) is not installed.
"""

import glob
import os
import re
import shutil
import subprocess
import tempfile
import unittest

HEADER = "sdk/abi/plugin.h"
RELEASED = "sdk/abi/released/plugin-*.h"
# What may be done to a struct: members at its end.
SUPPRESSIONS = """
[suppress_type]
  type_kind = struct
  has_data_member_inserted_at = end
"""
STRUCT = re.compile(r"typedef struct (keel_\w+) \{")


def build(header, directory, name):
    """A library that has every struct of the header, with what a debugger would know of it."""
    with open(os.path.join(directory, f"{name}.h"), "w", encoding="utf-8") as file:
        file.write(header)
    source = os.path.join(directory, f"{name}.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write(f'#include "{name}.h"\n')
        for struct in STRUCT.findall(header):
            file.write(f"{struct}* have_{struct};\n")
    library = os.path.join(directory, f"{name}.so")
    subprocess.run(["gcc", "-std=c11", "-g", "-shared", "-fPIC", source, "-o", library], check=True)
    return library


@unittest.skipUnless(shutil.which("abidiff"), "abidiff is not installed")
class AbidiffTest(unittest.TestCase):
    def setUp(self):
        with open(HEADER, encoding="utf-8") as file:
            self.text = file.read()

    def report(self, old, new):
        """What abidiff says; empty: nothing that may not be."""
        with tempfile.TemporaryDirectory() as directory:
            suppressions = os.path.join(directory, "suppressions")
            with open(suppressions, "w", encoding="utf-8") as file:
                file.write(SUPPRESSIONS)
            ran = subprocess.run(
                ["abidiff", "--suppressions", suppressions, build(old, directory, "old"),
                 build(new, directory, "new")], stdout=subprocess.PIPE, text=True)
            # Bits of its status: 1 an error, 2 usage, 4 a change, 8 one that breaks for sure.
            self.assertEqual(ran.returncode & 3, 0, ran.stdout)
            return ran.stdout if ran.returncode else ""

    def test_todays_header_keeps_what_was_released(self):
        major = re.search(r"KEEL_ABI_MAJOR (\d+)u", self.text).group(1)
        for path in sorted(glob.glob(RELEASED)):
            if major == "0" or not path.startswith(f"sdk/abi/released/plugin-{major}."):
                continue  # a 0.x host takes its own minor alone, see released_test
            with self.subTest(path), open(path, encoding="utf-8") as file:
                self.assertEqual(self.report(file.read(), self.text), "")

    def test_growth_at_the_end_is_nothing(self):
        longer = self.text.replace("\n} keel_norm_desc;", "\n  double later;\n} keel_norm_desc;")
        self.assertNotEqual(longer, self.text)
        self.assertEqual(self.report(self.text, longer), "")

    def test_another_change_is_found(self):
        for change in ("double first, eps, weight_offset;", "double eps;"):
            changed = self.text.replace("double eps, weight_offset;", change)
            self.assertNotEqual(changed, self.text)
            self.assertIn("weight_offset", self.report(self.text, changed))


if __name__ == "__main__":
    unittest.main()
