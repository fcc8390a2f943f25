"""Many requests at once: submitted as far as the engine's queue has room, and waited for."""

from __future__ import annotations

import functools
import queue
from collections.abc import Callable, Sequence
from typing import Any

from .delta import Delta
from .errors import InvalidArgument, QueueFull
from .progress import Bar
from .request import Request
from .session import Session


def run(
    session: Session,
    count: int,
    request_of: Callable[[int], Request],
    take: Callable[[int, int, Delta], None],
    bar: Bar,
) -> None:
    """Runs `request_of(place)` for each place below `count`; `take(place, id, delta)` gets what
    comes, on this thread. Whatever is raised here cancels all of them."""
    done: queue.SimpleQueue[tuple[int, Delta]] = queue.SimpleQueue()
    numbers: dict[int, int] = {}  # the engine's ids of those that run, by place
    session.start_reader()
    next_place, request = 0, None
    try:
        while numbers or next_place < count:
            while next_place < count:
                request = request or request_of(next_place)
                try:
                    sink = functools.partial(_put, done, next_place)
                    numbers[next_place] = session.submit(request, sink)
                except QueueFull:
                    if not numbers:
                        raise
                    break  # until another has ended
                next_place, request = next_place + 1, None
            place, delta = done.get()
            take(place, numbers[place], delta)
            bar.count(len(delta.prompt_token_ids or ()), len(delta.token_ids), int(delta.last))
            if delta.last:
                del numbers[place]
    except BaseException:
        for number in numbers.values():
            session.cancel(number)
        raise
    finally:
        bar.close()


def _put(done: queue.SimpleQueue, place: int, delta: Delta) -> None:
    done.put((place, delta))


def listed(prompts: Any) -> list[Any]:
    """A list of prompts; one prompt alone is a list of one."""
    if isinstance(prompts, (str, dict)):
        return [prompts]
    prompts = list(prompts)
    return [prompts] if prompts and isinstance(prompts[0], int) else prompts


def one_each(name: str, given: Any, count: int) -> list[Any]:
    """`given` for each of `count` prompts; a list has one for each already."""
    if not isinstance(given, Sequence):
        return [given] * count
    if len(given) != count:
        raise InvalidArgument(f"{name} has {len(given)} entries for {count} prompts", field=name)
    return list(given)


def text_of(prompt: Any) -> str | None:
    """The text of a prompt, where that is known without the engine."""
    if isinstance(prompt, dict):
        return prompt.get("prompt")
    return prompt if isinstance(prompt, str) else None
