"""What mistral_common, by which VoxtralProcessor.apply_chat_template makes prompts, makes of the
chats of Voxtral's tiny checkpoint: plugins/voxtral/testdata/mistral_prompts.json.

  python3 -m venv /tmp/mistral
  /tmp/mistral/bin/pip install mistral-common==1.13.1 soundfile soxr
  /tmp/mistral/bin/python tests/goldens/make_mistral_prompts.py

An environment of its own, as the package wants an older numpy than requirements.txt has. Its
tokenizer is one of bytes with Mistral's special tokens, and what is written are texts in which
those stand by name, the first and the last of a text as the tiny tokenizer calls them.
"""

import base64
import io
import json
import pathlib
import sys
import tempfile
import wave

from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.multimodal.goldens import Goldens  # noqa: E402

DIRECTORY = ROOT / "plugins/voxtral/testdata"
RATE = 16000
FEATURES_A_SECOND = 10.0  # of the tiny checkpoint's windows, which have a second
SPECIAL = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
           "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]",
           "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]",
           "[TOOL_CONTENT]", "[AUDIO]", "[BEGIN_AUDIO]", "[ARGS]", "[CALL_ID]", "[THINK]",
           "[/THINK]", "[TRANSCRIBE]"]  # fmt: skip
TINY = {"<s>": "<|bos|>", "</s>": "<|im_end|>"}


def tekken() -> dict:
    return {
        "vocab": [
            {"rank": i, "token_bytes": base64.b64encode(bytes([i])).decode(), "token_str": None}
            for i in range(256)
        ],
        "special_tokens": [
            {"rank": i, "token_str": name, "is_control": True} for i, name in enumerate(SPECIAL)
        ],
        "config": {
            "pattern": r"[^\n]+|\n+",
            "num_vocab_tokens": 256,
            "default_vocab_size": 256 + len(SPECIAL),
            "default_num_special_tokens": len(SPECIAL),
            "version": "v13",
        },
        "version": 1,
        "type": "Tekken",
        "audio": {
            "sampling_rate": RATE,
            "frame_rate": FEATURES_A_SECOND,
            "chunk_length_s": 1.0,
            "audio_encoding_config": {"num_mel_bins": 16, "hop_length": 160, "window_size": 400},
        },
    }


def silence(samples: int) -> str:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, RATE, samples, "NONE", ""))
        out.writeframes(bytes(2 * samples))
    return base64.b64encode(file.getvalue()).decode()


def message(golden: Goldens, parts: list) -> dict:
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {
            "type": "input_audio",
            "input_audio": {"data": silence(len(golden.sounds[part])), "format": "wav"},
        }
        for part in parts
    ]
    return {"role": "user", "content": content}


def text(tokenizer: MistralTokenizer, messages: list) -> str:
    out = tokenizer.encode_chat_completion(ChatCompletionRequest.from_openai(messages))
    names = [SPECIAL[t] if t < len(SPECIAL) else chr(t - len(SPECIAL)) for t in out.tokens]
    return "".join(TINY.get(name, name) for name in names)


def main() -> None:
    golden = Goldens(str(DIRECTORY / "default"))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "tekken.json")
        path.write_text(json.dumps(tekken()), encoding="utf-8")
        tokenizer = MistralTokenizer.from_file(str(path))
    chats = {name: [message(golden, parts)] for name, parts in golden.chats.items()}
    chats["turns"] = [
        *chats["one"],
        {"role": "assistant", "content": "A sweep."},
        {"role": "user", "content": "And?"},
    ]
    texts = {name: text(tokenizer, messages) for name, messages in chats.items()}
    (DIRECTORY / "mistral_prompts.json").write_text(
        json.dumps(texts, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
