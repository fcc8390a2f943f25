"""Bars: of a list of prompts, and of a model that is being loaded."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, Union

Progress = Union[bool, Callable[..., Any]]  # whether to show a bar, or a class like tqdm


class Bar:
    """Counts prompts, and shows tokens a second beside them. Shows nothing if none is wanted."""

    def __init__(self, use_tqdm: Progress, total: int) -> None:
        make = _class_of(use_tqdm)
        self._bar: Any = make and make(total=total, desc="prompts", dynamic_ncols=True)
        self._prompt_tokens = self._tokens = 0

    def count(self, prompt_tokens: int, tokens: int, prompts: int) -> None:
        """So many more tokens of prompts, new tokens and prompts that are done."""
        if self._bar is None:
            return
        self._prompt_tokens += prompt_tokens
        self._tokens += tokens
        elapsed = self._bar.format_dict["elapsed"] or 1e-9
        rates = f"in {self._prompt_tokens / elapsed:.0f}, out {self._tokens / elapsed:.0f} tokens/s"
        self._bar.set_postfix_str(rates, refresh=False)
        self._bar.update(prompts)

    def close(self) -> None:
        """The bar stays as it is."""
        if self._bar is not None:
            self._bar.close()


class LoadBars:
    """A bar for each stage of loading that has bytes to count. With True only on a terminal."""

    def __init__(self, use_tqdm: Progress) -> None:
        # Not left to tqdm's `disable`: it starts its thread even for a bar that shows nothing.
        unseen = use_tqdm is True and not (sys.stderr and sys.stderr.isatty())
        self._make = None if unseen else _class_of(use_tqdm)
        self._stage, self._done = "", 0
        self._bar: Any = None
        self._lock = threading.Lock()

    def show(self, stage: str, done: int, total: int) -> None:
        """So many of a stage's bytes are done; total 0: nobody knows how many there are. May be
        called from several threads."""
        if self._make is None:
            return
        with self._lock:
            if stage != self._stage:
                self.close()
                self._stage, self._done = stage, 0
                if total > 0:
                    self._bar = self._new(stage, total)
            if self._bar is not None:
                self._bar.update(done - self._done)
                self._done = done

    def _new(self, stage: str, total: int) -> Any:
        return self._make(total=total, desc=stage, unit="B", unit_scale=True, dynamic_ncols=True)

    def close(self) -> None:
        """The bar stays as it is."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None


def _class_of(use_tqdm: Progress) -> Any:
    """What makes a bar; None for none, as without the package tqdm."""
    if use_tqdm is not True:
        return use_tqdm or None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm
