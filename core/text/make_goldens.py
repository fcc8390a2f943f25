"""Writes testdata/: small tokenizers and what transformers makes of texts and conversations.

  python3 core/text/make_goldens.py        (transformers 5.23.0)

Training a vocabulary depends on the order of a hash table, so a tokenizer that is there stays: to
train it anew, remove its folder. testdata/templates/ is written by hand. A second run changes
nothing.
"""

import datetime
import json
import os
import pathlib
import random
from unittest import mock

os.environ["TZ"] = "UTC"
os.environ["HF_HUB_OFFLINE"] = "1"

import transformers
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)
from transformers.utils import chat_template_utils

HERE = pathlib.Path(__file__).parent / "testdata"
NOW = 1700000000

LLAMA3_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
                  r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")

CORPUS = """
The quick brown fox jumps over the lazy dog. It's a fine day, isn't it? They've said we'll see.
A language model reads tokens and writes tokens; a tokenizer turns text into tokens and back again.
def encode(text: str) -> list[int]: return [vocab[token] for token in split(text)]
Der schnelle braune Fuchs springt über den faulen Hund. Größe, Straße, Äpfel und Öl.
Le renard brun saute par-dessus le chien paresseux. Ça va très bien, merci, à bientôt.
El veloz zorro marrón salta sobre el perro perezoso. ¿Cómo estás? ¡Muy bien, señor!
Быстрая коричневая лиса прыгает через ленивую собаку. Привет, мир!
敏捷的棕色狐狸跳过了懒狗。你好，世界！今天天气很好。
素早い茶色の狐はのろまな犬を飛び越える。こんにちは、世界！カタカナ
빠른 갈색 여우가 게으른 개를 뛰어넘는다. 안녕하세요 세계!
الثعلب البني السريع يقفز فوق الكلب الكسول. مرحبا بالعالم
तेज भूरी लोमड़ी आलसी कुत्ते के ऊपर कूदती है। नमस्ते दुनिया
""".strip().split("\n")

TEXTS = CORPUS + [
    "", " ", "   ", "\n", "\n\n\t \n", "a", "  leading", "trailing  ", "two  spaces   three",
    "Hello, world!", "hello WORLD", "It's I'LL we've DON'T", "1234567890 3.14159 1,000,000",
    "line one\r\nline two\rline three\n", "tabs\t\tand\u00a0nbsp\u2003em",
    "e\u0301 cafe\u0301 \u00e9", "\ufb01ligature \uff26\uff55\uff4c\uff4c \u2460 \u00bd \u1e9e",
    "\u200bzero\u200dwidth\ufeff", "😀 👨‍👩‍👧 🇩🇪 👍🏽 ❤️", "日本語と English を混ぜる",
    "ทดสอบภาษาไทย", "བོད་ཡིག ᚠᛇᚻ 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈", "\x01\x02 control \x7f",
    "{\"json\": [1, 2.5e-3, null, true]}", "https://example.com/a?b=c&d=%20#x",
    "snake_case camelCase kebab-case ALLCAPS", "!!!???...---***", "a" * 300, "ab " * 100,
    "<0x41> <0xE4>", "<s> and </s>", "<|begin_of_text|>x<|eot_id|>",
    "<|eot_id|> <|eot_id|>\n<|extra|>", "[CLS] x [SEP][MASK] y", "▁metaspace▁ in text",
    "Ġbyte Ċlevel", "<img> user<img>user <tool>x</tool>  <late>",
]


def byte_level():
    tok = Tokenizer(models.BPE(ignore_merges=True))
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=600, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    tok.add_special_tokens(["<|begin_of_text|>", "<|eot_id|>", "<|pad|>"])
    tok.add_tokens([AddedToken("<tool>", special=False, normalized=False), "</tool>"])
    bos = tok.token_to_id("<|begin_of_text|>")
    tok.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A",
                                      pair="<|begin_of_text|> $A <|begin_of_text|> $B",
                                      special_tokens=[("<|begin_of_text|>", bos)])])
    return tok, {
        "bos_token": "<|begin_of_text|>", "eos_token": "<|eot_id|>", "pad_token": "<|pad|>",
        "image_token": "<img>", "add_bos_token": False, "add_eos_token": True,
        "extra_special_tokens": ["<|extra|>"],
        "clean_up_tokenization_spaces": False, "model_max_length": 131072,
    }


