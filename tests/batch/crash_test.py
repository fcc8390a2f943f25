"""Lines that kill the process, on a fake engine that dies of a prompt."""

import pathlib
import signal
import subprocess
import tempfile
import unittest

from tests.batch import runner

FAKE = pathlib.Path("apps/batch/fake_batch").absolute()


def line(custom_id: str, prompt: str) -> dict:
    body = {"prompt": prompt, "max_tokens": 20}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/completions", "body": body}


class CrashTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.output, self.errors = self.folder / "answers.jsonl", self.folder / "errors.jsonl"
        self.attempts = self.folder / "answers.jsonl.attempts"
        lines = [line(f"good-{i}", "a few words") for i in range(20)]
        self.good = runner.ids(lines)
        lines.insert(3, line("first killer", "[crash] at the fourth token"))
        lines.insert(12, line("second killer", "[crash] too"))
        runner.write(self.folder / "prompts.jsonl", lines)

    def run_batch(self, *flags: str) -> subprocess.CompletedProcess:
        files = ("--input", self.folder / "prompts.jsonl", "--output", self.output)
        return subprocess.run(
            [FAKE, *files, "--errors", self.errors, "--resume", "--step-ms", "1", *flags],
            text=True,
            capture_output=True,
            check=False,
            timeout=120,
        )

    def deaths(self, *flags: str) -> int:
        """How many processes die before one comes to an end."""
        for deaths in range(20):
            run = self.run_batch(*flags)
            if run.returncode != -signal.SIGKILL:
                self.assertEqual(run.returncode, 3, run.stderr)
                return deaths
        self.fail("each process died")

    def test_they_fail_and_the_others_are_answered(self) -> None:
        # Two die of both, then one of each.
        self.assertEqual(self.deaths(), 4)
        self.assertCountEqual(runner.ids(runner.read(self.output)), self.good)
        errors = runner.read(self.errors)
        self.assertCountEqual(runner.ids(errors), ["first killer", "second killer"])
        for error in errors:
            self.assertEqual(error["error"]["code"], "process_died")
            self.assertIn("3 processes died while they ran this line", error["error"]["message"])
        self.assertFalse(self.attempts.exists(), "all is written")
        # What failed may be asked for again.
        self.assertEqual(self.run_batch("--retry-failed").returncode, -signal.SIGKILL)

    def test_one_that_kills_as_it_is_read(self) -> None:
        prompts = {"good": "a few words", "large": "x" * 10_000_000, "other": "more"}
        lines = [line(custom_id, prompt) for custom_id, prompt in prompts.items()]
        runner.write(self.folder / "prompts.jsonl", lines)
        self.assertEqual(self.deaths(), 3)
        self.assertCountEqual(runner.ids(runner.read(self.output)), ["good", "other"])
        (error,) = runner.read(self.errors)
        self.assertEqual((error["custom_id"], error["error"]["code"]), ("line-2", "process_died"))
        self.assertEqual(self.deaths(), 0, "once more, when all is written")

    def test_in_order(self) -> None:
        self.assertEqual(self.deaths("--keep-order"), 4)
        self.assertEqual(runner.ids(runner.read(self.output)), self.good)

    def test_another_number(self) -> None:
        self.assertEqual(self.deaths("--max-crashes", "2"), 3)
        self.assertCountEqual(runner.ids(runner.read(self.output)), self.good)

    def test_an_engine_that_fails_is_a_death_too(self) -> None:
        lines = [line("good", "a few words"), line("killer", "[die]"), line("other", "more")]
        runner.write(self.folder / "prompts.jsonl", lines)
        codes = [self.run_batch().returncode for _ in range(4)]
        self.assertEqual(codes, [1, 1, 1, 3])
        self.assertCountEqual(runner.ids(runner.read(self.output)), ["good", "other"])
        self.assertEqual(runner.ids(runner.read(self.errors)), ["killer"])

    def test_any_number(self) -> None:
        for _ in range(5):
            run = self.run_batch("--max-crashes", "0")
            self.assertEqual(run.returncode, -signal.SIGKILL)
        self.assertFalse(self.attempts.exists())


if __name__ == "__main__":
    unittest.main()
