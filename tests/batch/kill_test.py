"""A batch that is killed again and again answers each line once.

LINES and KILLS in the environment make it longer: --test_env=LINES=5000 --test_env=KILLS=5.
"""

import os
import pathlib
import random
import signal
import tempfile
import time
import unittest

from tests.batch import runner

LINES = int(os.environ.get("LINES", "300"))
KILLS = int(os.environ.get("KILLS", "3"))
SEED = int(os.environ.get("SEED", str(random.randrange(1 << 30))))
EVERY_NTH_FAILS = 10


class KillTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.input = pathlib.Path(folder.name, "prompts.jsonl")
        self.output = pathlib.Path(folder.name, "answers.jsonl")
        self.errors = pathlib.Path(folder.name, "errors.jsonl")
        self.lines = [
            runner.line(f"id-{i}", max_tokens=4 + i % 13)
            if i % EVERY_NTH_FAILS
            else runner.bad_line(f"id-{i}")
            for i in range(LINES)
        ]
        runner.write(self.input, self.lines)
        self.random = random.Random(SEED)
        files = ("--input", self.input, "--output", self.output, "--errors", self.errors)
        # Few at once: lines come in small bursts, so that a kill falls between them.
        self.flags = (*files, "--max-num-seqs", "8", "--max-crashes", "0")

    def written(self) -> int:
        """Bytes of both files."""
        return sum(path.stat().st_size for path in (self.output, self.errors) if path.exists())

    def kill_after(self, more: int, *flags: str) -> None:
        before = self.written()
        batch = runner.start(*self.flags, "--resume", *flags)
        self.addCleanup(batch.kill)
        end = time.monotonic() + 60 + LINES / 10
        while batch.poll() is None and self.written() < before + more:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.001)
        batch.send_signal(signal.SIGKILL)
        self.assertEqual(batch.wait(), -signal.SIGKILL, "it was done before it was killed")

    def tear(self) -> None:
        """What a kill in the middle of a write leaves."""
        whole = self.output.read_bytes()
        last = whole.splitlines(keepends=True)[-1]
        self.output.write_bytes(whole + last[: self.random.randrange(1, len(last) - 1)])

    def check(self, *flags: str) -> None:
        size_of_all = 500 * LINES
        for kill in range(KILLS):
            self.kill_after(self.random.randrange(1, size_of_all // (KILLS + 2)), *flags)
            if kill % 2 == 0 and self.output.stat().st_size > 0:
                self.tear()
        last = runner.run(*self.flags, "--resume", *flags)
        self.assertEqual(last.returncode, 3, last.stderr)  # some lines are bad
        self.assertIn("answered before", last.stderr)
        answers, errors = runner.read(self.output), runner.read(self.errors)
        good = [line["custom_id"] for i, line in enumerate(self.lines) if i % EVERY_NTH_FAILS]
        bad = [line["custom_id"] for i, line in enumerate(self.lines) if not i % EVERY_NTH_FAILS]
        if "--keep-order" in flags:
            self.assertEqual(runner.ids(answers), good)
            self.assertEqual(runner.ids(errors), bad)
        self.assertCountEqual(runner.ids(answers), good)
        self.assertCountEqual(runner.ids(errors), bad)
        for answer in answers:
            self.assertEqual(answer["response"]["status_code"], 200)
        # All is written: another run changes nothing.
        before = self.output.read_bytes(), self.errors.read_bytes()
        self.assertEqual(runner.run(*self.flags, "--resume").returncode, 3)
        self.assertEqual((self.output.read_bytes(), self.errors.read_bytes()), before)

    def test_each_line_is_answered_once(self) -> None:
        with self.subTest(seed=SEED):
            self.check()

    def test_each_line_is_answered_once_in_order(self) -> None:
        with self.subTest(seed=SEED):
            self.check("--keep-order")

    def test_failed_lines_are_run_again_when_asked_for(self) -> None:
        self.assertEqual(runner.run(*self.flags).returncode, 3)
        before = runner.ids(runner.read(self.output))
        runner.write(self.input, [runner.line(line["custom_id"]) for line in self.lines])
        last = runner.run(*self.flags, "--retry-failed")
        self.assertEqual(last.returncode, 0, last.stderr)
        answers = runner.ids(runner.read(self.output))
        self.assertEqual(answers[: len(before)], before)
        self.assertCountEqual(answers, runner.ids(self.lines))
        self.assertEqual(runner.read(self.errors), [])


if __name__ == "__main__":
    unittest.main()
