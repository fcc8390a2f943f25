"""Images, videos and sounds of a prompt."""

from __future__ import annotations

import array
import ctypes
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from . import abi
from .errors import InvalidArgument, NotServed

_URL = re.compile(r"(data|file|https?):", re.IGNORECASE)
# Parts of a message's content: where the item is, and what it is.
_PARTS = {
    "image_url": "image",
    "video_url": "video",
    "audio_url": "audio",
    "input_audio": "audio",
    "image_pil": "image",
}
MODALITIES = ("image", "video", "audio")


def add_media(handle: ctypes.c_void_p, media: Mapping[str, Any]) -> None:
    """Adds what `multi_modal_data` holds: by modality an item or a list of items."""
    for modality, items in media.items():
        if modality not in MODALITIES:
            raise InvalidArgument(
                f"multi_modal_data has {modality!r}, expected {', '.join(MODALITIES)}",
                field="multi_modal_data",
            )
        listed = items if isinstance(items, list) else [items]
        for i, item in enumerate(listed):
            _add(handle, modality, item, f"multi_modal_data['{modality}'][{i}]")


def take_media(handle: ctypes.c_void_p, messages: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The messages for a chat template; their media are added in their order."""
    taken: list[Any] = []
    for i, message in enumerate(messages):
        content = message.get("content") if isinstance(message, Mapping) else None
        if not isinstance(content, (list, tuple)):
            taken.append(message)
            continue
        parts = [
            _take(handle, part, f"messages[{i}].content[{j}]") for j, part in enumerate(content)
        ]
        taken.append({**message, "content": parts})
    return taken


def _take(handle: ctypes.c_void_p, part: Any, place: str) -> Any:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind not in _PARTS:
        return part
    given = part.get(kind)
    if isinstance(given, Mapping):
        given = f"data:;base64,{given.get('data')}" if kind == "input_audio" else given.get("url")
    if kind != "image_pil" and not isinstance(given, str):
        raise InvalidArgument(f"{place} has no {kind}, expected a URL", field=place)
    if isinstance(given, str):
        _add_url(handle, _PARTS[kind], given, place)
    else:
        _add(handle, "image", given, place)
    return {"type": _PARTS[kind]}


def _add(handle: ctypes.c_void_p, modality: str, item: Any, place: str) -> None:
    """A PIL image, an array of bytes [height, width, 3], a sound's samples with their rate, a
    file's bytes, its path, or a URL."""
    if isinstance(item, str) and _URL.match(item):
        _add_url(handle, modality, item, place)
    elif isinstance(item, (str, os.PathLike)):
        _add_file(handle, modality, pathlib.Path(item).read_bytes(), place)
    elif isinstance(item, (bytes, bytearray)):
        _add_file(handle, modality, bytes(item), place)
    elif modality == "image":
        _add_pixels(handle, item, place)
    elif modality == "audio":
        _add_samples(handle, item, place)
    else:
        raise NotServed(
            f"{place} is {type(item).__name__}, expected a file's bytes, its path or a URL",
            field=place,
        )


def _add_pixels(handle: ctypes.c_void_p, item: Any, place: str) -> None:
    if hasattr(item, "convert") and hasattr(item, "tobytes"):  # a PIL image
        width, height = item.size
        pixels = item.convert("RGB").tobytes()
    else:
        try:
            view = memoryview(item)
            height, width, channels = view.shape or ()
            if view.format != "B" or channels != 3:
                raise ValueError
        except (TypeError, ValueError):
            raise InvalidArgument(
                f"{place} is {type(item).__name__}, expected a PIL image, an array of uint8 "
                "[height, width, 3], a file's bytes, its path or a URL",
                field=place,
            ) from None
        pixels = view.tobytes()
    abi.check(_of_library("request_add_image")(handle, pixels, height, width))


def _add_samples(handle: ctypes.c_void_p, item: Any, place: str) -> None:
    """(samples, rate), as librosa.load gives them: one channel, 1 is full scale."""
    try:
        given, rate = item
        samples = array.array("f", given.tolist() if hasattr(given, "tolist") else given)
        rate = int(rate)
    except (TypeError, ValueError):
        raise InvalidArgument(
            f"{place} is {type(item).__name__}, expected samples and their rate "
            "(array, 16000), a file's bytes, its path or a URL",
            field=place,
        ) from None
    if not samples:
        raise InvalidArgument(f"{place} has no samples", field=place)
    numbers = (ctypes.c_float * len(samples)).from_buffer(samples)
    abi.check(_of_library("request_add_audio")(handle, numbers, len(samples), rate))


def _add_file(handle: ctypes.c_void_p, modality: str, data: bytes, place: str) -> None:
    add = _of_library("request_add_media")
    abi.check(add(handle, modality.encode(), data, len(data), place.encode()))


def _add_url(handle: ctypes.c_void_p, modality: str, url: str, place: str) -> None:
    add, data = _of_library("request_add_media_url"), url.encode()
    abi.check(add(handle, modality.encode(), data, len(data), place.encode()))


def _of_library(name: str) -> Any:
    function = getattr(abi, name)
    if function is None:
        raise NotServed("this libkeel takes no media; install the one of this package")
    return function
