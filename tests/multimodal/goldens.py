"""What transformers makes of images and sounds, from tests/goldens, for Python tests."""

import json
import pathlib
import struct
import zlib
from dataclasses import dataclass
from typing import Any


@dataclass
class Image:
    height: int
    width: int
    rgb: bytes

    def png(self) -> bytes:
        return png(self.height, self.width, self.rgb)


def png(height: int, width: int, rgb: bytes, level: int = 6) -> bytes:
    """A PNG of 8 bits a colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = b"".join(b"\0" + rgb[3 * width * y : 3 * width * (y + 1)] for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows, level))
        + chunk(b"IEND", b"")
    )


@dataclass
class Sound:
    rate: int
    samples: bytes  # f32

    def __len__(self) -> int:
        return len(self.samples) // 4

    def wav(self) -> bytes:
        """As 32 bit floats."""
        facts = struct.pack("<HHIIHH", 3, 1, self.rate, 4 * self.rate, 4, 32)
        body = b"WAVEfmt " + struct.pack("<I", len(facts)) + facts
        body += b"data" + struct.pack("<I", len(self.samples)) + self.samples
        return b"RIFF" + struct.pack("<I", len(body)) + body


class Goldens:
    """The images or sounds, and of each chat without a video its parts (a text, or the number of an
    image or a sound), `ids` and `greedy`."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        data = pathlib.Path(directory, "goldens.safetensors").read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        self._tensors = json.loads(data[8 : 8 + size])
        self._data = data[8 + size :]
        facts = json.loads(pathlib.Path(directory, "goldens.json").read_text(encoding="utf-8"))
        self.chats: dict[str, list[Any]] = {
            name: chat["parts"]
            for name, chat in facts["chats"].items()
            if not any(isinstance(part, list) for part in chat["parts"])
        }
        self.texts: dict[str, str] = {n: c["text"] for n, c in facts["chats"].items()}
        self.images = []
        while f"image_{len(self.images)}" in self._tensors:
            name = f"image_{len(self.images)}"
            height, width, _ = self._tensors[name]["shape"]
            self.images.append(Image(height, width, self._bytes(name)))
        self.sounds = []
        while f"sound_{len(self.sounds)}" in self._tensors:
            self.sounds.append(Sound(16000, self._bytes(f"sound_{len(self.sounds)}")))

    def _bytes(self, name: str) -> bytes:
        begin, end = self._tensors[name]["data_offsets"]
        return self._data[begin:end]

    def ids(self, chat: str) -> list[int]:
        return self._ids(f"{chat}.input_ids")

    def greedy(self, chat: str) -> list[int]:
        return self._ids(f"{chat}.greedy")

    def _ids(self, name: str) -> list[int]:
        data = self._bytes(name)
        return list(struct.unpack(f"<{len(data) // 8}q", data))
