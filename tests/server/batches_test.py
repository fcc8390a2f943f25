"""Files and batches, by the official client of OpenAI, of a server that is killed meanwhile."""

import json
import pathlib
import re
import tempfile
import time
import unittest
from typing import Any

import openai
from tests.server.serving import Server, wait_until

MODEL = "keel-demo"
ENDED = ("completed", "failed", "cancelled", "expired")


def line(custom_id: str, max_tokens: int = 8, **body: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"Define: river {custom_id}"}]
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": MODEL, "messages": messages, "max_tokens": max_tokens, **body},
    }


def jsonl(lines: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


class BatchesTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name, "files")
        self.start()
        self.addCleanup(lambda: self.server.stop())

    def start(self, *flags: str) -> None:
        self.server = Server("--files-dir", str(self.folder), *flags)
        self.client = openai.OpenAI(
            base_url=f"{self.server.url}/v1", api_key="none", max_retries=0, timeout=60
        )
        self.addCleanup(self.client.close)

    def upload(self, lines: list[dict[str, Any]], **options: Any) -> Any:
        return self.client.files.create(
            file=("lines.jsonl", jsonl(lines)), purpose="batch", **options
        )

    def create(self, lines: list[dict[str, Any]], **options: Any) -> Any:
        return self.client.batches.create(
            **{
                "input_file_id": self.upload(lines).id,
                "endpoint": "/v1/chat/completions",
                "completion_window": "24h",
                **options,
            }
        )

    def get(self, batch: Any) -> Any:
        return self.client.batches.retrieve(batch.id)

    def wait(self, batch: Any, *statuses: str) -> Any:
        wait_until(lambda: self.get(batch).status in (statuses or ENDED), "the batch's end", 120)
        return self.get(batch)

    def content(self, file_id: str) -> list[dict[str, Any]]:
        text = self.client.files.content(file_id).text
        return [json.loads(line) for line in text.splitlines()]

    def test_a_batch_is_answered(self) -> None:
        lines = [line("good", temperature=0, max_tokens=64), line("bad", temperature="hot")]
        batch = self.create(lines, metadata={"job": "nightly"})
        self.assertEqual(batch.object, "batch")
        self.assertEqual(batch.endpoint, "/v1/chat/completions")
        self.assertEqual(batch.metadata, {"job": "nightly"})
        self.assertEqual(batch.expires_at, batch.created_at + 24 * 3600)
        batch = self.wait(batch)
        self.assertEqual(batch.status, "completed")
        self.assertEqual(batch.model, MODEL)
        self.assertIsNone(batch.errors)
        counts = batch.request_counts
        self.assertEqual((counts.total, counts.completed, counts.failed), (2, 1, 1))
        usage = self.content(batch.output_file_id)[0]["response"]["body"]["usage"]
        self.assertEqual(batch.usage.input_tokens, usage["prompt_tokens"])
        self.assertEqual(batch.usage.total_tokens, usage["total_tokens"])
        for time_at in (batch.in_progress_at, batch.finalizing_at, batch.completed_at):
            self.assertGreaterEqual(time_at, batch.created_at)
        (answer,) = self.content(batch.output_file_id)
        self.assertEqual(answer["custom_id"], "good")
        self.assertEqual(answer["response"]["status_code"], 200)
        direct = self.client.chat.completions.create(**lines[0]["body"])
        (choice,) = answer["response"]["body"]["choices"]
        self.assertEqual(choice["message"]["content"], direct.choices[0].message.content)
        (error,) = self.content(batch.error_file_id)
        self.assertEqual(error["custom_id"], "bad")
        self.assertEqual(error["response"]["status_code"], 400)
        self.assertEqual(error["response"]["body"]["error"]["param"], "temperature")

    def test_a_killed_server_goes_on_and_answers_each_line_once(self) -> None:
        self.server.stop()
        self.start("--batch-max-crashes", "0")  # none is a line's fault
        count = 150
        ids = [f"id-{i}" for i in range(count)]
        batch = self.create([line(i, max_tokens=24, ignore_eos=True) for i in ids])
        completed = 0
        for _ in range(3):
            before = self.written()
            wait_until(lambda: self.written() > before + 5_000, "some more lines", 60)
            self.server.stop()  # SIGKILL
            self.start("--batch-max-crashes", "0")
            now = self.get(batch)
            self.assertEqual(now.status, "in_progress")
            self.assertGreaterEqual(now.request_counts.completed, completed)
            completed = now.request_counts.completed
        batch = self.wait(batch)
        self.assertEqual(batch.status, "completed")
        self.assertEqual(batch.request_counts.completed, count)
        answered = [answer["custom_id"] for answer in self.content(batch.output_file_id)]
        self.assertCountEqual(answered, ids)
        self.assertIsNone(batch.error_file_id)

    def written(self) -> int:
        return sum(file.stat().st_size for file in self.folder.glob("file-*"))

    def test_calls_of_clients_go_first(self) -> None:
        self.server.stop()
        self.start("--max-num-seqs", "2")
        lines = [line(f"id-{i}", max_tokens=200, ignore_eos=True) for i in range(100)]
        batch = self.wait(self.create(lines), "in_progress")
        for _ in range(3):
            answer = self.client.chat.completions.create(**line("live", max_tokens=1)["body"])
            self.assertEqual(answer.usage.completion_tokens, 1)
        self.assertLess(self.get(batch).request_counts.completed, 100)
        self.client.batches.cancel(batch.id)
        self.wait(batch, "cancelled")

    def test_a_batch_is_cancelled(self) -> None:
        lines = [line(f"id-{i}", max_tokens=400, ignore_eos=True) for i in range(500)]
        first, second = self.create(lines), self.create(lines)
        self.wait(first, "in_progress")
        self.assertEqual(self.client.batches.cancel(second.id).status, "cancelled")
        self.assertIn(self.client.batches.cancel(first.id).status, ("cancelling", "cancelled"))
        first = self.wait(first)
        self.assertEqual(first.status, "cancelled")
        self.assertGreaterEqual(first.cancelled_at, first.cancelling_at)
        errors = self.content(first.error_file_id)
        self.assertEqual({error["error"]["code"] for error in errors}, {"batch_cancelled"})
        self.assertEqual({error["response"] for error in errors}, {None})
        counts = first.request_counts
        self.assertEqual(counts.completed + counts.failed, 500)
        with self.assertRaisesRegex(openai.BadRequestError, "is cancelled"):
            self.client.batches.cancel(first.id)

    def test_a_bad_input_fails_the_batch_with_lines(self) -> None:
        lines = [line("a"), line("a"), {**line("c"), "url": "/v1/embeddings"}]
        batch = self.wait(self.create(lines))
        self.assertEqual(batch.status, "failed")
        self.assertEqual(batch.errors.object, "list")
        found = [(error.line, error.code, error.param) for error in batch.errors.data]
        expected = [(2, "duplicate_custom_id", "custom_id"), (3, "invalid_url", "url")]
        self.assertEqual(found, expected)
        self.assertIsNotNone(batch.failed_at)

    def test_what_is_not_done_in_time_expires(self) -> None:
        lines = [line(f"id-{i}", max_tokens=400, ignore_eos=True) for i in range(500)]
        batch = self.wait(self.create(lines, completion_window="2s"))
        self.assertEqual(batch.status, "expired")
        errors = self.content(batch.error_file_id)
        self.assertEqual({error["error"]["code"] for error in errors}, {"batch_expired"})

    def test_files(self) -> None:
        files = [self.upload([line(str(i))]) for i in range(3)]
        self.assertEqual(files[0].filename, "lines.jsonl")
        self.assertEqual(files[0].bytes, len(jsonl([line("0")])))
        self.assertIsNone(files[0].expires_at)
        ids = [file.id for file in files]
        self.assertEqual([file.id for file in self.client.files.list(limit=2)], ids[::-1])
        self.assertEqual([file.id for file in self.client.files.list(order="asc")], ids)
        self.assertEqual(self.content(ids[1]), [line("1")])
        self.assertTrue(self.client.files.delete(ids[1]).deleted)
        with self.assertRaisesRegex(openai.NotFoundError, "there is no file"):
            self.client.files.retrieve(ids[1])
        self.assertEqual(self.client.files.retrieve(ids[2]).id, ids[2])
        expiring = self.upload(
            [line("0")], expires_after={"anchor": "created_at", "seconds": 3600}
        )
        self.assertEqual(expiring.expires_at, expiring.created_at + 3600)

    def test_batches_are_listed_in_pages(self) -> None:
        ids = [self.create([line("a")]).id for _ in range(5)]
        self.assertEqual([batch.id for batch in self.client.batches.list(limit=2)], ids[::-1])
        page = self.client.batches.list(limit=2)
        self.assertEqual(len(page.data), 2)
        self.assertTrue(page.has_more)

    def test_wrong_calls_are_told(self) -> None:
        for change, message in (
            ({"endpoint": "/v1/images"}, "endpoint is '/v1/images', expected one of"),
            ({"completion_window": "24"}, "completion_window is '24', expected '24h'"),
            ({"metadata": {"k": "x" * 513}}, "metadata has more than"),
            ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "3600 to 2592000"),
        ):
            with self.assertRaisesRegex(openai.BadRequestError, message):
                self.create([line("a")], **change)
        with self.assertRaisesRegex(openai.NotFoundError, "there is no file 'file-0'"):
            self.create([line("a")], input_file_id="file-0")
        with self.assertRaisesRegex(openai.NotFoundError, "there is no batch 'batch_0'"):
            self.client.batches.retrieve("batch_0")
        for wrong, message in (
            ({"purpose": "vision"}, "purpose is 'vision', expected 'batch'"),
            ({"expires_after": {"anchor": "created_at", "seconds": 5}}, "3600 to 2592000"),
        ):
            with self.assertRaisesRegex(openai.BadRequestError, message):
                self.client.files.create(**{"file": b"x", "purpose": "batch", **wrong})
        response = self.server.post("/v1/files", {"purpose": "batch"})
        self.assertEqual(response.status, 400)
        self.assertIn("expected multipart/form-data", response.error()["message"])
        self.assertEqual(self.server.get("/v1/batches?limit=0").status, 400)

    def test_a_filename_is_text_whatever_it_was(self) -> None:
        content = jsonl([line("a")])
        for name, kept in (("河" * 200, "河" * 85), ("../../keel.sqlite", "../../keel.sqlite")):
            file = self.client.files.create(file=(name, content), purpose="batch")
            self.assertEqual(file.filename, kept)
        body = b"--x\r\nContent-Disposition: form-data; name=purpose\r\n\r\nbatch\r\n--x\r\n"
        body += b'Content-Disposition: form-data; name=file; filename="\xff"\r\n\r\n{}\r\n--x--\r\n'
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = self.server.request("POST", "/v1/files", body, form)
        self.assertEqual((answer.status, answer.json()["filename"]), (200, "\ufffd"))
        self.assertEqual(len(self.server.get("/v1/files").json()["data"]), 3)

    def test_files_have_limits(self) -> None:
        self.server.stop()
        self.start("--max-files-bytes", "1KiB", "--max-batch-lines", "2")
        with self.assertRaisesRegex(openai.APIStatusError, "more than --max-files-bytes") as caught:
            self.upload([line(str(i)) for i in range(20)])
        self.assertEqual(caught.exception.status_code, 413)
        batch = self.wait(self.create([line(str(i)) for i in range(3)]))
        self.assertEqual(batch.errors.data[0].code, "too_many_requests")

    def test_a_large_file_goes_to_the_disk(self) -> None:
        size = 96 << 20  # more than --max-body-bytes
        before = self.anonymous_bytes()
        content = bytes(size)
        file = self.client.files.create(file=("zeros.jsonl", content), purpose="batch")
        self.assertEqual(file.bytes, size)
        self.assertLess(self.anonymous_bytes() - before, 16 << 20)
        with self.client.files.with_streaming_response.content(file.id) as stored:
            self.assertEqual(sum(map(len, stored.iter_bytes(1 << 20))), size)
        self.server.stop()
        self.start("--max-batch-file-bytes", "1MiB")
        with self.assertRaisesRegex(openai.APIStatusError, "than --max-batch-file-bytes") as caught:
            self.client.files.create(file=("zeros.jsonl", content[: 2 << 20]), purpose="batch")
        self.assertEqual(caught.exception.status_code, 413)

    def anonymous_bytes(self) -> int:
        status = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
        (kib,) = re.findall(r"RssAnon:\s+(\d+) kB", status)
        return int(kib) << 10

    def test_an_input_in_use_is_not_deleted(self) -> None:
        lines = [line(f"id-{i}", max_tokens=400, ignore_eos=True) for i in range(300)]
        batch = self.wait(self.create(lines), "in_progress")
        with self.assertRaisesRegex(openai.BadRequestError, "input of a batch that runs"):
            self.client.files.delete(batch.input_file_id)
        self.client.batches.cancel(batch.id)
        self.wait(batch, "cancelled")
        self.assertTrue(self.client.files.delete(batch.input_file_id).deleted)

    def test_a_server_that_ends_leaves_lines_to_the_next(self) -> None:
        ids = [f"id-{i}" for i in range(80)]
        batch = self.create([line(i, max_tokens=24, ignore_eos=True) for i in ids])
        self.wait(batch, "in_progress", *ENDED)
        begin = time.monotonic()
        self.server.process.terminate()
        self.assertEqual(self.server.wait(), 0)
        self.assertLess(time.monotonic() - begin, 10)
        self.start()
        batch = self.wait(batch)
        answered = [answer["custom_id"] for answer in self.content(batch.output_file_id)]
        self.assertCountEqual(answered, ids)


class WithoutDirectoryTest(unittest.TestCase):
    def test_the_endpoints_say_what_is_missing(self) -> None:
        with Server() as server:
            for path in ("/v1/files", "/v1/batches", "/v1/files/file-1", "/v1/batches/batch_1"):
                response = server.get(path)
                self.assertEqual(response.status, 404)
                self.assertIn("start it with --files-dir", response.error()["message"])

    def test_one_server_a_directory(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            with Server("--files-dir", folder):
                with self.assertRaises(RuntimeError):
                    Server("--files-dir", folder)


if __name__ == "__main__":
    unittest.main()
