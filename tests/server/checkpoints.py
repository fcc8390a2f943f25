"""Checkpoints for tests: copies of tiny ones in the tree, and ways to break them."""

from __future__ import annotations

import json
import pathlib
import shutil
import struct
from collections.abc import Callable
from typing import Any

LLAMA = pathlib.Path("plugins/llama/testdata/default").absolute()

_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)


def copy(target: pathlib.Path, source: pathlib.Path = LLAMA) -> pathlib.Path:
    target.mkdir(parents=True)
    for name in _FILES:
        shutil.copyfile(source / name, target / name)
    return target


def edit_json(path: pathlib.Path, edit: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))


def read_safetensors(path: pathlib.Path) -> tuple[dict[str, Any], bytes]:
    """The header without metadata, and the data that its offsets count in."""
    content = path.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    return header, content[8 + length :]


def edit_safetensors(path: pathlib.Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Rewrites the file with an edited header; data of tensors that left the header goes, too."""
    header, data = read_safetensors(path)
    edit(header)
    parts = []
    end = 0
    for tensor in header.values():
        begin, stop = tensor["data_offsets"]
        parts.append(data[begin:stop])
        tensor["data_offsets"] = [end, end + stop - begin]
        end += stop - begin
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(parts))


def read_ids(path: pathlib.Path, name: str) -> list[int]:
    """A tensor of token ids (i64)."""
    header, data = read_safetensors(path)
    begin, end = header[name]["data_offsets"]
    return list(struct.unpack(f"<{(end - begin) // 8}q", data[begin:end]))
