"""Trains Keel's demo model, a tiny Llama that defines English words, and writes it in HF format.

  pip install -r apps/demo/requirements.txt
  python apps/demo/train.py --out apps/demo/model

The words and answers are words.tsv (see make_words.py), the conversations are made up by
conversations.py. Training takes about half an hour on one core; --steps shortens it. The same
seed gives the same weights on the same machine. At the end it tells how many words the bfloat16
checkpoint that was written defines exactly.
"""

import argparse
import json
import math
import pathlib
import random
import shutil
import time

import tokenizers
import torch
import transformers

import conversations

VOCAB_SIZE = 4096
END_OF_TEXT, IM_START, IM_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' + (message['content'] | trim) + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}"""
BATCH_TOKENS = 2048
# Length of a step's rows and how often it is taken. Long rows teach to ignore what came before.
ROW_LENGTHS = {128: 0.64, 256: 0.25, 512: 0.08, 1024: 0.02, 2048: 0.01}
PEAK_LEARNING_RATE, WARMUP_STEPS = 3e-3, 100
NUM_HELD_OUT = 500  # of the words it should not know: never trained on
IGNORED = -100


def train_tokenizer(maker):
  """A byte-level BPE of the conversations' own text; each word it knows becomes few tokens."""
  texts = [message["content"] for _ in range(30000) for message in maker.conversation()]
  backend = tokenizers.Tokenizer(tokenizers.models.BPE())
  backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
  backend.decoder = tokenizers.decoders.ByteLevel()
  backend.train_from_iterator(texts + ["system", "user", "assistant"] * 1000,
                              tokenizers.trainers.BpeTrainer(
      vocab_size=VOCAB_SIZE, show_progress=False,
      special_tokens=[END_OF_TEXT, IM_START, IM_END],
      initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet()))
  return transformers.PreTrainedTokenizerFast(
      tokenizer_object=backend, eos_token=IM_END, pad_token=END_OF_TEXT,
      additional_special_tokens=[IM_START], model_max_length=2048,
      clean_up_tokenization_spaces=False, chat_template=CHAT_TEMPLATE)


def make_model(tokenizer):
  end_of_text, im_end = tokenizer.convert_tokens_to_ids([END_OF_TEXT, IM_END])
  config = transformers.LlamaConfig(
      vocab_size=len(tokenizer), hidden_size=256, intermediate_size=512, num_hidden_layers=6,
      num_attention_heads=8, num_key_value_heads=4, head_dim=32, max_position_embeddings=2048,
      rms_norm_eps=1e-5, tie_word_embeddings=True, bos_token_id=None, eos_token_id=im_end,
      pad_token_id=end_of_text)
  model = transformers.LlamaForCausalLM(config)
  model.generation_config = transformers.GenerationConfig(
      do_sample=False, eos_token_id=[im_end, end_of_text], pad_token_id=end_of_text)
  return model


def encode(tokenizer, messages):
  """Token ids of a conversation, and labels: the ids of the assistant's words, else IGNORED."""
  newline = tokenizer.encode("\n")
  ids, labels = [], []
  for message in messages:
    head = tokenizer.encode(f"{IM_START}{message['role']}\n")
    body = tokenizer.encode(message["content"] + IM_END)
    learned = body if message["role"] == "assistant" else [IGNORED] * len(body)
    ids += head + body + newline
    labels += [IGNORED] * len(head) + learned + [IGNORED] * len(newline)
  return ids, labels


