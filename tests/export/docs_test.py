"""Runs the export commands of the pages."""

import contextlib
import io
import pathlib
import re
import shlex
import shutil
import tempfile
import unittest
from unittest import mock

import transformers_env  # noqa: F401, isort: skip
from keel.export import checkpoint, command

PAGES = (pathlib.Path("docs/transformers.md"), pathlib.Path("docs/embeddings.md"))
CHECKPOINT = pathlib.Path("plugins/llama/testdata/default")


class DocsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """All commands are given the same checkpoint: it is traced once."""
        exported = checkpoint.export_directory(CHECKPOINT)
        cls.enterClassContext(mock.patch.object(checkpoint, "export", lambda _: exported))

    def test_the_commands_do_what_the_page_says(self):
        commands = [
            re.findall(r"^keel export-transformers (.*)$", page.read_text(), re.MULTILINE)
            for page in PAGES
        ]
        self.assertTrue(all(commands))
        for line in sum(commands, []):
            with self.subTest(line), tempfile.TemporaryDirectory() as work:
                checkpoint = pathlib.Path(work) / "MODEL"
                shutil.copytree(CHECKPOINT, checkpoint)
                arguments = [
                    a.replace("MODEL", str(checkpoint)).replace("DIR", f"{work}/out")
                    for a in shlex.split(line)
                ]
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    self.assertEqual(command.main(arguments), 0)
                self.assertIn("keel-graph.pb", out.getvalue())
                if "--report" in arguments:
                    self.assertIn("4 ropes", out.getvalue())

    def test_what_cannot_be_exported_is_said(self):
        with tempfile.TemporaryDirectory() as work:
            err = io.StringIO()
            with contextlib.redirect_stderr(err):
                self.assertEqual(command.main([work]), 1)
            self.assertIn("has no config.json", err.getvalue())


if __name__ == "__main__":
    unittest.main()
