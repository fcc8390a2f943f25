"""`keel COMMAND` is the program of that name."""

import os
import pathlib
import subprocess
import tempfile
import unittest

KEEL = pathlib.Path("apps/keel/keel").absolute()
COMMANDS = ("serve", "batch", "chat", "check", "bench", "plugin", "validate", "new")


def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory() as home:
        return subprocess.run(
            [KEEL, *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "HOME": home},
        )


class KeelTest(unittest.TestCase):
    def test_the_help_names_every_command(self) -> None:
        shown = run("--help")
        self.assertEqual(shown.returncode, 0)
        for name in COMMANDS:
            self.assertRegex(shown.stdout, rf"(?m)^  {name} +\w")
        self.assertEqual(run().returncode, 2)
        self.assertEqual(run().stderr, shown.stdout)

    def test_every_command_runs(self) -> None:
        for name in COMMANDS:
            with self.subTest(name):
                shown = run(name, "--help")
                self.assertEqual(shown.returncode, 0, shown.stderr)
                self.assertTrue(shown.stdout)

    def test_a_command_does_what_its_program_does(self) -> None:
        checked = run("check")  # the demo model
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        with tempfile.TemporaryDirectory() as folder:
            output = pathlib.Path(folder, "out.jsonl")
            line = '{"prompt": "A river is", "max_tokens": 2}\n'
            self.assertEqual(run("batch", "-i", "-", "-o", str(output), text=line).returncode, 0)
            self.assertIn('"finish_reason":"length"', output.read_text())

    def test_mistakes_are_explained(self) -> None:
        self.assertEqual(run("sevre").returncode, 2)
        self.assertEqual(
            run("sevre").stderr, "keel: there is no command 'sevre'; did you mean serve?\n"
        )
        self.assertEqual(
            run("zzzzzz").stderr, "keel: there is no command 'zzzzzz'; keel --help lists them\n"
        )
        self.assertIn("did you mean --model?", run("serve", "--modle", "m").stderr)

    def test_the_version_is_that_of_its_programs(self) -> None:
        self.assertRegex(run("--version").stdout, r"^\d+\.\d+\.\d+")
        self.assertEqual(run("--version").stdout.strip(), run("check", "--version").stdout.strip())


if __name__ == "__main__":
    unittest.main()
