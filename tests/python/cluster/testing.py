"""Prompts, the batch runner's answers to them, and how a cluster's are held against those."""

import collections
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest

import tests.python.testing as testing

SAMPLING = {"temperature": 0, "max_tokens": 8}


def prompts(count: int) -> list[dict]:
    """Rows with an id and a prompt; no two the same."""
    words = sorted(set(re.findall(r"[a-z]+", " ".join(g["text"] for g in testing.goldens(15)))))
    asked = [f"Define: {first} {second}" for first in words for second in words]
    assert len(asked) >= count, f"{len(asked)} prompts, expected {count}"
    return [{"id": i, "prompt": prompt} for i, prompt in enumerate(asked[:count])]


def rows_of_test() -> list[dict]:
    """As many as ROWS in the environment says."""
    return prompts(int(os.environ.get("ROWS", "10000")))


def batch_answers(rows: list[dict]) -> tuple[dict[int, str], float]:
    """What `keel batch` answers, by id, and the seconds that it took."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        answers = _batch_answers(rows, pathlib.Path(folder))
        return answers, time.monotonic() - begin


def _batch_answers(rows: list[dict], folder: pathlib.Path) -> dict[int, str]:
    lines = [
        {
            "custom_id": str(row["id"]),
            "method": "POST",
            "url": "/v1/completions",
            "body": {"model": testing.MODEL, "prompt": row["prompt"], **SAMPLING},
        }
        for row in rows
    ]
    (folder / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    files = ["--input-file", folder / "in.jsonl", "--output-file", folder / "out.jsonl"]
    command = [testing.ROOT / "apps/batch/batch", "--model", testing.MODEL, *files]
    subprocess.run(command, check=True, capture_output=True)
    answers = {}
    for line in (folder / "out.jsonl").read_text(encoding="utf-8").splitlines():
        answer = json.loads(line)
        answers[int(answer["custom_id"])] = answer["response"]["body"]["choices"][0]["text"]
    return answers


def check(test: unittest.TestCase, rows: list[dict], found: list, expected: dict[int, str]) -> str:
    """That `found` has each of `rows` once with its text of `expected`, and that two workers, whose
    process ids are the column "worker", had a part in it. Returns what they did, as text."""
    test.assertEqual(sorted(row["id"] for row in found), list(range(len(rows))))
    wanted = {"prompt": {row["id"]: row["prompt"] for row in rows}, "text": expected}
    for name, values in wanted.items():
        test.assertEqual({row["id"]: row[name] for row in found}, values)
    shares = collections.Counter(row["worker"] for row in found)
    test.assertEqual(len(shares), 2, shares)
    distinct = len(set(expected.values()))
    test.assertGreater(distinct, len(rows) / 20)
    return f"{len(rows)} rows, {distinct} texts, shares {sorted(shares.values())}"
