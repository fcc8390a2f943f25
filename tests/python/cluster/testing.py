"""Prompts, and the batch runner's answers to them."""

import json
import pathlib
import re
import subprocess

import tests.python.testing as testing

SAMPLING = {"temperature": 0, "max_tokens": 8}


def prompts(count: int) -> list[dict]:
    """Rows with an id and a prompt; no two the same."""
    words = sorted(set(re.findall(r"[a-z]+", " ".join(g["text"] for g in testing.goldens(15)))))
    asked = [f"Define: {first} {second}" for first in words for second in words]
    assert len(asked) >= count, f"{len(asked)} prompts, expected {count}"
    return [{"id": i, "prompt": prompt} for i, prompt in enumerate(asked[:count])]


def batch_answers(rows: list[dict], folder: pathlib.Path) -> dict[int, str]:
    """What `keel batch` answers, by id."""
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