def make_batch(tokenizer, maker, rng):
  """[rows, length] of ids and labels. A row is conversations one after the other, cut at its end;
  attention sees them all, which stands for unrelated earlier turns."""
  length = rng.choices(list(ROW_LENGTHS), list(ROW_LENGTHS.values()))[0]
  rows = []
  for _ in range(BATCH_TOKENS // length):
    ids, labels = [], []
    while len(ids) < length:
      more_ids, more_labels = encode(tokenizer, maker.conversation())
      ids, labels = ids + more_ids, labels + more_labels
    rows.append((ids[:length], labels[:length]))
  return torch.tensor([row[0] for row in rows]), torch.tensor([row[1] for row in rows])


def predict(model, ids, labels):
  """Logits where the next token is to be learned, and that token."""
  hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
  learned = labels[:, 1:] != IGNORED
  return model.lm_head(hidden[learned]).float(), labels[:, 1:][learned]


def learning_rate(step, steps):
  warmup = min(1.0, (step + 1) / WARMUP_STEPS)
  return PEAK_LEARNING_RATE * warmup * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def train(model, tokenizer, maker, rng, steps):
  decayed = [p for p in model.parameters() if p.ndim == 2]
  others = [p for p in model.parameters() if p.ndim != 2]
  optimizer = torch.optim.AdamW(
      [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
      betas=(0.9, 0.98), fused=True)
  start, shown_loss = time.time(), None
  model.train()
  for step in range(steps):
    for group in optimizer.param_groups:
      group["lr"] = learning_rate(step, steps)
    ids, labels = make_batch(tokenizer, maker, rng)
    with torch.autocast("cpu", dtype=torch.bfloat16):
      logits, targets = predict(model, ids, labels)
    loss = torch.nn.functional.cross_entropy(logits, targets)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    shown_loss = loss.item() if shown_loss is None else 0.95 * shown_loss + 0.05 * loss.item()
    if (step + 1) % 50 == 0 or step + 1 == steps:
      took = time.time() - start
      print(f"step {step + 1}/{steps}  loss {shown_loss:.4f}  {took:.0f} s, "
            f"{took / (step + 1) * (steps - step - 1):.0f} s to go", flush=True)


@torch.no_grad()
def num_exact(model, tokenizer, pairs):
  """How many (question, answer) pairs greedy decoding gets right to the last token.

  Runs the right answers through the model: greedy decoding gives an answer exactly if each of its
  tokens is the likeliest after those before it.
  """
  model.eval()
  exact = 0
  for first in range(0, len(pairs), 64):
    rows = [encode(tokenizer, [{"role": "user", "content": question},
                               {"role": "assistant", "content": answer}])
            for question, answer in pairs[first:first + 64]]
    length = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([row + [tokenizer.pad_token_id] * (length - len(row)) for row, _ in rows])
    labels = torch.tensor([row + [IGNORED] * (length - len(row)) for _, row in rows])
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    right = model.lm_head(hidden).argmax(-1) == labels[:, 1:]
    exact += (right | (labels[:, 1:] == IGNORED)).all(1).sum().item()
  return exact


def evaluate(model, tokenizer, words, held_out):
  for question in ("Define: {w}", "What is {a} {w}?", "What does '{w}' mean?", "{w}"):
    pairs = [(conversations.with_article(question, w), answer) for w, (_, answer) in words.items()]
    exact = num_exact(model, tokenizer, pairs)
    print(f"{question!r}: {exact} of {len(pairs)} words exact ({exact / len(pairs):.2%})")
  pairs = [(f"Define: {word}", conversations.UNKNOWN) for word in held_out]
  exact = num_exact(model, tokenizer, pairs)
  print(f"words it never saw: {exact} of {len(pairs)} refused ({exact / len(pairs):.2%})")


def save(model, tokenizer, out):
  model.save_pretrained(out)
  tokenizer.save_pretrained(out)
  # bfloat16 is for the file's size. Run in float32, whose greedy text rounding does not change.
  path = out / "config.json"
  path.write_text(path.read_text().replace('"dtype": "bfloat16"', '"dtype": "float32"'))
  # Names that transformers 4 understands as well as 5.
  path = out / "tokenizer_config.json"
  config = json.loads(path.read_text())
  config.pop("backend", None)
  config["tokenizer_class"] = "PreTrainedTokenizerFast"
  config["additional_special_tokens"] = config.pop("extra_special_tokens", [])
  path.write_text(json.dumps(config, indent=2) + "\n")
  shutil.copy(conversations.HERE / "LICENSE.wordnet", out / "LICENSE")
  for file in out.iterdir():
    file.chmod(0o644)


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
  parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the checkpoint")
  parser.add_argument("--steps", type=int, default=2000)
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--threads", type=int, default=1, help="other numbers change the last bits")
  args = parser.parse_args()

  rng = random.Random(args.seed)
  torch.manual_seed(args.seed)
  torch.set_num_threads(args.threads)
  torch.use_deterministic_algorithms(True)

  words, other_words = conversations.load_words(), conversations.load_other_words()
  rng.shuffle(other_words)
  held_out, other_words = other_words[:NUM_HELD_OUT], other_words[NUM_HELD_OUT:]
  maker = conversations.ConversationMaker(rng, words, other_words)
  tokenizer = train_tokenizer(maker)
  model = make_model(tokenizer)
  print(f"{len(words)} words, {model.num_parameters():,} parameters, {args.steps} steps", flush=True)
  train(model, tokenizer, maker, rng, args.steps)

  save(model.to(torch.bfloat16), tokenizer, args.out)
  evaluate(model.float(), tokenizer, words, held_out)


if __name__ == "__main__":
  main()
