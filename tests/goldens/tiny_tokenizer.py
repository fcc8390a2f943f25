"""The tokenizer of the servable tiny checkpoint: a byte-level BPE with 128 tokens.

It knows printable ASCII, the newline, and the bytes of a few longer characters, so that a stream
can end in the middle of one; other bytes are dropped. Special tokens come first.
"""

import tokenizers
import transformers

SPECIAL = ["<|bos|>", "<|im_start|>", "<|im_end|>"]
LONG_CHARACTERS = "é€🙂"  # two, three and four bytes
MERGES = [
    "Ġ t", "h e", "Ġt he", "i n", "e r", "a n", "Ġ a", "o n", "r e", "o u", "Ġ s", "e n", "Ġ w",
    "l l", "he ll", "hell o", "i s", "Ġ an", "u s", "us er", "Ċ Ċ",
]  # fmt: skip
CHAT_TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

TEXTS = ["", "hello", "Hello, the user!", " two  spaces\n\nand lines", "an é, 3 € and 🙂.", "1234"]
CHATS = [
    [{"role": "user", "content": "hello"}],
    [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "What is the sea?"},
        {"role": "assistant", "content": "Water."},
        {"role": "user", "content": "And 🙂?\n"},
    ],
]


def byte_symbols(text: str) -> list[str]:
    """`text` in byte-level BPE's alphabet, one symbol a byte."""
    pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return [c for piece, _ in pre_tokenizer.pre_tokenize_str(text) for c in piece]


def build(
    vocab_size: int,
    pair: str = "<|bos|> $A $B",
    more_special: tuple[str, ...] = (),
    chat_template: str = CHAT_TEMPLATE,
) -> transformers.PreTrainedTokenizerFast:
    """`pair`: how two texts are joined; "$B:1" gives the second one's tokens the type 1.
    `more_special` come after all other tokens."""
    tokens = SPECIAL + byte_symbols("\n" + "".join(map(chr, range(32, 127))))
    for symbol in byte_symbols(LONG_CHARACTERS):
        if symbol not in tokens:
            tokens.append(symbol)
    merges = [tuple(m.split()) for m in MERGES]
    tokens += ["".join(m) for m in merges] + list(more_special)
    if len(tokens) != vocab_size:
        raise ValueError(f"the tokenizer has {len(tokens)} tokens, the model {vocab_size}")

    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE({t: i for i, t in enumerate(tokens)}, merges)
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = tokenizers.decoders.ByteLevel()
    backend.add_special_tokens(SPECIAL + list(more_special))
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|bos|> $A",
        pair=pair,
        special_tokens=[(t, i) for i, t in enumerate(SPECIAL) if t in pair],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|bos|>",
        eos_token="<|im_end|>",
        chat_template=chat_template,
        clean_up_tokenization_spaces=False,
        model_max_length=512,
    )


def goldens(tokenizer: transformers.PreTrainedTokenizerBase) -> dict:
    """What transformers' tokenizer makes of TEXTS and CHATS."""
    texts = [
        {
            "text": text,
            "ids": tokenizer(text)["input_ids"],
            "ids_without_special": tokenizer(text, add_special_tokens=False)["input_ids"],
            "decoded": tokenizer.decode(tokenizer(text)["input_ids"]),
            "decoded_without_special": tokenizer.decode(
                tokenizer(text)["input_ids"], skip_special_tokens=True
            ),
        }
        for text in TEXTS
    ]
    chats = [
        {
            "messages": chat,
            "add_generation_prompt": prompt,
            "text": tokenizer.apply_chat_template(
                chat, add_generation_prompt=prompt, tokenize=False
            ),
            "ids": tokenizer.apply_chat_template(chat, add_generation_prompt=prompt)["input_ids"],
        }
        for chat in CHATS
        for prompt in (False, True)
    ]
    return {"texts": texts, "chats": chats}
