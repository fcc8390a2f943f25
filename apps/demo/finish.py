"""Trains a checkpoint of train.py on until no question about its words is answered wrongly.

  python apps/demo/finish.py --resume earlier --out apps/demo/model

All words in small letters are asked for by all phrasings, as the first thing, and all small talk is
made: some 80,000 questions, which take about ten minutes on one core. Those that the model does not
answer with a sure margin are practiced beside the usual conversations, and asked again now and then.
At the end all are asked once more; if one is wrong, it begins again.
"""

import argparse
import copy
import pathlib
import random
import time

import torch
import transformers

import conversations
import score
import train
from encoding import IGNORED, encode

SURE = 1.0  # a margin of logits that other kernels and types do not turn round
NEAR = 3.0  # margins that training may move below it
EXAM_STEPS = 50
WARMUP_STEPS = 10
ROWS = 32  # questions a step


def as_written(model):
  return copy.deepcopy(model).to(torch.bfloat16).float()


def examine(model, tokenizer, pairs, what):
  start = time.time()
  margins = score.margins(as_written(model), tokenizer, pairs)
  wrong = [pair for pair, margin in zip(pairs, margins) if margin <= 0]
  print(f"{what}: {len(wrong)} of {len(pairs)} wrong, {sum(m < SURE for m in margins)} not sure, "
        f"{time.time() - start:.0f} s", [question for question, _ in wrong[:8]], flush=True)
  return margins


def padded(tokenizer, pairs):
  """[rows, length] of ids and labels: each row is one conversation of one question."""
  rows = [encode(tokenizer, [{"role": "user", "content": question},
                             {"role": "assistant", "content": answer}])
          for question, answer in pairs]
  length = max(len(ids) for ids, _ in rows)
  ids = torch.tensor([ids + [tokenizer.pad_token_id] * (length - len(ids)) for ids, _ in rows])
  labels = torch.tensor([labels + [IGNORED] * (length - len(labels)) for _, labels in rows])
  return ids, labels


def learning_rate(step, steps, peak):
  return peak * min((step + 1) / WARMUP_STEPS, (steps - step) / steps)


def practice(model, tokenizer, maker, near, rng, args):
  """`near` maps (question, answer) to its margin. Takes those below SURE until there are none."""
  optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.0, fused=True)
  usual = train.Practice(maker, rng)
  for step in range(args.steps):
    if step and step % EXAM_STEPS == 0:
      near = dict(zip(near, examine(model, tokenizer, list(near), f"step {step}")))
    weak = [pair for pair, margin in near.items() if margin < SURE]
    if not weak:
      break
    for group in optimizer.param_groups:
      group["lr"] = learning_rate(step, args.steps, args.learning_rate)
    model.train()
    asked = rng.choices(weak, k=ROWS // 2) + rng.choices(list(near), k=ROWS // 2)
    optimizer.zero_grad()
    losses = []
    for ids, labels in (padded(tokenizer, asked), train.make_batch(tokenizer, usual, rng)[:2]):
      logits, targets = train.predict(model, ids, labels)
      loss = torch.nn.functional.cross_entropy(logits, targets)
      loss.backward()
      losses.append(loss.item())
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if (step + 1) % 10 == 0:
      print(f"step {step + 1}/{args.steps}  loss of these {losses[0]:.4f}, of the usual {losses[1]:.4f}",
            flush=True)


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
  parser.add_argument("--resume", type=pathlib.Path, required=True, help="checkpoint to start from")
  parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the checkpoint")
  parser.add_argument("--rounds", type=int, default=4, help="of practice, at most")
  parser.add_argument("--steps", type=int, default=100, help="of a round, at most")
  parser.add_argument("--learning-rate", type=float, default=1.5e-4, help="its peak")
  parser.add_argument("--seed", type=int, default=5)
  args = parser.parse_args()

  rng = random.Random(args.seed)
  torch.manual_seed(args.seed)
  torch.set_num_threads(1)
  words = conversations.load_words()
  _, other_words = train.split_other_words()
  maker = conversations.ConversationMaker(rng, words, other_words)
  tokenizer = transformers.AutoTokenizer.from_pretrained(args.resume)
  model = transformers.AutoModelForCausalLM.from_pretrained(args.resume).float()

  pairs = [(question, answer) for _, question, answer in score.all_questions(words)]
  pairs += [(text, answer) for texts, answer in conversations.SMALL_TALK for text in texts]
  for done in range(args.rounds + 1):
    margins = examine(model, tokenizer, pairs, f"all, after {done} rounds")
    if min(margins) > 0:
      train.save(model.to(torch.bfloat16), tokenizer, args.out)
      return
    if done < args.rounds:
      near = {pair: margin for pair, margin in zip(pairs, margins) if margin < NEAR}
      practice(model, tokenizer, maker, near, rng, args)
      train.save(copy.deepcopy(model).to(torch.bfloat16), tokenizer, args.out)
  raise SystemExit(f"still wrong after {args.rounds} rounds; go on with --resume {args.out}")


if __name__ == "__main__":
  main()
