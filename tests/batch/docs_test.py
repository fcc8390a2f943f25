"""The examples of docs/offline.md do what they say."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

from tests.batch import runner
from tests.server.serving import Server

PAGE = pathlib.Path("docs/offline.md")


def blocks(language: str) -> list[str]:
    pattern = rf"^```{language}\n(.*?)^```$"
    return re.findall(pattern, PAGE.read_text(), re.MULTILINE | re.DOTALL)


class DocsTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_example(self, text: str) -> str:
        text = text.replace("./bazelw run //apps:batch --", str(runner.PROGRAM))
        run = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.folder,
            env={**runner.ENVIRONMENT, "HOME": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def test_the_shells_examples(self) -> None:
        examples = [block for block in blocks("sh") if "//apps:batch" in block]
        self.assertEqual(len(examples), 4)
        first, resume, *others = examples
        self.run_example(first)
        answers = runner.read(self.folder / "answers.jsonl")
        self.assertCountEqual(runner.ids(answers), ["river", "bread"])
        (river,) = [answer for answer in answers if answer["custom_id"] == "river"]
        content = river["response"]["body"]["choices"][0]["message"]["content"]
        self.assertEqual(content, "A river is a large natural stream of water.")
        self.run_example(resume)
        self.assertEqual(runner.read(self.folder / "answers.jsonl"), answers)
        for command in others:
            with self.subTest(command):
                lines = self.run_example(command).splitlines()
                self.assertEqual(len(lines), 2)
                self.assertTrue(any('"custom_id":"river"' in line for line in lines))
                self.assertTrue(any('"custom_id":"bread"' in line for line in lines))

    def test_the_servers_example(self) -> None:
        (flags,) = [block for block in blocks("sh") if "//apps:server" in block]
        words = flags.split(" -- ")[1].split()
        self.assertEqual(words[0], "--files-dir")
        (script,) = blocks("python")
        body = {"messages": [{"role": "user", "content": "Define: river"}], "temperature": 0}
        line = {**runner.line("river"), "url": "/v1/chat/completions", "body": body}
        runner.write(self.folder / "prompts.jsonl", [line])
        with Server("--files-dir", str(self.folder / "files"), *words[2:]) as server:
            run = subprocess.run(
                [sys.executable, "-c", script.replace("http://127.0.0.1:8000", server.url)],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("completed=1, failed=0, total=1", run.stdout)
        self.assertIn("A river is a large natural stream of water.", run.stdout)


if __name__ == "__main__":
    unittest.main()
