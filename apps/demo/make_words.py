"""Picks the words the demo model knows from WordNet 3.0 and writes their answers.

  python apps/demo/make_words.py [--wordnet /usr/share/wordnet]

needs Debian's package wordnet-base. Three files beside this script are rewritten:

  words.tsv           word, part of speech, answer: what the model is trained to say
  other_words.txt     words the model is trained not to know
  held_out_words.txt  more of these that it never sees: how well it refuses is measured with them
"""

import argparse
import pathlib
import random
import re

HERE = pathlib.Path(__file__).resolve().parent
PARTS = {"1": "noun", "2": "verb", "3": "adj", "5": "adj"}  # ss_type of a sense key
NUM_WORDS = 1500
NUM_OTHER_WORDS, NUM_HELD_OUT_WORDS = 6000, 3000  # beside those that begin as a known word does
NUM_HELD_OUT_ALIKE = 600
MAX_GLOSS_WORDS, MAX_EVERYDAY_WORDS = 15, 22
# Lexicographer files whose nouns can be counted: "A river is ...", not "River means ...".
THINGS = {5, 6, 8, 15, 17, 18, 20}  # animal, artifact, body, location, object, person, plant
# Nouns that people ask about more often than texts of 1961 used them: also food and substance.
CONCRETE, CONCRETE_BOOST = {5, 6, 8, 13, 17, 20, 27}, 5
UNWANTED = re.compile(
    r"\b(sex\w*|geni\w+|rape\w*|kill\w*|murder\w*|drug\w*|slave\w*|race|racial|breasts?|nud\w+|"
    r"excre\w+|urin\w+|f[ae]ec\w+|god|gods|christ\w*|jesus|jew\w*|jud\w+|muslim\w*|islam\w*|"
    r"bible|church\w*|relig\w+|negro\w*|offensive|vulgar|derogatory|suicide\w*|corpse|tortur\w+|"
    r"prostitut\w+|copulat\w+|divine|deity)\b")
REJECTED = re.compile(  # a dangling end, or a remark in place of a definition
    r" (to|of|with|for|in|on|upon|by|at|from|or|and|as|into|about|against)$|^used (of|for) ")
# Nouns known whatever WordNet's counts say, with a longer definition if need be. A number is
# the sense to tell where the first is not what people mean: WordNet's tiger is a person.
EVERYDAY = dict(
    (word + ":1").split(":")[:2] for word in (
        "airplane ant apple artist baby bacon banana:2 bank:2 bear bee bell bicycle boat bread "
        "breakfast bridge bus butter button cake:3 camel camera candle carrot:2 castle cat chair "
        "cheese chess:2 chicken:2 clock cloud coffee comet computer cow crocodile dance dentist "
        "desert dinner doctor dolphin:2 dragon duck eagle ear egg elephant engine eye farmer "
        "feather "
        "finger flag flower fly forest fork fox frog fruit fungus galaxy:3 garden garlic ghost "
        "giraffe goat grape grass guitar hammer:2 hat honey hospital ice insect island jacket "
        "kangaroo keyboard king kitchen knife lake lamp lawyer leaf lemon letter library lion "
        "magnet "
        "mirror monkey mouse mushroom music nest novel onion orange orchestra owl painting pencil "
        "penguin pepper:4 piano pig pilot pizza planet plate:4 poem potato queen:2 rabbit rain "
        "rainbow rat restaurant ring:3 robot rocket rose salt scissors shark sheep ship shoe "
        "singer "
        "snake snow sock song soup spider spoon star sun swan table:2 telephone telescope tiger:2 "
        "tomato train tree truck turtle:2 umbrella valley violin volcano wasp:2 whale:2 wheel wind "
        "window wine winter wolf worm zebra").split())
FUNCTION_WORDS = set(
    "what who when where why how are can does did has have had was were will would could should "
    "may might must the and not you your they them this that these those for with from about into "
    "hello thanks word words sorry mean means know define tell explain please repeat again more "
    "wordnet keel being very much many some any all each every other such own same well out off "
    "over under here there then than also just like one two three four five six seven eight nine "
    "ten hundred thousand first second third".split())


def senses(wordnet, part):
  """lemma -> offsets of its synsets, the most used sense first."""
  offsets = {}
  for line in open(wordnet / f"index.{part}"):
    if line.startswith(" "):
      continue
    # lemma pos synset_cnt p_cnt [ptr_symbol...] sense_cnt tagsense_cnt synset_offset...
    fields = line.split()
    offsets[fields[0]] = fields[4 + int(fields[3]) + 2:]
  return offsets