def gpt2():
    """A class that gives add_prefix_space of tokenizer_config.json to its pre-tokenizer."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=400, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    tok.add_special_tokens(["<|endoftext|>"])
    return tok, {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True,
                 "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>",
                 "unk_token": "<|endoftext|>", "model_max_length": 1024}


def qwen():
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA3_PATTERN.replace("{1,3}", "")), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tok.decoder = decoders.ByteLevel()
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    tok.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=400, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    tok.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    n = tok.get_vocab_size()
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return tok, {
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "bos_token": None,
        "unk_token": None,
        "errors": "replace",
        "model_max_length": 32768,
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        # The last one is not in tokenizer.json.
        "added_tokens_decoder": {
            str(tok.token_to_id("<|endoftext|>")): {
                "content": "<|endoftext|>",
                "special": True,
                **flags,
            },
            str(tok.token_to_id("<|im_start|>")): {
                "content": "<|im_start|>",
                "special": True,
                **flags,
            },
            str(tok.token_to_id("<|im_end|>")): {"content": "<|im_end|>", "special": True, **flags},
            str(n): {"content": "<late>", "special": False, **flags, "lstrip": True},
        },
    }


def llama2():
    """SentencePiece's BPE with byte fallback, as Llama 2 and the first Mistral models have it."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.train_from_iterator(CORPUS[:6] * 2, trainers.BpeTrainer(
        vocab_size=300, show_progress=False, limit_alphabet=90))
    model = json.loads(trained.to_str())["model"]
    vocab = {"<unk>": 0, "<s>": 1, "</s>": 2}
    for byte in range(256):
        vocab[f"<0x{byte:02X}>"] = len(vocab)
    for piece in sorted(model["vocab"], key=model["vocab"].get):
        vocab[piece] = len(vocab)
    tok = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m) for m in model["merges"]],
                               unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(),
                                     decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tok.add_special_tokens([AddedToken(t, normalized=False, special=True)
                            for t in ("<unk>", "<s>", "</s>")])
    tok.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    token = {"__type": "AddedToken", "lstrip": False, "normalized": False, "rstrip": False,
             "single_word": False}
    return tok, {
        "add_bos_token": True, "add_eos_token": False, "legacy": True,
        "bos_token": {**token, "content": "<s>"}, "eos_token": {**token, "content": "</s>"},
        "unk_token": {**token, "content": "<unk>"}, "pad_token": None,
        "model_max_length": int(1e30), "sp_model_kwargs": {},
    }


def unigram():
    tok = Tokenizer(models.Unigram())
    tok.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(),
                                           normalizers.Replace(Regex(" {2,}"), " ")])
    tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tok.decoder = decoders.Metaspace(prepend_scheme="always")
    tok.train_from_iterator(CORPUS, trainers.UnigramTrainer(
        vocab_size=400, show_progress=False, unk_token="<unk>",
        special_tokens=["<pad>", "</s>", "<unk>"]))
    tok.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return tok, {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>",
                 "mask_token": {"__type": "AddedToken", "content": "<mask>", "lstrip": True,
                                "normalized": True, "rstrip": False, "single_word": False}}


def wordpiece():
    tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer()
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.decoder = decoders.WordPiece()
    tok.train_from_iterator(CORPUS, trainers.WordPieceTrainer(
        vocab_size=500, show_progress=False,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    # Truncation and padding of the file say nothing about a plain call.
    tok.enable_truncation(max_length=16)
    tok.enable_padding(length=16, pad_id=0, pad_token="[PAD]")
    return tok, None  # only special_tokens_map.json and added_tokens.json


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def write_golden(path, value):
    """One item of a list a line."""
    fields = []
    for key, field in value.items():
        if isinstance(field, list):
            text = "[\n" + ",\n".join(json.dumps(i, ensure_ascii=False) for i in field) + "\n]"
        else:
            text = json.dumps(field, ensure_ascii=False)
        fields.append(f"{json.dumps(key)}: {text}")
    path.write_text("{\n" + ",\n".join(fields) + "\n}\n", encoding="utf-8")


def train(folder, make):
    tok, config = make()
    folder.mkdir(parents=True)
    # Compact, one line: nobody reads it.
    (folder / "tokenizer.json").write_text(tok.to_str(pretty=False) + "\n", encoding="utf-8")
    plain = {"tokenizer_class": "PreTrainedTokenizerFast"}
    write_json(folder / "tokenizer_config.json", {**plain, **(config or {})})
    if config is None:
        write_json(folder / "special_tokens_map.json", {
            "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]",
            "mask_token": {"content": "[MASK]", "lstrip": True, "rstrip": False,
                           "normalized": False, "single_word": False}})
        write_json(folder / "added_tokens.json", {"<late>": tok.get_vocab_size()})


def make_tokenizer(name, make):
    folder = HERE / name
    if not (folder / "tokenizer.json").exists():
        train(folder, make)
    hf = transformers.AutoTokenizer.from_pretrained(folder)
    expected = {"gpt2": "GPT2Tokenizer"}.get(name, "TokenizersBackend")
    assert type(hf).__name__ == expected, type(hf)
    size = max(hf.get_vocab().values()) + 1
    rng = random.Random(name)
    encodings = []
    for text in TEXTS:
        encodings.append({
            "text": text,
            "ids": hf(text).input_ids,
            "plain_ids": hf(text, add_special_tokens=False).input_ids,
            "split_ids": hf(text, add_special_tokens=False, split_special_tokens=True).input_ids,
        })
    decodings = []
    sequences = [e["plain_ids"] for e in encodings]
    sequences += [[rng.randrange(size) for _ in range(rng.randrange(1, 80))] for _ in range(60)]
    for ids in sequences:
        decodings.append({"ids": ids, "text": hf.decode(ids, skip_special_tokens=True),
                          "text_with_special": hf.decode(ids, skip_special_tokens=False)})
    roles = {role: str(token) for role, token in hf.special_tokens_map.items()
             if isinstance(token, str)}
    write_golden(folder / "golden.json", {
        "vocab_size": size, "special_tokens": roles,
        "special_ids": sorted(i for i, t in hf.added_tokens_decoder.items() if t.special),
        "encodings": encodings, "decodings": decodings})
    return hf


TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Weather of a place: \"now\" & <later> in °C",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "the city's name, e.g. Zürich 😀"},
            "days": {"type": "integer", "default": None, "enum": [1, 2, 3]},
            "scale": {"type": "number", "minimum": 0.5, "maximum": 1e20}},
            "required": ["city"]}, "return": {"type": "string"}}},
    {"type": "function", "function": {"name": "stop", "description": "Stops.",
                                      "parameters": {"type": "object", "properties": {}}}},
]

