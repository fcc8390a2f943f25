"""Writes testdata/greedy.jsonl: what transformers answers with the demo model, token by token.

  python apps/demo/make_goldens.py

Greedy decoding of the checkpoint in model/, in float32 as its config says. Each line has
`messages`, `prompt_token_ids` (the chat template with the generation prompt), `token_ids` (at most
64, the end token included) and `text` (without special tokens).
"""

import json
import pathlib

import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
MAX_NEW_TOKENS = 64


ANSWER = object()  # the model's own answer to what came before
SYSTEM = {"role": "system", "content": "You are a helpful assistant."}

# Texts are the user's.
PROMPTS = [
    ["Define: river"],
    ["What is a piano?"],
    ["What does 'happy' mean?"],
    ["What does it mean to teach?"],
    ["mountain"],
    ["Define: chlorine"],
    ["Define: zyzzyva"],
    ["Hello!"],
    ["Who are you?"],
    ["Write a poem about the sea."],
    [SYSTEM, "What is a volcano?"],
    ["Hello", ANSWER, "What is a robot?", ANSWER, "And a bird?"],
    ["What is snow?", ANSWER, "Please repeat that."],
    ["Define: house", ANSWER, "Thanks", ANSWER, "Who made you?", ANSWER, "Define: qwxyzt", ANSWER,
     "Define: computer", ANSWER, "What is a doctor?"],
    # It was not trained for this; what it says is to be the same everywhere.
    ["Grüße, 你好! 🙂"],
]


def answer(model, tokenizer, messages):
  prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
  output = model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)).long(),
                          do_sample=False, max_new_tokens=MAX_NEW_TOKENS)
  token_ids = output[0, len(prompt):].tolist()
  return prompt, token_ids, tokenizer.decode(token_ids, skip_special_tokens=True)


def main():
  torch.set_num_threads(1)
  tokenizer = transformers.AutoTokenizer.from_pretrained(HERE / "model")
  model = transformers.AutoModelForCausalLM.from_pretrained(HERE / "model").float().eval()
  (HERE / "testdata").mkdir(exist_ok=True)
  with open(HERE / "testdata" / "greedy.jsonl", "w") as out:
    for prompt in PROMPTS:
      messages = []
      for item in prompt:
        if item is ANSWER:
          item = {"role": "assistant", "content": answer(model, tokenizer, messages)[2]}
        elif isinstance(item, str):
          item = {"role": "user", "content": item}
        messages.append(item)
      prompt_token_ids, token_ids, text = answer(model, tokenizer, messages)
      out.write(json.dumps({"messages": messages, "prompt_token_ids": prompt_token_ids,
                            "token_ids": token_ids, "text": text}, ensure_ascii=False) + "\n")
      print(f"{messages[-1]['content']!r}: {text!r}")


if __name__ == "__main__":
  main()
