"""A line of a batch that kills the server, on a fake engine that dies of a prompt."""

import json
import pathlib
import signal
import subprocess
import tempfile
import unittest

import openai
from tests.server.serving import Server, environment, wait_until

FAKE = pathlib.Path("apps/server/fake_server").absolute()
DEATHS = 3


class BatchCrashTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.flags = ("--model", "fake=/m/fake,step-ms=20", "--files-dir", f"{folder.name}/files")

    def client(self, server: Server) -> openai.OpenAI:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        self.addCleanup(client.close)
        return client

    def batch(self, prompts: dict[str, str]) -> str:
        """The id of a batch of which DEATHS servers have died."""
        lines = [
            json.dumps(
                {
                    "custom_id": custom_id,
                    "method": "POST",
                    "url": "/v1/completions",
                    "body": {"prompt": prompt, "max_tokens": 20},
                }
            )
            for custom_id, prompt in prompts.items()
        ]
        server = Server(*self.flags, program=FAKE)
        self.addCleanup(server.stop)
        client = self.client(server)
        file = client.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/completions", completion_window="24h"
        )
        self.assertEqual(server.wait(), -signal.SIGKILL)
        for _ in range(1, DEATHS):
            command = [FAKE, "--port", "0", *self.flags]
            died = subprocess.run(
                command, env=environment(), capture_output=True, check=False, timeout=60
            )
            self.assertEqual(died.returncode, -signal.SIGKILL)
        return batch.id

    def ended(self, client: openai.OpenAI, batch: str) -> openai.types.Batch:
        states = ("completed", "failed")
        wait_until(lambda: client.batches.retrieve(batch).status in states, "the end")
        return client.batches.retrieve(batch)

    def test_it_fails_and_the_others_are_answered(self) -> None:
        prompts = {"good": "a few words", "killer": "[crash] at the fourth token", "other": "more"}
        batch_id = self.batch(prompts)
        with Server(*self.flags, program=FAKE) as server:
            client = self.client(server)
            batch = self.ended(client, batch_id)
            self.assertEqual(batch.status, "completed")
            self.assertEqual(batch.request_counts.completed, 2)
            (error,) = client.files.content(batch.error_file_id).text.splitlines()
        self.assertEqual(json.loads(error)["custom_id"], "killer")
        self.assertEqual(json.loads(error)["error"]["code"], "process_died")

    def test_one_that_kills_before_any_is_run(self) -> None:
        batch_id = self.batch({"good": "a few words", "large": "x" * 10_000_000})
        with Server(*self.flags, program=FAKE) as server:
            batch = self.ended(self.client(server), batch_id)
            self.assertEqual(batch.status, "failed")
            (fault,) = batch.errors.data
        self.assertEqual((fault.code, fault.line), ("process_died", 2))
        self.assertIn(f"{DEATHS} processes died", fault.message)


if __name__ == "__main__":
    unittest.main()
