"""A conversation as the model's tokens, and which of them it is to learn."""

import functools

END_OF_TEXT, IM_START, IM_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' + (message['content'] | trim) + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}"""
IGNORED = -100


@functools.lru_cache(maxsize=4096)  # answers are few
def tokens(tokenizer, text):
  return tokenizer.encode(text)


def encode(tokenizer, messages):
  """Token ids of a conversation, and labels: the ids of the assistant's words, else IGNORED."""
  newline = tokens(tokenizer, "\n")
  ids, labels = [], []
  for message in messages:
    head = tokens(tokenizer, f"{IM_START}{message['role']}\n")
    body = tokens(tokenizer, message["content"] + IM_END)
    learned = body if message["role"] == "assistant" else [IGNORED] * len(body)
    ids += head + body + newline
    labels += [IGNORED] * len(head) + learned + [IGNORED] * len(newline)
  return ids, labels
