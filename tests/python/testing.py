"""What the tests of the Python package have in common: the library and the model of this build."""

import json
import os
import pathlib

ROOT = pathlib.Path.cwd()
MODEL = str(ROOT / "apps/demo/model")

# Before keel is imported, here and in processes that tests start.
os.environ.setdefault("KEEL_LIBRARY", str(ROOT / "core/capi/libkeel.so.0"))
os.environ.setdefault("KEEL_PLUGIN_DIR", str(ROOT / "plugins"))


def goldens(count: int) -> list[dict]:
    """What transformers answers for the demo model: messages, prompt_token_ids, token_ids, text.
    They begin anew where there are fewer."""
    lines = (ROOT / "apps/demo/testdata/greedy.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(lines[i % len(lines)]) for i in range(count)]


def metric(metrics: str, name: str) -> float:
    """The sum of a metric's samples."""
    lines = [line for line in metrics.splitlines() if line.split("{")[0].split(" ")[0] == name]
    if not lines:
        raise KeyError(name)
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)
