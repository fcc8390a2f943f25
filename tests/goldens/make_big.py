"""Writes a checkpoint of a real model's shape with random bf16 weights, to measure speed with.

  python tests/goldens/make_big.py DIR [--shape qwen2.5-0.5b | mamba2-130m]

Qwen2.5-0.5B is the default: 494M parameters, 1 GB. The text it produces is noise; its tokenizer has
the real one's numbers of tokens and merges, all made up.
"""

import argparse
import pathlib
import random
import string

import tokenizers
import torch
import transformers

NUM_BASE_TOKENS = {"qwen2.5-0.5b": 151643, "mamba2-130m": 50254}
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]  # the ids after the base tokens
MAX_TOKEN_BYTES = 12
# Qwen2's: words with the character before them, single digits, punctuation, line ends, spaces.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""


def random_merges(alphabet: list[str], num_tokens: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Tokens and merges: the pairs of letters first, then pairs of any tokens so far."""
    rng = random.Random(0)
    tokens, merges = list(alphabet), []
    known = set(tokens)

    def merge(left: str, right: str) -> None:
        if left + right not in known and len(left + right) <= MAX_TOKEN_BYTES:
            known.add(left + right)
            tokens.append(left + right)
            merges.append((left, right))

    for left in "Ġ" + string.ascii_letters:
        for right in string.ascii_letters:
            merge(left, right)
    while len(tokens) < num_tokens:
        merge(rng.choice(tokens), rng.choice(tokens))
    return tokens, merges


def make_tokenizer(num_tokens: int) -> transformers.PreTrainedTokenizerFast:
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokens, merges = random_merges(alphabet, num_tokens)
    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE({t: i for i, t in enumerate(tokens)}, merges)
    )
    backend.normalizer = tokenizers.normalizers.NFC()
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Split(tokenizers.Regex(WORDS), behavior="isolated"),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = tokenizers.decoders.ByteLevel()
    backend.add_special_tokens(SPECIAL)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=32768,
    )


def make_config(shape: str) -> transformers.PreTrainedConfig:
    num_tokens = NUM_BASE_TOKENS[shape]
    ends = dict(bos_token_id=num_tokens, eos_token_id=num_tokens + 2, pad_token_id=num_tokens)
    if shape == "mamba2-130m":
        return transformers.Mamba2Config(
            vocab_size=50288,
            hidden_size=768,
            num_hidden_layers=24,
            num_heads=24,
            head_dim=64,
            state_size=128,
            n_groups=1,
            tie_word_embeddings=True,
            **ends,
        )
    return transformers.Qwen2Config(
        vocab_size=151936,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=24,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_position_embeddings=32768,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0},
        tie_word_embeddings=True,
        use_sliding_window=False,
        **ends,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--shape", choices=NUM_BASE_TOKENS, default="qwen2.5-0.5b")
    args = parser.parse_args()

    transformers.logging.disable_progress_bar()
    args.directory.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    config = make_config(args.shape)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(args.directory)
    make_tokenizer(NUM_BASE_TOKENS[args.shape]).save_pretrained(args.directory)
    print(f"{args.directory}: {model.num_parameters() / 1e6:.0f}M parameters")


if __name__ == "__main__":
    main()
