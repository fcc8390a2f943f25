"""usage: demo_batch_test.py BATCH GOLDENS

Batch answers the prompts of apps/demo/testdata/greedy.jsonl as transformers does (see
apps/demo/make_goldens.py), and can be interrupted and gone on with.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BATCH, GOLDENS = sys.argv[1:3]


class DemoBatchTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.input = pathlib.Path(folder.name, "prompts.jsonl")
        self.output = pathlib.Path(folder.name, "answers.jsonl")
        with open(GOLDENS, encoding="utf-8") as file:
            self.goldens = [json.loads(line) for line in file]
        self.write_input([self.chat_line(i, golden) for i, golden in enumerate(self.goldens)])

    def chat_line(self, i, golden):
        # The goldens were computed greedily, to at most 64 tokens.
        body = {"messages": golden["messages"], "temperature": 0, "max_tokens": 64}
        return {"custom_id": f"chat-{i}", "method": "POST", "url": "/v1/chat/completions",
                "body": body}

    def write_input(self, lines):
        self.input.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")

    def run_batch(self, *flags, code=0):
        command = [BATCH, "--input", self.input, "--output", self.output]
        run = subprocess.run(command + list(flags), stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(run.returncode, code, run.stderr)
        return run.stderr

    def answers(self):
        lines = self.output.read_text(encoding="utf-8").splitlines()
        answers = {}
        for line in map(json.loads, lines):
            self.assertNotIn(line["custom_id"], answers)
            answers[line["custom_id"]] = line
        return answers

    def assert_equals_goldens(self):
        answers = self.answers()
        self.assertEqual(len(answers), len(self.goldens))
        for i, golden in enumerate(self.goldens):
            line = answers[f"chat-{i}"]
            self.assertIsNone(line["error"])
            self.assertEqual(line["response"]["status_code"], 200)
            body = line["response"]["body"]
            self.assertEqual(body["choices"][0]["message"]["content"], golden["text"])
            self.assertEqual(body["usage"]["prompt_tokens"], len(golden["prompt_token_ids"]))
            self.assertEqual(body["usage"]["completion_tokens"], len(golden["token_ids"]))

    def test_equals_transformers(self):
        said = self.run_batch()
        self.assert_equals_goldens()
        self.assertIn(f"{len(self.goldens)} answered, 0 failed", said)

    def test_token_ids_give_the_same_text(self):
        self.write_input([{"custom_id": str(i), "method": "POST", "url": "/v1/completions",
                           "body": {"prompt": golden["prompt_token_ids"], "temperature": 0,
                                    "max_tokens": 64}}
                          for i, golden in enumerate(self.goldens)])
        self.run_batch()
        answers = self.answers()
        for i, golden in enumerate(self.goldens):
            choice = answers[str(i)]["response"]["body"]["choices"][0]
            self.assertEqual(choice["text"], golden["text"])

    def test_goes_on_after_a_crash(self):
        self.run_batch("--keep-order")
        whole = self.output.read_bytes()
        self.output.write_bytes(whole[: len(whole) // 2])  # as a killed process leaves it
        said = self.run_batch("--resume")
        self.assert_equals_goldens()
        self.assertRegex(said, r"\d+ answered, 0 failed, \d+ answered before")

    def test_says_what_failed(self):
        lines = [self.chat_line(0, self.goldens[0]),
                 {"custom_id": "bad", "method": "POST", "url": "/v1/nothing", "body": {}}]
        self.write_input(lines)
        self.run_batch(code=3)
        self.assertEqual(self.answers()["bad"]["response"]["status_code"], 400)
        self.assertIn("line 2: url is", self.answers()["bad"]["error"]["message"])
        self.assertIn("--resume", self.run_batch(code=1))
        os.remove(self.input)
        self.assertIn(f"{self.input} cannot be read", self.run_batch("--resume", code=1))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
