"""docs/expressible.md names every family, example and recorded model, each as what it is."""

import os
import sys
import unittest
from pathlib import Path

ROOT = Path(os.path.realpath("WORKSPACE")).parent
sys.dont_write_bytecode = True


def listed(path, name):
    """A list in a .bzl file."""
    scope = {}
    exec((ROOT / path).read_text(encoding="utf-8"), scope)
    return set(scope[name])


def recorded():
    """The recorded models that no family has: folders with a config.json."""
    folders = {path.parent for path in ROOT.glob("tests/recorded/**/config.json")}
    return {folder.name for folder in folders} - {"chat_processor"}


def rows():
    """(architectures, what it is, by) of each row of the page's tables."""
    lines = (ROOT / "docs/expressible.md").read_text(encoding="utf-8").splitlines()
    cells = [[c.strip() for c in line.split("|")[1:4]] for line in lines if line.startswith("| ")]
    return [row for row in cells if row[0] != "architecture"]


class ExpressibleTest(unittest.TestCase):
    def named(self, kind):
        return {name for _, what, by in rows() if what == kind for name in by.split(", ")}

    def test_each_row_says_what_it_is(self):
        for architectures, what, by in rows():
            with self.subTest(architectures):
                self.assertIn(what, ("served", "example", "recorded", "alike", "no"))
                self.assertEqual(by == "", what == "no")

    def test_each_is_named_as_what_it_is(self):
        self.assertEqual(self.named("served"), listed("plugins/families.bzl", "FAMILIES"))
        self.assertEqual(
            self.named("example"), listed("sdk/examples/families.bzl", "FAMILIES_OUTSIDE")
        )
        self.assertEqual(self.named("recorded"), recorded())

    def test_what_is_alike_names_models_that_there_are(self):
        known = self.named("served") | self.named("example") | self.named("recorded")
        self.assertLessEqual(self.named("alike"), known)


if __name__ == "__main__":
    unittest.main()
