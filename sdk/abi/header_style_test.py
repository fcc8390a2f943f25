"""What a reader of sdk/abi/plugin.h may count on: lines of 100 columns, threads at each
function."""

import re
import unittest

HEADER = "sdk/abi/plugin.h"
TAG = re.compile(r"\[(any|load|build|run)\]")
POINTER = re.compile(r"^ .*\(\*(\w+)\)\(")


def functions(lines):
    """(name, its text) of every member that is a function, with the comment above and beside it."""
    comment, member = [], []
    for line in lines:
        text = line.lstrip()
        if not member and text.startswith("/*"):
            comment = [line]
        elif not member and text.startswith("*"):
            comment.append(line)
        elif member or POINTER.match(line):
            member.append(line)
            if ";" in line:
                yield POINTER.match(member[0]).group(1), "\n".join(comment + member)
                comment, member = [], []
        else:
            comment = []


class HeaderStyleTest(unittest.TestCase):
    def setUp(self):
        with open(HEADER, encoding="utf-8") as file:
            self.lines = file.read().split("\n")

    def test_no_line_is_longer_than_100_columns(self):
        self.assertEqual([n for n, line in enumerate(self.lines, 1) if len(line) > 100], [])

    def test_every_function_says_its_threads(self):
        found = list(functions(self.lines))
        self.assertGreater(len(found), 100)
        self.assertEqual([name for name, text in found if not TAG.search(text)], [])


if __name__ == "__main__":
    unittest.main()