def synsets(wordnet, part):
  """offset -> (lexicographer file number, its words as they are spelled, gloss)."""
  result = {}
  for line in open(wordnet / f"data.{part}"):
    if line.startswith(" "):
      continue
    data, gloss = line.split("|", 1)
    # offset lex_filenum ss_type w_cnt word lex_id [word lex_id...] ...
    offset, lex_file, _, num_words, *rest = data.split()
    result[offset] = (int(lex_file), rest[0:2 * int(num_words, 16):2], gloss.strip())
  return result


def counts(wordnet):
  """(lemma, part) -> {sense number: times it was seen in WordNet's tagged texts}."""
  result = {}
  for line in open(wordnet / "cntlist.rev"):
    key, sense, count = line.split()
    lemma, rest = key.split("%")
    if rest[0] in PARTS:
      result.setdefault((lemma, PARTS[rest[0]]), {})[int(sense)] = int(count)
  return result


def short_definition(gloss, max_words):
  """The gloss without its examples and remarks, or None where that leaves nothing good."""
  text = re.split(r'[;:]| "', gloss)[0]
  text = re.sub(r"^\([^)]*\)\s*", "", text.strip())
  text = re.sub(r"\s*\([^)]*\)", "", text).rstrip(" .:,")
  if not re.fullmatch(r"[a-zA-Z0-9 ,'/-]+", text) or REJECTED.search(text):
    return None
  if not 2 <= len(text.split()) <= max_words or UNWANTED.search(text.lower()):
    return None
  return text


def answer(word, part, lex_file, definition):
  if part == "verb":
    return f"To {word} means to {definition.removeprefix('to ')}."
  if part == "noun" and lex_file in THINGS and re.match(r"(an?|any|one|the) ", definition):
    article = "An" if word[0] in "aeiou" else "A"
    return f"{article} {word} is {definition}."
  return f"{word.capitalize()} means {definition}."


def is_plain(word):
  return (re.fullmatch(r"[a-z]{3,11}", word) and word not in FUNCTION_WORDS
          and not UNWANTED.search(word))


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--wordnet", type=pathlib.Path, default="/usr/share/wordnet")
  wordnet = parser.parse_args().wordnet

  count = counts(wordnet)
  found, lemmas = {}, set()  # word -> (score, part, answer): its most used part of speech
  for part in ("noun", "verb", "adj"):
    data = synsets(wordnet, part)
    for word, offsets in senses(wordnet, part).items():
      everyday = part == "noun" and word in EVERYDAY
      lex_file, spellings, gloss = data[offsets[int(EVERYDAY[word]) - 1 if everyday else 0]]
      if not is_plain(word) or word not in spellings:  # spelled with a capital: a name
        continue
      lemmas.add(word)
      seen = count.get((word, part), {})
      score = total = sum(seen.values())
      if part == "noun" and lex_file in CONCRETE:
        score *= CONCRETE_BOOST
      if everyday:
        score += 1_000_000
      if score <= found.get(word, (0,))[0]:
        continue
      definition = short_definition(gloss, MAX_EVERYDAY_WORDS if everyday else MAX_GLOSS_WORDS)
      circular = definition and re.search(rf"\b{word}(s|ed|ing)?\b", definition.lower())
      # A word without a good definition still takes its place, lest a rare meaning of it be told.
      # So does one whose first sense is not what people mostly mean.
      good = definition and not circular and (everyday or seen.get(1, 0) >= 0.25 * total)
      found[word] = (score, part, answer(word, part, lex_file, definition) if good else None)

  ranked = sorted(found, key=lambda word: (-found[word][0], word))
  chosen = sorted([word for word in ranked if found[word][2]][:NUM_WORDS])
  with open(HERE / "words.tsv", "w") as out:
    for word in chosen:
      out.write(f"{word}\t{found[word][1]}\t{found[word][2]}\n")

  stems = {word[:5] for word in chosen}
  unlike = sorted(w for w in lemmas - set(chosen) if w[:5] not in stems)
  alike = sorted(lemmas - set(chosen) - set(unlike))  # "teach" beside "teacher": all of them
  others = random.Random(0).sample(unlike, NUM_OTHER_WORDS)
  held_out = random.Random(1).sample(sorted(set(unlike) - set(others)), NUM_HELD_OUT_WORDS)
  held_out += random.Random(3).sample(alike, NUM_HELD_OUT_ALIKE)
  others += sorted(set(alike) - set(held_out))
  for name, listed in (("other_words.txt", others), ("held_out_words.txt", held_out)):
    (HERE / name).write_text("".join(f"{word}\n" for word in sorted(listed)))
  print(f"{len(chosen)} words, {len(others)} others, {len(held_out)} held out")


if __name__ == "__main__":
  main()
