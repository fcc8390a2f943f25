"""The conversations that the demo model is trained on, made up at random from words.tsv.

A conversation is a list of {"role", "content"} messages. Most turns ask for a definition; the
others greet, ask about the model, name a word it does not know, ask for something it cannot do, or
want the last answer again. Each question has one right answer, so greedy decoding can be checked.
"""

import pathlib
import string

HERE = pathlib.Path(__file__).resolve().parent

UNKNOWN = "Sorry, I do not know that word. I only know some common English words."
CANNOT = "I am only a small demo model that defines words. Try this: Define: river"

ASK = [
    "Define: {w}", "Define: {w}", "Define: {w}", "Define {w}", "Define {w}.", "define {w}",
    "define: {w}", "Define the word {w}.", "Define '{w}'.", 'Define "{w}".', "{w}", "{w}?",
    "What is {w}?", "What is {w}?", "what is {w}", "What is {a} {w}?", "What is {a} {w}?",
    "what is {a} {w}?", "What's {a} {w}?", "What does {w} mean?", "what does {w} mean",
    "What does '{w}' mean?", "What does '{w}' mean?", 'What does "{w}" mean?',
    "What does the word {w} mean?", "What is the meaning of {w}?", "What is the definition of {w}?",
    "meaning of {w}", "Explain {w}.", "Explain the word {w}.", "Can you define {w}?",
    "Can you explain {w}?", "Could you tell me what {w} means?", "Please define {w}.",
    "Please tell me what {w} means.", "Tell me what {w} means.", "Tell me about {w}.",
    "Do you know the word {w}?", "Do you know what {w} means?", "Do you know what {a} {w} is?",
    "Give me a definition of {w}.", "How would you define {w}?", "I want to know what {w} means.",
    "Hello, what is {a} {w}?", "Hi! What does {w} mean?",
]
# Where no space comes before the word, it has other tokens. So it does with a capital. Each
# spelling is learned by itself and is asked often enough for that.
ASK_BARE = [question for question in ASK if " {w}" not in question]
BARE_SHARE, CAPITAL_SHARE = 0.25, 0.25
ASK_VERB = ["What does it mean to {w}?", "Define: to {w}", "What does 'to {w}' mean?", "to {w}"]
ASK_NEXT = [
    "And {w}?", "And {w}?", "and {w}", "And {a} {w}?", "And {a} {w}?", "And what is {w}?",
    "And what is {a} {w}?", "And what does {w} mean?", "What about {w}?", "And the word {w}?",
    "Now {w}.", "Next: {w}", "Thanks. And {w}?", "Thank you! What is {a} {w}?", "OK, and {w}?",
]
REPEAT = [
    "Please repeat that.", "Can you repeat that?", "Say that again.", "Say it again, please.",
    "Again, please.", "Repeat your last answer.", "What did you say?", "Sorry, what was that?",
]
SMALL_TALK = [
    (["Hello", "Hello!", "hello", "Hi", "Hi!", "hi", "Hey", "hey", "Hello there!", "Hi there",
      "Good morning", "Good morning!", "Good evening", "Good day", "Hello, Keel!", "Greetings"],
     "Hello! Ask me what an English word means."),
    (["Who are you?", "who are you", "What are you?", "What is your name?",
    "Tell me about yourself.",
      "Introduce yourself.", "Which model are you?", "What model are you?", "Hello, who are you?",
      "Are you ChatGPT?", "Are you an AI?", "Are you a robot?", "Are you human?", "Who is this?"],
     "I am Keel's demo model, a very small language model that defines English words."),
    (["What can you do?", "what can you do", "What do you do?", "How can you help me?", "Help",
      "help", "Help me", "Can you help me?", "What can I ask you?",
      "What are you good at?", "What do you know?", "Give me an example.", "/help"],
     "I give short definitions of common English words. Try this: Define: river"),
    (["Thanks", "thanks", "Thanks!", "Thank you", "Thank you!", "thank you", "Thank you very much.",
      "Thanks a lot!", "Many thanks", "Great, thanks!", "Nice, thank you.", "thx"],
     "You are welcome!"),
    (["Bye", "bye", "Goodbye", "Goodbye!", "See you later.", "Good night", "That is all."],
     "Goodbye!"),
    (["How are you?", "how are you", "How are you doing?", "Hello, how are you?", "What's up?",
      "How is it going?"],
     "I am fine, thank you. Which word shall I define?"),
    (["What is Keel?", "what is keel", "Tell me about Keel.", "What does Keel do?",
    "Explain Keel."],
     "Keel is a program that runs language models. I am its demo model."),
    (["Who made you?", "Who created you?", "Where do you come from?", "How were you made?",
      "How were you trained?", "What were you trained on?", "Who trained you?"],
     "The makers of Keel trained me on definitions from WordNet."),
    (["How do you know that?", "Where does that come from?", "Where do you get your definitions?",
      "What is your source?", "Where did you read that?", "What is WordNet?", "Says who?",
      "Do you have a source?"],
     "My definitions come from WordNet 3.0, a dictionary made at Princeton University."),
    (["Are you sure?", "Is that true?", "Is that right?", "Really?", "Are you certain?", "really"],
     "That is what WordNet says, but I am small and make mistakes."),
    # Not "Good" or "Nice": a known word on its own asks for its meaning.
    (["OK", "ok", "Okay", "I see.", "Great!", "Good one!", "Very nice.", "Interesting.",
    "Good answer.",
      "Well done!", "Yes", "No", "yes", "no", "Hmm"],
     "Which word shall I define next?"),
    (["How many words do you know?", "How big are you?", "How large are you?", "Are you big?",
      "How many parameters do you have?", "Which words do you know?"],
     "I have about six million parameters and know about 1500 words."),
]
OFF_TOPIC = [
    "Write a story about {w}.", "Write a poem about {a} {w}.", "Tell me a joke.",
    "Tell me a story.", "Write a poem.", "Write code in Python.",
    "Write a program that prints {w}.", "How do I {w}?", "Who invented the {w}?",
    "Where can I buy {a} {w}?", "Why is the {w} so {v}?", "How old are you?",
    "Translate {w} into French.", "How do you say {w} in German?", "What is {n} + {m}?",
    "What is {n} times {m}?", "{n} + {m}", "What is the capital of France?", "What time is it?",
    "What is the weather like today?", "Who is the president?", "Which is better, {w} or {v}?",
    "How much does {a} {w} cost?", "Is the {w} {v}?", "When was the first {w} made?", "I like {w}.",
    "My {w} is {v}.", "The {w} and the {v} are here.", "Use {w} in a sentence.",
    "What rhymes with {w}?", "What is the opposite of {w}?", "How do I make {a} {w}?",
    "What is the difference between {w} and {v}?", "Where is the {w}?", "Who is your favorite {w}?",
    "Summarize this text: {w} {v} {w}", "Why?", "How?", "Sing a song.", "Do you like {w}?",
    "Can you {w} the {v}?", "What color is {a} {w}?", "How many {w} are there?",
]
SYSTEM = [
    "You are a helpful assistant.", "You are a helpful assistant.", "You are Keel's demo model.",
    "You define English words.", "Answer briefly.", "You are a dictionary. Answer in one sentence.",
]


