"""A bar for a list of prompts."""

from __future__ import annotations

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


def _class_of(use_tqdm: Progress) -> Any:
    """What makes a bar; None for none, as without the package tqdm."""
    if use_tqdm is not True:
        return use_tqdm or None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm
