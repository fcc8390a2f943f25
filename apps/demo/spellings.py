"""Each known word as one token, however it is spelled: " river", "river", " River" and "River".

A byte-level BPE cuts these four in different pieces, and a model has to learn each by itself. One
token each lets them start alike: while the model learns, they are one (`alias`); then they part.
"""

import json

import tokenizers
import torch

COPY_SCALE = 0.9  # of the embedding, which is the output layer too: the spaced spelling is likelier


def spellings(word):
  return [f" {word}", word, f" {word.capitalize()}", word.capitalize()]


def add_to(tokenizer, words):
  """Makes each spelling of the words a token of its own, after all others."""
  data = json.loads(tokenizer.backend_tokenizer.to_str())
  vocab = data["model"]["vocab"]
  for text in (text for word in words for text in spellings(word)):
    vocab.setdefault(text.replace(" ", "Ġ"), len(vocab))
  data["model"]["ignore_merges"] = True
  tokenizer._tokenizer = tokenizers.Tokenizer.from_str(json.dumps(data))


def alias(tokenizer, words):
  """[vocab] -> token to read in its place in a question: of a word's other spellings, the spaced
  one.

  An answer's first word stays itself, as it is written too.
  """
  result = torch.arange(len(tokenizer))
  for word, (_, answer) in words.items():
    ids = [tokenizer.convert_tokens_to_ids(text.replace(" ", "Ġ")) for text in spellings(word)]
    written = answer.startswith(word.capitalize())
    result[ids[1:3] if written else ids[1:]] = ids[0]
  return result


@torch.no_grad()
def part(model, aliases):
  """Gives the tokens that were read as another that one's embedding to start with."""
  embedding = model.model.embed_tokens.weight
  others = (aliases != torch.arange(len(aliases))).nonzero()[:, 0]
  embedding[others] = COPY_SCALE * embedding[aliases[others]]


@torch.no_grad()
def grow(model, tokenizer, old_tokenizer):
  """Gives the model of `old_tokenizer` the new tokens, as the mean of their old pieces."""
  embedding = model.resize_token_embeddings(len(tokenizer), mean_resizing=False).weight
  for token in range(len(old_tokenizer), len(tokenizer)):
    pieces = old_tokenizer.encode(tokenizer.decode([token]))
    embedding[token] = embedding[pieces].mean(0)