def load_words():
  """word -> (part of speech, answer)."""
  lines = (HERE / "words.tsv").read_text().splitlines()
  return {word: (part, answer) for word, part, answer in (line.split("\t") for line in lines)}


def load_other_words():
  """Words that it is trained not to know."""
  return (HERE / "other_words.txt").read_text().split()


def load_held_out_words():
  """Words that it is not trained on and should not know."""
  return (HERE / "held_out_words.txt").read_text().split()


def with_article(question, word, **more):
  return question.format(w=word, a="an" if word[0].lower() in "aeiou" else "a", **more)


class ConversationMaker:
  """Makes conversations without end. Words come in shuffled rounds, so all are asked as often."""

  def __init__(self, rng, words, other_words):
    self.rng = rng
    self.words = words
    self.other_words = other_words
    self.round = []

  def next_word(self):
    if not self.round:
      self.round = list(self.words)
      self.rng.shuffle(self.round)
    return self.round.pop()

  def definition(self, is_first):
    word = self.next_word()
    part, answer = self.words[word]
    questions = ASK_BARE if self.rng.random() < BARE_SHARE else ASK
    if part == "verb" and self.rng.random() < 0.2:
      questions = ASK_VERB
    elif not is_first and self.rng.random() < 0.4:
      questions = ASK_NEXT
    asked = word.capitalize() if self.rng.random() < CAPITAL_SHARE else word
    return with_article(self.rng.choice(questions), asked), answer

  def unknown_word(self):
    kind = self.rng.random()
    if kind < 0.75:
      word = self.rng.choice(self.other_words)
    elif kind < 0.9:  # no word at all
      word = "".join(self.rng.choices(string.ascii_lowercase, k=self.rng.randint(3, 9)))
    else:  # two words
      word = f"{self.rng.choice(self.other_words)} {self.rng.choice(self.other_words)}"
    if self.rng.random() < 0.2:
      word = word.capitalize()
    return with_article(self.rng.choice(ASK + ASK_VERB + ASK_NEXT), word), UNKNOWN

  def off_topic(self):
    words = self.rng.choice([list(self.words), self.other_words])
    question = with_article(
        self.rng.choice(OFF_TOPIC), self.rng.choice(words), v=self.rng.choice(words),
        n=self.rng.randint(1, 99), m=self.rng.randint(1, 99))
    return question, CANNOT

  def turn(self, last_answer):
    """A question and its answer."""
    kind = self.rng.random()
    if kind < 0.72:
      return self.definition(is_first=last_answer is None)
    if kind < 0.85:
      return self.unknown_word()
    if kind < 0.93:
      questions, answer = self.rng.choice(SMALL_TALK)
      return self.rng.choice(questions), answer
    if kind < 0.97 or last_answer is None:
      return self.off_topic()
    return self.rng.choice(REPEAT), last_answer

  def conversation(self):
    messages = []
    if self.rng.random() < 0.15:
      messages.append({"role": "system", "content": self.rng.choice(SYSTEM)})
    answer = None
    for _ in range(self.rng.choice([1, 1, 1, 2, 2, 3, 3, 6])):
      question, answer = self.turn(answer)
      messages.append({"role": "user", "content": question})
      messages.append({"role": "assistant", "content": answer})
    return messages
