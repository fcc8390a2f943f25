"""Trains Keel's demo model, a tiny Llama that defines English words, and writes it in HF format.

  pip install -r apps/demo/requirements.txt
  python apps/demo/train.py --out apps/demo/model

The words and answers are words.tsv (see make_words.py), the conversations are made up by
conversations.py. The same seed gives the same weights on the same machine. --resume goes on from a
checkpoint. At the end it tells how many answers of the bfloat16 checkpoint that was written are
exact; score.py tells more.
"""

import argparse
import collections
import copy
import json
import pathlib
import random
import shutil
import time

import tokenizers
import torch
import transformers

import conversations
import score
import spellings
from encoding import CHAT_TEMPLATE, END_OF_TEXT, IGNORED, IM_END, IM_START, encode

VOCAB_SIZE = 4096
BATCH_TOKENS = 1024
# Length of a step's rows and how often it is taken. Long rows teach to ignore what came before.
ROW_LENGTHS = {48: 0.5, 128: 0.3, 256: 0.13, 512: 0.05, 1024: 0.02}
WARMUP_STEPS, COOLDOWN_SHARE = 50, 0.4
MISSED_SHARE, MAX_MISSED = 0.5, 2000
EXAM_STEPS, EXAM_REPEATS = 50, 3
SAVE_STEPS = 100
NUM_SCORED_WORDS = 100


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


