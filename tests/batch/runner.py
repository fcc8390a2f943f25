"""The batch runner for tests: inputs, runs of it, and what they have written."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
from typing import Any

PROGRAM = pathlib.Path("apps/batch/batch").absolute()
# One thread: on a busy machine, threads that share work this small wait for each other.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
WORDS = ("river", "mountain", "bread", "window", "letter", "horse", "music", "winter")


def line(custom_id: str, max_tokens: int = 8) -> dict[str, Any]:
    prompt = f"Define: {WORDS[sum(custom_id.encode()) % len(WORDS)]} {custom_id}"
    body = {"prompt": prompt, "max_tokens": max_tokens, "temperature": 0, "ignore_eos": True}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/completions", "body": body}


def bad_line(custom_id: str) -> dict[str, Any]:
    return {**line(custom_id), "url": "/v1/nothing"}


def write(path: pathlib.Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def read(*paths: pathlib.Path) -> list[dict[str, Any]]:
    """All lines of outputs; each is whole."""
    texts = [path.read_text(encoding="utf-8") for path in paths]
    assert all(text.endswith("\n") or not text for text in texts)
    return [json.loads(line) for text in texts for line in text.splitlines()]


def ids(lines: list[dict[str, Any]]) -> list[str]:
    return [line["custom_id"] for line in lines]


def start(*flags: object, **options: Any) -> subprocess.Popen:
    return subprocess.Popen([PROGRAM, *map(str, flags)], env=ENVIRONMENT, **options)


def run(*flags: object, **options: Any) -> subprocess.CompletedProcess:
    return subprocess.run(
        [PROGRAM, *map(str, flags)],
        env=ENVIRONMENT,
        text=True,
        capture_output=True,
        check=False,
        timeout=1200,
        **options,
    )
