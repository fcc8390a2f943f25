"""The batch runner as a part of something larger: in pipes, and as one of several shards."""

import json
import pathlib
import subprocess
import tempfile
import unittest

from tests.batch import runner


class PipeTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.input = self.folder / "prompts.jsonl"
        self.lines = [runner.line(f"id-{i}") for i in range(40)]
        runner.write(self.input, self.lines)

    def test_a_line_is_answered_while_its_pipe_is_open(self) -> None:
        """What drives it may wait for an answer before it sends the next line."""
        batch = runner.start(
            "--input",
            "-",
            "--output",
            "-",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(batch.kill)
        for line in self.lines[:3]:
            batch.stdin.write(json.dumps(line) + "\n")
            batch.stdin.flush()
            self.assertEqual(json.loads(batch.stdout.readline())["custom_id"], line["custom_id"])
        batch.stdin.close()
        self.assertEqual(batch.wait(timeout=60), 0)
        self.assertEqual(batch.stdout.read(), "")
        batch.stdout.close()

    def test_stdout_has_answers_alone(self) -> None:
        run = runner.run("--input", "-", "--output", "-", input=self.input.read_text())
        self.assertEqual(run.returncode, 0, run.stderr)
        answers = [json.loads(line) for line in run.stdout.splitlines()]
        self.assertCountEqual(runner.ids(answers), runner.ids(self.lines))
        self.assertIn("40 answered, 0 failed", run.stderr)
        self.assertNotIn("\r", run.stderr)
        self.assertNotIn("\033", run.stderr)

    def test_callers_choose_what_a_failed_line_is(self) -> None:
        """Spark and parallel take any status but 0 as the failure of all lines."""
        text = json.dumps(self.lines[0]) + "\n" + json.dumps(runner.bad_line("bad")) + "\n"
        pipe = ("--input", "-", "--output", "-")
        for flags, code in (((), 3), (("--allow-failed-lines",), 0)):
            run = runner.run(*pipe, *flags, input=text)
            self.assertEqual(run.returncode, code, run.stderr)
            self.assertEqual(len(run.stdout.splitlines()), 2)

    def test_shards_share_an_input(self) -> None:
        outputs = [self.folder / f"answers-{i}.jsonl" for i in range(3)]
        shards = [
            runner.start("--input", self.input, "--output", output, "--shard", f"{i}/3")
            for i, output in enumerate(outputs)
        ]
        self.assertEqual([shard.wait(timeout=60) for shard in shards], [0, 0, 0])
        self.assertEqual([len(runner.read(output)) for output in outputs], [14, 13, 13])
        self.assertCountEqual(runner.ids(runner.read(*outputs)), runner.ids(self.lines))

    def test_a_file_is_split_over_processes(self) -> None:
        """As `parallel --pipe` does it, with coreutils."""
        answers = self.folder / "answers.jsonl"
        command = f"{runner.PROGRAM} --input - --output - >> {answers}"
        subprocess.run(
            ["split", "--number=r/2", f"--filter={command}", self.input],
            env=runner.ENVIRONMENT,
            check=True,
            timeout=120,
        )
        self.assertCountEqual(runner.ids(runner.read(answers)), runner.ids(self.lines))

    def test_wrong_flags_are_told(self) -> None:
        pipe = ("--input", "-", "--output", "-")
        for flags, code, words in (
            ((*pipe, "--shard", "3/3"), 2, "expected 0/3 to 2/3"),
            ((*pipe, "--resume"), 1, "need a file, and --output is standard output"),
            (("--input", self.input, "--output", self.input), 1, "--input and --output are the"),
            ((*pipe, "--errors", self.input), 1, f"--errors {self.input} has something in it"),
        ):
            run = runner.run(*flags, input="")
            self.assertEqual(run.returncode, code, run.stderr)
            self.assertIn(words, run.stderr)


if __name__ == "__main__":
    unittest.main()
