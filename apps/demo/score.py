"""Tells how many questions a checkpoint answers exactly, greedily, in float32.

  python apps/demo/score.py [--model apps/demo/model] [--words 100] [--small-only]

Asks for each word by each phrasing of conversations.py, first in small letters, then with a
capital (not with --small-only), makes all small talk, and asks for words that it never saw and
should not know: some 164,000 questions, which take twenty minutes on one core. --words takes a
sample of the words.
"""

import argparse
import collections
import itertools
import random

import torch
import transformers

import conversations
from encoding import IGNORED, encode

BATCH_TOKENS = 1024
QUESTIONS = list(dict.fromkeys(conversations.ASK + conversations.ASK_NEXT + conversations.ASK_VERB))


@torch.no_grad()
def margins(model, tokenizer, pairs):
  """For each (question, answer), by how much the logit of the answer's most doubtful token exceeds
  all others: above 0 where greedy decoding gives the answer to the last token.

  Runs the right answers through the model: greedy decoding gives an answer exactly if each of its
  tokens is the likeliest after those before it.
  """
  model.eval()
  rows = []  # the tokens that are read, and of each the one to come; none is after the end token
  for question, answer in pairs:
    ids, labels = encode(tokenizer, [{"role": "user", "content": question},
                                     {"role": "assistant", "content": answer}])
    rows.append((ids[:-2], labels[1:-1]))
  by_length = sorted(range(len(rows)), key=lambda i: -len(rows[i][0]))
  result = [0.0] * len(rows)
  while by_length:
    length = len(rows[by_length[0]][0])
    count = max(1, BATCH_TOKENS // length)
    batch, by_length = by_length[:count], by_length[count:]
    padding = [length - len(rows[i][0]) for i in batch]
    ids = torch.tensor([rows[i][0] + [tokenizer.pad_token_id] * p for i, p in zip(batch, padding)])
    labels = torch.tensor([rows[i][1] + [IGNORED] * p for i, p in zip(batch, padding)])
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
    learned = labels != IGNORED
    logits, right = model.lm_head(hidden[learned]).float(), labels[learned][:, None]
    of_right = logits.gather(1, right)
    of_others = logits.scatter(1, right, -torch.inf).amax(1, keepdim=True)
    margin = torch.full(labels.shape, torch.inf)
    margin[learned] = (of_right - of_others)[:, 0]
    for i, least in zip(batch, margin.amin(1).tolist()):
      result[i] = least
  return result


def are_exact(model, tokenizer, pairs):
  """For each (question, answer), whether greedy decoding gives the answer to the last token."""
  return [margin > 0 for margin in margins(model, tokenizer, pairs)]


def show(what, wrong, total):
  print(f"{what}: {len(wrong)} of {total} wrong ({len(wrong) / total:.2%})"
        + (f": {', '.join(wrong[:10])}" if wrong else ""), flush=True)


def score_definitions(model, tokenizer, words, asked_words, spellings):
  for spelling, spell in spellings.items():
    all_wrong, total, words_wrong = [], 0, collections.Counter()
    for question in QUESTIONS:
      asked = [word for word in asked_words
               if question not in conversations.ASK_VERB or words[word][0] == "verb"]
      exact = are_exact(model, tokenizer,
                        [(conversations.with_article(question, spell(word)), words[word][1])
                         for word in asked])
      wrong = [word for word, is_exact in zip(asked, exact) if not is_exact]
      show(f"  {question!r}", wrong, len(asked))
      all_wrong, total = all_wrong + wrong, total + len(asked)
      words_wrong.update(wrong)
    show(f"words with {spelling}", all_wrong, total)
    print(f"  most often wrong: {words_wrong.most_common(20)}")


def all_questions(words):
  """(question, answer): all words in small letters by all phrasings."""
  return [(conversations.with_article(question, word), answer)
          for question in QUESTIONS
          for word, (part, answer) in words.items()
          if question not in conversations.ASK_VERB or part == "verb"]


def all_small_talk():
  return [(text, answer) for texts, answer in conversations.SMALL_TALK for text in texts]


def refusals(words):
  """(question, answer): each of these unknown words once, by one phrasing after the other."""
  return [(conversations.with_article(question, word), conversations.UNKNOWN)
          for question, word in zip(itertools.cycle(QUESTIONS), words)]


def score_pairs(model, tokenizer, what, pairs):
    exact = are_exact(model, tokenizer, pairs)
    show(
        what,
        [question for (question, _), is_exact in zip(pairs, exact) if not is_exact],
        len(pairs),
    )


def score_held_out(model, tokenizer):
  score_pairs(model, tokenizer, "words that it never saw",
              refusals(conversations.load_held_out_words()))


def score(model, tokenizer, num_words=None, small_only=False):
    words = conversations.load_words()
    asked_words = (
        list(words) if num_words is None else random.Random(0).sample(list(words), num_words)
    )
    spellings = (
        {"small letters": str}
        if small_only
        else {"small letters": str, "a capital": str.capitalize}
    )
    score_definitions(model, tokenizer, words, asked_words, spellings)
    score_pairs(model, tokenizer, "small talk", all_small_talk())
    score_held_out(model, tokenizer)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--model", default=conversations.HERE / "model", help="folder of the checkpoint"
    )
    parser.add_argument("--words", type=int, help="how many words to ask for; default: all")
    parser.add_argument("--small-only", action="store_true", help="ask for no word with a capital")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
    model = transformers.AutoModelForCausalLM.from_pretrained(args.model).float()
    score(model, tokenizer, args.words, args.small_only)


if __name__ == "__main__":
  main()
