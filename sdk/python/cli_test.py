"""What `keel serve` makes of a command line before the server starts."""

import contextlib
import io
import pathlib
import sys
import tempfile
import types
import unittest
from unittest import mock

from keel import cli, graphs
from keel.serve import prepare


class Refused(Exception):
    """As keel.export.Refused."""


class CliTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = pathlib.Path(folder.name)
        self.model = self.home / "model"
        self.model.mkdir()
        (self.model / "config.json").write_text("{}")
        self.enterContext(mock.patch.dict("os.environ", XDG_CACHE_HOME=str(self.home)))
        self.exported = []
        self.said = io.StringIO()
        self.enterContext(contextlib.redirect_stderr(self.said))

    def export(self, checkpoint, out, *, trust_remote_code=False):
        """As keel.export.export_checkpoint, without torch."""
        self.exported.append((checkpoint, trust_remote_code))
        (pathlib.Path(out) / "keel-graph.pb").write_bytes(b"graph")

    def prepare(self, *arguments, export=None):
        exporter = types.ModuleType("keel.export")  # the real one imports torch
        exporter.Refused, exporter.export_checkpoint = Refused, export or self.export
        with mock.patch.dict(sys.modules, {"keel.export": exporter}):
            return prepare(list(arguments))

    def test_a_model_without_a_graph_is_exported_once(self):
        model = str(self.model)
        for arguments in (
            [model, "--model-impl", "transformers"],
            ["--model", model, "--impl", "transformers"],
            [f"--model-path=chat={model},pinned", "--model-impl", "transformers"],
        ):
            found = self.prepare(*arguments)
            self.assertEqual(found[-2:], ["--graph-dir", str(self.home / "keel/graphs")])
        self.assertEqual(self.exported, [(self.model, False)])
        (graph,) = (self.home / "keel/graphs").iterdir()
        self.assertRegex(graph.name, r"^[0-9a-f]{64}\.pb$")

    def test_the_checkpoint_may_bring_what_serves_it(self):
        for name in (graphs.FILE, graphs.MANIFEST):
            (self.model / name).touch()
            given = [str(self.model), "--model-impl=transformers"]
            self.assertEqual(self.prepare(*given), given)
            (self.model / name).unlink()
        given = [str(self.model), "--model-impl=transformers", "--graph-dir", "/mine"]
        self.assertEqual(self.prepare(*given), given)
        self.assertEqual(self.prepare(str(self.model)), [str(self.model)])
        self.assertEqual(self.exported, [])

    def test_remote_code_is_run_only_if_it_is_trusted(self):
        self.prepare(str(self.model), "--model-impl=transformers", "--trust-remote-code")
        self.assertEqual(self.exported, [(self.model, True)])

    def test_what_is_missing_or_refused_is_said_with_the_command(self):
        def missing(*_, **__):
            raise ModuleNotFoundError("no", name="transformers")

        def refused(*_, **__):
            raise Refused("model.layers.0.mixer: no graph for it")

        given = [str(self.model), "--model-impl=transformers"]
        with self.assertRaisesRegex(SystemExit, "package transformers is needed: pip install") as e:
            self.prepare(*given, export=missing)
        self.assertIn(f"keel export-transformers {self.model}", str(e.exception))
        with self.assertRaisesRegex(SystemExit, "cannot be exported: model.layers.0.mixer"):
            self.prepare(*given, export=refused)
        self.assertEqual(list((self.home / "keel/graphs").iterdir()), [])

    def test_a_missing_program_is_said(self):
        with self.assertRaisesRegex(SystemExit, "bin/keel is not there"):
            cli.main(["chat"])

    def test_the_program_takes_the_place_of_this_process(self):
        program = self.home / "keel"
        program.touch()
        with mock.patch.object(cli, "PROGRAM", program), mock.patch("os.execv") as execv:
            cli.main(["serve", "m", "--port", "1"])
        execv.assert_called_once_with(program, ["keel", "serve", "m", "--port", "1"])

    def test_export_is_run_in_this_process(self):
        exporter = types.ModuleType("keel.export")
        exporter.command = types.SimpleNamespace(main=len)
        with mock.patch.dict(sys.modules, {"keel.export": exporter}):
            with self.assertRaises(SystemExit) as caught:
                cli.main(["export-transformers", "M", "--report"])
        self.assertEqual(caught.exception.code, 2)
        with mock.patch.dict(sys.modules, {"torch": None}):
            with self.assertRaisesRegex(SystemExit, "needs the package torch: pip install"):
                cli.main(["export-transformers", "M"])


if __name__ == "__main__":
    unittest.main()