class Practice:
  """Conversations for training: new ones, and again those turns that the model got wrong.

  Most words are soon known. Asking what was missed until it is known makes the last ones known too.
  """

  def __init__(self, maker, rng):
    self.maker = maker
    self.rng = rng
    self.missed = collections.deque(maxlen=MAX_MISSED)

  def conversation(self):
    if self.missed and self.rng.random() < MISSED_SHARE:
      return self.missed.popleft()
    return self.maker.conversation()

  def examine(self, model, tokenizer):
    """Asks for each word in small letters and with a capital, as the first thing, and for the small
    talk, of the weights as they will be written. What is wrong is practiced several times."""
    questions = conversations.ASK + conversations.ASK_NEXT
    asked = [(conversations.with_article(self.rng.choice(questions), spelled), answer)
             for word, (_, answer) in self.maker.words.items()
             for spelled in (word, word.capitalize())]
    asked += score.all_small_talk()
    written = copy.deepcopy(model).to(torch.bfloat16).float()
    wrong = [[{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
             for (question, answer), exact in zip(asked, score.are_exact(written, tokenizer, asked))
             if not exact]
    self.rng.shuffle(wrong)
    self.missed.extend(wrong * EXAM_REPEATS)
    print(f"exam: {len(wrong)} of {len(asked)} wrong", flush=True)

  def note(self, messages, right):
    """`right` says of each of the assistant's turns whether the model knew all of it."""
    answers = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
    for i, known in zip(answers, right):
      repeats = messages[i - 1]["content"] in conversations.REPEAT  # needs the turn before
      if not known:
        self.missed.append(messages[max(0, i - (3 if repeats else 1)):i + 1])


def make_batch(tokenizer, practice, rng):
  """[rows, length] of ids and labels, and the conversations of each row. A row is conversations one
  after the other, cut at its end; attention sees them all, which stands for unrelated earlier
  turns.
  """
  length = rng.choices(list(ROW_LENGTHS), list(ROW_LENGTHS.values()))[0]
  rows = []
  for _ in range(max(1, BATCH_TOKENS // length)):
    ids, labels, row = [], [], []
    while len(ids) < length:
      messages = practice.conversation()
      more_ids, more_labels = encode(tokenizer, messages)
      ids, labels, row = ids + more_ids, labels + more_labels, row + [messages]
    rows.append((ids[:length], labels[:length], row))
  ids, labels, messages = zip(*rows)
  return torch.tensor(ids), torch.tensor(labels), messages


def predict(model, ids, labels):
  """Logits where the next token is to be learned, and that token."""
  hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
  learned = labels[:, 1:] != IGNORED
  return model.lm_head(hidden[learned]).float(), labels[:, 1:][learned]


def right_turns(right_tokens, learned):
  """Whether each turn of a row was right. `learned` is true on the tokens of the answers; those of
  one answer lie together. An answer cut off by the end of the row counts as far as it goes."""
  turns = []
  for i, is_learned in enumerate(learned):
    if is_learned and not (i and learned[i - 1]):
      turns.append(True)
    if is_learned:
      turns[-1] = turns[-1] and right_tokens[i]
  return turns


def note_missed(practice, logits, targets, labels, messages):
  """Tells `practice` which turns of a batch were right. `messages` are each row's conversations."""
  learned = labels[:, 1:] != IGNORED
  right = torch.zeros_like(learned)
  right[learned] = logits.argmax(-1) == targets
  for row, row_right, row_learned in zip(messages, right.tolist(), learned.tolist()):
    turns = iter(right_turns(row_right, row_learned))
    for conversation in row:
      practice.note(conversation, [known for message in conversation
                                   if message["role"] == "assistant"
                                   and (known := next(turns, None)) is not None])


def learning_rate(step, steps, peak):
  """Rises, stays, and falls to nothing in the last part."""
  return peak * min(1.0, (step + 1) / WARMUP_STEPS, (steps - step) / (COOLDOWN_SHARE * steps))


def train(model, tokenizer, practice, rng, args):
  aliases = spellings.alias(tokenizer, practice.maker.words)
  decayed = [p for p in model.parameters() if p.ndim == 2]
  others = [p for p in model.parameters() if p.ndim != 2]
  optimizer = torch.optim.AdamW(
      [{"params": decayed, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
      betas=(0.9, 0.98), fused=True)
  start, shown_loss = time.time(), None
  model.train()
  for step in range(args.steps):
    for group in optimizer.param_groups:
      group["lr"] = learning_rate(step, args.steps, args.learning_rate)
    if step == args.share_steps:
      spellings.part(model, aliases)
    if step >= args.share_steps and step % EXAM_STEPS == 0:
      practice.examine(model, tokenizer)
    ids, labels, messages = make_batch(tokenizer, practice, rng)
    if step < args.share_steps:
      ids = torch.where(labels == IGNORED, aliases[ids], ids)
    with torch.autocast("cpu", dtype=torch.bfloat16):
      logits, targets = predict(model, ids, labels)
    loss = torch.nn.functional.cross_entropy(logits, targets)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    note_missed(practice, logits, targets, labels, messages)
    shown_loss = loss.item() if shown_loss is None else 0.95 * shown_loss + 0.05 * loss.item()
    if (step + 1) % 50 == 0 or step + 1 == args.steps:
      took = time.time() - start
      print(f"step {step + 1}/{args.steps}  loss {shown_loss:.4f}  {len(practice.missed)} missed  "
            f"{took:.0f} s, {took / (step + 1) * (args.steps - step - 1):.0f} s to go", flush=True)
    if (step + 1) % SAVE_STEPS == 0:
      save(copy.deepcopy(model).to(torch.bfloat16), tokenizer, args.out)


def save(model, tokenizer, out):
  model.save_pretrained(out)
  tokenizer.save_pretrained(out)
  # bfloat16 is for the file's size. Run in float32, whose greedy text rounding does not change.
  path = out / "config.json"
  path.write_text(path.read_text().replace('"dtype": "bfloat16"', '"dtype": "float32"'))
  # Names that transformers 4 understands as well as 5.
  path = out / "tokenizer_config.json"
  config = json.loads(path.read_text())
  for key in ("backend", "is_local", "local_files_only"):
    config.pop(key, None)
  config["tokenizer_class"] = "PreTrainedTokenizerFast"
  config["additional_special_tokens"] = config.pop("extra_special_tokens", [])
  path.write_text(json.dumps(config, indent=2) + "\n")
  shutil.copy(conversations.HERE / "LICENSE.wordnet", out / "LICENSE")
  for file in out.iterdir():
    file.chmod(0o644)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of the checkpoint")
    parser.add_argument(
        "--resume", type=pathlib.Path, help="checkpoint to start from; default: none"
    )
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument(
        "--share-steps",
        type=int,
        help=(
            "steps in which the spellings of a word are read as one token, before they part; -1: "
            "they\n"
            "have parted in the checkpoint resumed from; default: 0.6 of the steps"
        ),
    )
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="its peak")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="other numbers change the last bits")
    args = parser.parse_args()
    if args.share_steps is None:
        args.share_steps = int(0.6 * args.steps)

    rng = random.Random(args.seed)
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(True)

    words, other_words = conversations.load_words(), conversations.load_other_words()
    maker = conversations.ConversationMaker(rng, words, other_words)
    if args.resume:
        tokenizer = transformers.AutoTokenizer.from_pretrained(args.resume)
        model = transformers.AutoModelForCausalLM.from_pretrained(args.resume).float()
        old_tokenizer = copy.deepcopy(tokenizer)
        spellings.add_to(tokenizer, words)
        spellings.grow(model, tokenizer, old_tokenizer)
    else:
        tokenizer = train_tokenizer(maker)
        spellings.add_to(tokenizer, words)
        model = make_model(tokenizer)
    print(
        f"{len(words)} words, {model.num_parameters():,} parameters, {args.steps} steps", flush=True
    )
    train(model, tokenizer, Practice(maker, rng), rng, args)

    save(model.to(torch.bfloat16), tokenizer, args.out)
    score.score(model.float(), tokenizer, NUM_SCORED_WORDS)


if __name__ == "__main__":
  main()
