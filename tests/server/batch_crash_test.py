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

    def test_it_fails_and_the_others_are_answered(self) -> None:
        prompts = {"good": "a few words", "killer": "[crash] at the fourth token", "other": "more"}
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
        with Server(*self.flags, program=FAKE) as server:
            client = self.client(server)
            wait_until(lambda: client.batches.retrieve(batch.id).status == "completed", "the end")
            batch = client.batches.retrieve(batch.id)
            self.assertEqual(batch.request_counts.completed, 2)
            (error,) = client.files.content(batch.error_file_id).text.splitlines()
        self.assertEqual(json.loads(error)["custom_id"], "killer")
        self.assertEqual(json.loads(error)["error"]["code"], "process_died")


if __name__ == "__main__":
    unittest.main()