CONVERSATIONS = {
    "one": {"messages": [{"role": "user", "content": "Hi there!"}]},
    "system": {
        "messages": [
            {"role": "system", "content": " Be brief.\n"},
            {"role": "user", "content": "Define: river"},
            {"role": "assistant", "content": "A stream of water. "},
            {"role": "user", "content": "And 湖?"},
        ]
    },
    "prompt": {"messages": [{"role": "user", "content": "Hi"}], "add_generation_prompt": True},
    "nulls": {
        "messages": [
            {"role": "user", "content": "Hi", "name": None},
            {"role": "assistant", "content": "Hello", "tool_calls": None},
            {"role": "user", "content": "Bye"},
        ],
        "add_generation_prompt": True,
    },
    "parts": {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "image"}, {"type": "text", "text": "What is it? "}],
            }
        ],
        "add_generation_prompt": True,
    },
    "thinking": {
        "messages": [
            {"role": "user", "content": "2+2?"},
            {"role": "assistant", "content": "<think>\nadd\n</think>\n\n4"},
            {"role": "user", "content": "3+3?"},
            {"role": "assistant", "reasoning": "again", "content": "6"},
        ]
    },
    "kwargs": {
        "messages": [{"role": "user", "content": "Hi"}],
        "add_generation_prompt": True,
        "kwargs": {"enable_thinking": False, "date_string": "1 Jan 2030", "bos_token": "<B>"},
    },
    "tools": {
        "messages": [
            {"role": "system", "content": "You help."},
            {"role": "user", "content": "Weather in Zürich?"},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {
                        "id": "abcdefghi",
                        "type": "function",
                        "function": {
                            "name": "get_weather",
                            "arguments": {"city": "Zürich", "scale": 1.0},
                        },
                    }
                ],
            },
            {
                "role": "tool",
                "name": "get_weather",
                "tool_call_id": "abcdefghi",
                "content": '{"celsius": 21.5}',
            },
        ],
        "tools": TOOLS,
        "add_generation_prompt": True,
    },
    "tools_last": {
        "messages": [{"role": "user", "content": "Stop."}],
        "tools": TOOLS,
        "add_generation_prompt": True,
    },
    "two_calls": {
        "messages": [
            {"role": "user", "content": "Both"},
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "1",
                        "type": "function",
                        "function": {"name": "stop", "arguments": "{}"},
                    },
                    {
                        "id": "2",
                        "type": "function",
                        "function": {"name": "stop", "arguments": "{}"},
                    },
                ],
            },
        ],
        "tools": TOOLS,
    },
    "bad_order": {
        "messages": [
            {"role": "assistant", "content": "a"},
            {"role": "user", "content": "b"},
            {"role": "user", "content": "c"},
        ]
    },
    "continue": {
        "messages": [
            {"role": "user", "content": "Count"},
            {"role": "assistant", "content": "one, two, "},
        ],
        "continue_final_message": True,
    },
}


class FixedDatetime(datetime.datetime):

    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(NOW, tz)


def make_templates(hf):
    cases = []
    for path in sorted((HERE / "templates").glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        for name, conversation in CONVERSATIONS.items():
            arguments = {key: value for key, value in conversation.items() if key != "kwargs"}
            case = {"template": path.name, "conversation": name}
            try:
                with mock.patch.object(chat_template_utils, "datetime", FixedDatetime):
                    case["text"] = hf.apply_chat_template(
                        arguments.pop("messages"),
                        tokenize=False,
                        chat_template=source,
                        **arguments,
                        **conversation.get("kwargs", {}),
                    )
            except Exception as error:  # a template's own refusal, or an error of Jinja
                case["error"] = str(error) if type(error).__name__ == "TemplateError" else ""
            cases.append(case)
    write_golden(HERE / "chat_templates.json", {
        "now": NOW, "special_tokens": {k: str(v) for k, v in hf.special_tokens_map.items()
                                       if isinstance(v, str)},
        "conversations": CONVERSATIONS, "cases": cases})


def main():
    tokenizers = {make.__name__: make_tokenizer(make.__name__, make)
                  for make in (byte_level, gpt2, qwen, llama2, unigram, wordpiece)}
    make_templates(tokenizers["llama2"])


if __name__ == "__main__":
    main()
