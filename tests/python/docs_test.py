"""The programs of docs/python.md run."""

import builtins
import contextlib
import io
import re
import unittest

import tests.python.testing as testing


class DocsTest(unittest.TestCase):
    def test_the_programs_of_the_page_run(self):
        page = (testing.ROOT / "docs/python.md").read_text(encoding="utf-8")
        programs = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
        self.assertEqual(len(programs), 4)
        texts = []
        for program in programs:
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(program, "docs/python.md", "exec"), {})  # from the tree's root
            texts.append(out.getvalue())
        first, generated, scored, streamed = texts
        self.assertTrue(first.strip())
        for text in (generated, streamed):
            self.assertIn("a large natural stream of water.", text)
        self.assertRegex(scored, r"^(-?[01]\.\d{3} [a-z ]+\n){2}$")

    def test_every_exception_is_in_the_table(self):
        from keel import errors

        page = (testing.ROOT / "docs/python.md").read_text(encoding="utf-8")
        rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", page, re.MULTILINE))
        kinds = {
            name: kind
            for name, kind in vars(errors).items()
            if isinstance(kind, type) and issubclass(kind, errors.KeelError)
        }
        del kinds["KeelError"]
        self.assertEqual(set(rows), set(kinds))
        for name, built_in in rows.items():
            self.assertTrue(issubclass(kinds[name], getattr(builtins, built_in)), name)


if __name__ == "__main__":
    unittest.main()
