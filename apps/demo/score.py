"""Tells how many questions a checkpoint answers exactly, greedily, in float32.

  python apps/demo/score.py [--model apps/demo/model] [--words 100]

Asks for each word by each phrasing of conversations.py, first in small letters, then with a
capital: some 160,000 questions, which take twenty minutes on one core. --words takes a sample.

  python apps/demo/score.py --unsure > apps/demo/unsure_words.txt

Asks all that the README promises and prints the words that some phrasing may get wrong.
"""

import argparse
import collections
import random

import torch
import transformers

import conversations
from encoding import IGNORED, encode

BATCH_TOKENS = 1024
SURE = 0.5  # a margin of logits that the rounding of other kernels does not turn round


@torch.no_grad()
def margins(model, tokenizer, pairs):
  """For each (question, answer), by how much the logit of the answer's most doubtful token exceeds
  all others: above 0 where greedy decoding gives the answer to the last token.

  Runs the right answers through the model: greedy decoding gives an answer exactly if each of its
  tokens is the likeliest after those before it.
  """
  model.eval()
  rows = [encode(tokenizer, [{"role": "user", "content": question},
                             {"role": "assistant", "content": answer}])
          for question, answer in pairs]
  by_length = sorted(range(len(rows)), key=lambda i: -len(rows[i][0]))
  result = [0.0] * len(rows)
  while by_length:
    length = len(rows[by_length[0]][0])
    count = max(1, BATCH_TOKENS // length)
    batch, by_length = by_length[:count], by_length[count:]
    padding = [length - len(rows[i][0]) for i in batch]
    ids = torch.tensor([rows[i][0] + [tokenizer.pad_token_id] * p for i, p in zip(batch, padding)])
    labels = torch.tensor([rows[i][1] + [IGNORED] * p for i, p in zip(batch, padding)])[:, 1:]
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    learned = labels != IGNORED
    logits, right = model.lm_head(hidden[learned]), labels[learned][:, None]
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


def score_definitions(model, tokenizer, words, asked_words):
  for spelling, spell in (("small letters", str), ("a capital", str.capitalize)):
    all_wrong, total, words_wrong = [], 0, collections.Counter()
    for question in dict.fromkeys(conversations.ASK + conversations.ASK_NEXT
                                  + conversations.ASK_VERB):
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
  """(word, question, answer): all words in small letters by all phrasings."""
  return [(word, conversations.with_article(question, word), answer)
          for question in dict.fromkeys(conversations.ASK + conversations.ASK_NEXT
                                        + conversations.ASK_VERB)
          for word, (part, answer) in words.items()
          if question not in conversations.ASK_VERB or part == "verb"]


def unsure_words(model, tokenizer):
  """Words of which some question, asked as the first thing, is not surely answered."""
  asked = all_questions(conversations.load_words())
  found = margins(model, tokenizer, [(question, answer) for _, question, answer in asked])
  return sorted({word for (word, _, _), margin in zip(asked, found) if margin < SURE})


def score(model, tokenizer, num_words=None):
  words = conversations.load_words()
  asked_words = list(words) if num_words is None else random.Random(0).sample(list(words), num_words)
  score_definitions(model, tokenizer, words, asked_words)
  talk = [(text, answer) for texts, answer in conversations.SMALL_TALK for text in texts]
  exact = are_exact(model, tokenizer, talk)
  show("small talk", [text for (text, _), is_exact in zip(talk, exact) if not is_exact], len(talk))


def main():
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
  parser.add_argument("--model", default=conversations.HERE / "model", help="folder of the checkpoint")
  parser.add_argument("--words", type=int, help="how many words to ask for; default: all")
  parser.add_argument("--unsure", action="store_true", help="print the words that may go wrong")
  args = parser.parse_args()
  torch.set_num_threads(1)
  tokenizer = transformers.AutoTokenizer.from_pretrained(args.model)
  model = transformers.AutoModelForCausalLM.from_pretrained(args.model).float()
  if args.unsure:
    print("\n".join(unsure_words(model, tokenizer)))
  else:
    score(model, tokenizer, args.words)


if __name__ == "__main__":
  main()
