"""Plugins that were built from a released header fit today's: see released/README.md."""

import glob
import os
import re
import tempfile
import unittest

from sdk.abi import layout_test

HEADER = "sdk/abi/plugin.h"
RELEASED = "sdk/abi/released/plugin-*.h"


def interface(text):
    """The interface of a header as {what: how}; a member's how is its offset and text."""
    with tempfile.NamedTemporaryFile("w", suffix=".h", dir=".", delete=False) as file:
        file.write(text)
    try:
        lines = layout_test.render([os.path.basename(file.name)]).splitlines()
    finally:
        os.unlink(file.name)
    found, struct = {}, ""
    for line in lines:
        if line.startswith("struct "):
            struct = line.split()[1]
            found[struct] = "a struct"  # its size may grow
        elif line.startswith("  "):
            offset, member = line.split(None, 1)
            name = re.search(r"\(\*(\w+)\)|(\w+)(?:\[\w+\])?$", member)
            found[f"{struct}.{name.group(1) or name.group(2)}"] = f"{member} at {offset}"
        elif line.startswith("define "):
            _, name, value = (line + "  ").split(" ", 2)
            found[name] = value.strip()
        elif not line.startswith("#"):
            found[line] = "declared"
    return found


def version(found):
    return tuple(int(found[f"KEEL_ABI_{part}"].rstrip("u")) for part in ("MAJOR", "MINOR"))


def broken(old, new):
    """What a plugin built from the interface `old` finds changed in `new`, the version aside."""
    names = [name for name in old if name not in ("KEEL_ABI_MAJOR", "KEEL_ABI_MINOR")]
    return [f"{n}: was {old[n]}, is {new.get(n, 'gone')}" for n in names if new.get(n) != old[n]]


class ReleasedTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(HEADER, encoding="utf-8") as file:
            cls.text = file.read()
        cls.today = interface(cls.text)

    def changed(self, old, new):
        self.assertIn(old, self.text)
        return broken(self.today, interface(self.text.replace(old, new, 1)))

    def test_todays_header_keeps_what_was_released(self):
        for path in sorted(glob.glob(RELEASED)):
            with self.subTest(path), open(path, encoding="utf-8") as file:
                old = interface(file.read())
                self.assertEqual(path, "sdk/abi/released/plugin-%d.%d.h" % version(old))
                if version(old) == version(self.today):
                    self.assertEqual(old, self.today)
                elif version(old)[0] == version(self.today)[0] >= 1:
                    self.assertEqual(broken(old, self.today), [])

    def test_growth_at_the_end_breaks_nothing(self):
        self.assertEqual(
            self.changed("\n} keel_norm_desc;", "\n  double later;\n} keel_norm_desc;"), []
        )
        self.assertEqual(self.changed("#define KEEL_NORM_RMS 0u", "#define KEEL_NORM_RMS 0u\n"
                                      "#define KEEL_NORM_LATER 2u"), [])

    def test_every_other_change_is_found(self):
        self.assertIn("keel_norm_desc.eps", str(self.changed("double eps,", "double first, eps,")))
        self.assertIn(
            "keel_norm_desc.eps", str(self.changed("double eps,", "float eps, more;\n  double"))
        )
        self.assertIn(
            "KEEL_NORM_RMS",
            str(self.changed("#define KEEL_NORM_RMS 0u", "#define KEEL_NORM_RMS 7u")),
        )
        self.assertIn("keel_norm_desc.weight_offset: was double weight_offset at 24, is gone",
                      str(self.changed("double eps, weight_offset;", "double eps;")))
        self.assertIn("keel_config_api.kind", str(self.changed(
            "uint32_t (*kind)(keel_config*, const char* key);",
            "int64_t (*kind)(keel_config*, const char* key);")))


if __name__ == "__main__":
    unittest.main()
