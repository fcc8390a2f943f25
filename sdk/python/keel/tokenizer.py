"""The tokenizer of a loaded model."""

from __future__ import annotations

from collections.abc import Sequence

from .session import Session


class Tokenizer:
    """Text to token ids and back, as the engine does it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        """Token ids of a text."""
        return self._session.tokenize(text, add_special_tokens)

    def decode(self, token_ids: Sequence[int], skip_special_tokens: bool = False) -> str:
        """The text of token ids."""
        return self._session.detokenize(list(token_ids), skip_special_tokens)
