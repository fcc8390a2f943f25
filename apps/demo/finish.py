"""Trains the tokens of a few words on, until no question about any word is answered wrongly.

  python apps/demo/finish.py --resume earlier --out apps/demo/model --words able,activity

These are words that a checkpoint of train.py gets wrong by some phrasing. Of the weights only the
embeddings of their spellings in small letters move, so all else stays as it was. Questions that the
model does not answer with a sure margin are practiced, and asked again now and then; beside them go
the usual conversations and unknown words, as other words have some of these tokens in them. After a
round all words in small letters are asked for by all phrasings, as the first thing, and all small
talk is made: some 80,000 questions, which take four minutes on one core. If one is wrong, it begins
again. Last it asks for words that no training saw.
"""

import argparse
import copy
import pathlib
import random

import torch
import transformers

import conversations
import score
import train
from encoding import IGNORED, encode

RIGHT = 0.1  # a margin of logits that other kernels do not turn round
SURE = 1.0  # one to practice for, which other types do not turn round either
NEAR = 3.0  # margins that training may move below it
DOUBTFUL = 3.5  # bfloat16 is some 0.2 off: a greater margin is above NEAR in float32 as well
EXAM_STEPS = 20
WARMUP_STEPS = 5
ROWS = 32  # questions a step, and as many unknown words


def margins_as_written(model, tokenizer, pairs, run_in=torch.float32):
  return score.margins(copy.deepcopy(model).to(torch.bfloat16).to(run_in), tokenizer, pairs)


def screened_margins(model, tokenizer, pairs):
  """As margins_as_written(), but the great ones are of bfloat16, which takes half the time."""
  margins = margins_as_written(model, tokenizer, pairs, torch.bfloat16)
  doubtful = [i for i, margin in enumerate(margins) if margin < DOUBTFUL]
  exact = margins_as_written(model, tokenizer, [pairs[i] for i in doubtful])
  for i, margin in zip(doubtful, exact):
    margins[i] = margin
  return margins


def show(what, pairs, margins):
  wrong = [question for (question, _), margin in zip(pairs, margins) if margin < RIGHT]
  print(f"{what}: {len(wrong)} of {len(pairs)} wrong, {sum(m < SURE for m in margins)} not sure, "
        f"the least margin is {min(margins):.2f}", wrong[:8], flush=True)


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


def rows_of(tokenizer, words):
    """Tokens of these words in small letters, after a space or not."""
    return tokenizer.convert_tokens_to_ids(
        [f"{space}{word}" for word in words for space in ("Ġ", "")]
    )


def train_only(model, rows):
  """Freezes all but these rows of the embedding, which is the output layer too. Optimizer to go
  on."""
  model.requires_grad_(False)
  embedding = model.model.embed_tokens.weight.requires_grad_(True)
  others = torch.ones(len(embedding), 1, dtype=torch.bool)
  others[rows] = False
  embedding.register_hook(lambda gradient: gradient.masked_fill(others, 0.0))
  return torch.optim.AdamW([embedding], betas=(0.9, 0.98), weight_decay=0.0, fused=True)


def practice(model, optimizer, tokenizer, maker, near, rng, args):
  """`near` maps (question, answer) to its margin. Takes those below SURE until there are none."""
  usual = train.Practice(maker, rng)
  for step in range(args.steps):
    if step and step % EXAM_STEPS == 0:
      near = dict(zip(near, margins_as_written(model, tokenizer, list(near))))
      show(f"step {step}", near, near.values())
    weak = [pair for pair, margin in near.items() if margin < SURE]
    if not weak:
      break
    for group in optimizer.param_groups:
      group["lr"] = learning_rate(step, args.steps, args.learning_rate)
    model.train()
    asked = rng.choices(weak, k=ROWS // 2) + rng.choices(list(near), k=ROWS // 2)
    unknown = [maker.unknown_word() for _ in range(ROWS)]
    optimizer.zero_grad()
    losses = []
    for ids, labels in (padded(tokenizer, asked), padded(tokenizer, unknown),
                        train.make_batch(tokenizer, usual, rng)[:2]):
      with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, targets = train.predict(model, ids, labels)
      loss = torch.nn.functional.cross_entropy(logits, targets)
      loss.backward()
      losses.append(loss.item())
    torch.nn.utils.clip_grad_norm_(model.model.embed_tokens.weight, 1.0)
    optimizer.step()
    if (step + 1) % 10 == 0:
      print(f"step {step + 1}/{args.steps}  loss of these {losses[0]:.4f}, of unknown words "
            f"{losses[1]:.4f}, of the usual {losses[2]:.4f}", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--resume", type=pathlib.Path, required=True, help="checkpoint to start from"
    )
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--words", metavar="WORD,WORD...", required=True, help="that went wrong")
    parser.add_argument("--rounds", type=int, default=4, help="of practice, at most")
    parser.add_argument("--steps", type=int, default=40, help="of a round, at most")
    parser.add_argument("--learning-rate", type=float, default=1.5e-3, help="its peak")
    parser.add_argument("--seed", type=int, default=5)
    args = parser.parse_args()

    rng = random.Random(args.seed)
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    words, other_words = conversations.load_words(), conversations.load_other_words()
    maker = conversations.ConversationMaker(rng, words, other_words)
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.resume)
    model = transformers.AutoModelForCausalLM.from_pretrained(args.resume).float()

    suspects = args.words.split(",")
    optimizer = train_only(model, rows_of(tokenizer, suspects))
    pairs = score.all_questions(words) + score.all_small_talk()
    for done in range(args.rounds + 1):
        asked = pairs if done else score.all_questions({word: words[word] for word in suspects})
        margins = screened_margins(model, tokenizer, asked)
        show(f"after {done} rounds", asked, margins)
        if min(margins) >= RIGHT and asked is pairs:
            train.save(model.to(torch.bfloat16), tokenizer, args.out)
            score.score_held_out(model.float(), tokenizer)
            return
        if done < args.rounds:
            near = {pair: margin for pair, margin in zip(asked, margins) if margin < NEAR}
            practice(model, optimizer, tokenizer, maker, near, rng, args)
            train.save(copy.deepcopy(model).to(torch.bfloat16), tokenizer, args.out)
    raise SystemExit(f"still wrong after {args.rounds} rounds; go on with --resume {args.out}")


if __name__ == "__main__":
  main()
