"""plugins/families.bzl is the list of families; folders, goldens and the README agree with it."""

import os
import re
import sys
import unittest
from pathlib import Path

ROOT = Path(os.path.realpath("WORKSPACE")).parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "tests/goldens"))

import variants  # noqa: E402  (found by the lines above)


def listed(which="FAMILIES"):
    """The names in families.bzl, in its order."""
    scope = {}
    exec((ROOT / "plugins/families.bzl").read_text(encoding="utf-8"), scope)
    return scope[which]


class FamiliesTest(unittest.TestCase):
    def test_every_folder_is_listed_once_in_order(self):
        folders = sorted(path.parent.name for path in ROOT.glob("plugins/*/BUILD"))
        self.assertEqual(listed(), folders)

    def test_the_readme_links_each_family(self):
        links = re.findall(r"\(plugins/(\w+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
        self.assertEqual(sorted(links), listed())

    def test_every_directory_of_testdata_is_a_variant_or_a_recorded_graph(self):
        for family, folder in variants.families().items():
            names = {variant.name for variant in variants.of_family(family)}
            self.assertIn("default", names, family)
            for directory in filter(Path.is_dir, (folder / "testdata").iterdir()):
                if directory.name in names:
                    self.assertTrue((directory / "goldens.safetensors").exists(), directory)
                elif directory.name != "__pycache__":
                    self.assertTrue((directory / "graph.textproto").exists(), directory)

    def test_those_that_see_are_listed(self):
        see = {
            family
            for family in variants.families()
            if any(variant.sees for variant in variants.of_family(family))
        }
        self.assertEqual(sorted(see), listed("FAMILIES_THAT_SEE"))

    def test_those_that_hear_are_listed(self):
        hear = {
            family
            for family in variants.families()
            if any(variant.hears for variant in variants.of_family(family))
        }
        self.assertEqual(sorted(hear), listed("FAMILIES_THAT_HEAR"))

    def test_the_page_of_images_has_each_that_sees_or_hears(self):
        page = (ROOT / "docs/images.md").read_text(encoding="utf-8")
        rows = re.findall(r"^\| `plugins/(\w+)` \| (.+?) \| (.+?) \|", page, re.M)
        both = listed("FAMILIES_THAT_SEE") + listed("FAMILIES_THAT_HEAR")
        self.assertEqual([family for family, _, _ in rows], both)
        for family, classes, processors in rows:
            folder = ROOT / "plugins" / family
            source = "".join(p.read_text(encoding="utf-8") for p in sorted(folder.glob("*.[ch]*")))
            for names, key in ((classes, "kArchitectures"), (processors, "kProcessorNames")):
                said = re.findall(key + r"\[\] = \{(.*?)\}", source, re.S)
                lists = [re.findall(r'"(\w+)"', one) for one in said]
                self.assertIn(names.split(", "), lists, family)

    def test_every_family_is_recorded(self):
        for family in listed():
            path = ROOT / "plugins" / family / "testdata/default/graph.textproto"
            self.assertTrue(path.exists(), path)


if __name__ == "__main__":
    unittest.main()
