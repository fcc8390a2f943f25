/* Tokenizers (Hugging Face tokenizers), chat templates (minijinja) and grammars (llguidance) behind
 * one C interface. The Rust side is src/; this header is its only caller's view.
 *
 * Text is UTF-8 given as pointer and length; no terminating NUL is read. A function that can fail
 * returns a keel_text_status and, when it is not KEEL_TEXT_OK, fills *error if that is not NULL.
 * Results go to sinks, which are called on the same thread before the function returns; what they
 * are given is borrowed for the call, and they must not throw. A panic of the libraries comes back
 * as KEEL_TEXT_PANIC. A failed allocation or a stack overflow ends the process: try files of
 * strangers in a child process first.
 *
 * Tokenizers, templates and vocabularies are immutable after creation: any thread may use them at
 * any time. A grammar belongs to one thread at a time. free functions take NULL. */
#ifndef KEEL_THIRD_PARTY_TEXT_KEEL_TEXT_H_
#define KEEL_THIRD_PARTY_TEXT_KEEL_TEXT_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum keel_text_status {
  KEEL_TEXT_OK = 0,
  KEEL_TEXT_INVALID = 1, /* the file, text or grammar is wrong */
  KEEL_TEXT_REFUSED = 2, /* the template called raise_exception; the message is its own */
  KEEL_TEXT_LIMIT = 3,   /* out of fuel, too much output */
  KEEL_TEXT_PANIC = 4    /* a library panicked */
} keel_text_status;

/* message: NUL-terminated UTF-8, cut if too long. */
typedef struct keel_text_error {
  char message[2048];
} keel_text_error;

typedef void (*keel_text_bytes_fn)(void* user, const char* bytes, size_t n);
typedef void (*keel_text_ids_fn)(void* user, const uint32_t* ids, size_t n);

/* ---- Tokenizer ---- */

typedef struct keel_text_tokenizer keel_text_tokenizer;

/* Builds from the bytes of tokenizer.json. add_prefix_space: 1 or 0 replaces what its ByteLevel
 * pre-tokenizers say, -1 leaves it. added: JSON, an array of tokens to add after it, in this
 * order, or n_added = 0:
 *   {"content": "<x>", "special": true, "normalized": false, "lstrip": false, "rstrip": false,
 *    "single_word": false, "id": 7, "keep": true}
 * Flags default to false, normalized to !special. A token that the vocabulary has keeps its id.
 * keep: one that is among the added tokens already keeps its flags, but becomes special if `special`
 * says so. id: leave the token out if an added token has this id.
 * Padding and truncation of the file are dropped. */
keel_text_status keel_text_tokenizer_new(const char* json, size_t n, const char* added,
                                         size_t n_added, int32_t add_prefix_space,
                                         keel_text_tokenizer** out, keel_text_error* error);
void keel_text_tokenizer_free(keel_text_tokenizer* tokenizer);

/* split_special: special tokens in the text are plain text. */
keel_text_status keel_text_encode(const keel_text_tokenizer* tokenizer, const char* text, size_t n,
                                  int32_t add_special_tokens, int32_t split_special,
                                  keel_text_ids_fn sink, void* user, keel_text_error* error);

/* Two texts as one. Calls the sink twice: with the ids, then with as many types, which say of which
 * text each token is (0, 1), as the file's post-processor has it. */
keel_text_status keel_text_encode_pair(const keel_text_tokenizer* tokenizer, const char* first,
                                       size_t n_first, const char* second, size_t n_second,
                                       int32_t add_special_tokens, keel_text_ids_fn sink,
                                       void* user, keel_text_error* error);

/* Unknown ids are left out. */
keel_text_status keel_text_decode(const keel_text_tokenizer* tokenizer, const uint32_t* ids,
                                  size_t n, int32_t skip_special_tokens, keel_text_bytes_fn sink,
                                  void* user, keel_text_error* error);

/* The id, or -1. */
int64_t keel_text_token_to_id(const keel_text_tokenizer* tokenizer, const char* token, size_t n);
/* Calls the sink unless there is no such id; returns whether it did. */
int32_t keel_text_id_to_token(const keel_text_tokenizer* tokenizer, uint32_t id,
                              keel_text_bytes_fn sink, void* user);

/* The bytes that the token stands for inside of a text: the space before a word, a part of a
 * character. Calls the sink unless there is no such id; returns whether it did. */
int32_t keel_text_token_bytes(const keel_text_tokenizer* tokenizer, uint32_t id,
                              keel_text_bytes_fn sink, void* user);

/* One more than the largest id; 0 for an empty vocabulary. */
size_t keel_text_vocab_size(const keel_text_tokenizer* tokenizer);

/* Ids of the added tokens, ascending; only the special ones if special_only. */
void keel_text_added_ids(const keel_text_tokenizer* tokenizer, int32_t special_only,
                         keel_text_ids_fn sink, void* user);

/* ---- Chat template ---- */

typedef struct keel_text_template keel_text_template;

/* Compiles Jinja `source` as transformers does: trim_blocks, lstrip_blocks, break and continue,
 * {% generation %} blocks, tojson as Python's json.dumps, raise_exception, strftime_now; operators,
 * filters, tests and methods are Jinja2's and Python's. What of theirs is missing is
 * KEEL_TEXT_INVALID here, not when a template renders. A render that executes more than `fuel`
 * instructions or writes more than `max_output` bytes is KEEL_TEXT_LIMIT. */
keel_text_status keel_text_template_new(const char* source, size_t n, uint64_t fuel,
                                        size_t max_output, keel_text_template** out,
                                        keel_text_error* error);
void keel_text_template_free(keel_text_template* chat_template);

/* How the template reads a message's content. */
typedef enum keel_text_content_format {
  KEEL_TEXT_CONTENT_STRING = 0,          /* writes it as a string */
  KEEL_TEXT_CONTENT_PARTS_OR_STRING = 1, /* walks through a list of parts, or asks what it is */
  KEEL_TEXT_CONTENT_PARTS = 2            /* walks through a list of parts */
} keel_text_content_format;
keel_text_content_format keel_text_template_content_format(const keel_text_template* chat_template);

/* Renders with the members of `context`, a JSON object, as variables. now: seconds since 1970 that
 * strftime_now shows; NULL: the clock. The sink is called once, on success only. */
keel_text_status keel_text_template_render(const keel_text_template* chat_template,
                                           const char* context, size_t n, const int64_t* now,
                                           keel_text_bytes_fn sink, void* user,
                                           keel_text_error* error);

/* ---- Grammar ---- */

/* A tokenizer's vocabulary as the grammar engine needs it; made once for a model. */
typedef struct keel_text_vocab keel_text_vocab;
/* A grammar and how far a sequence has come in it. */
typedef struct keel_text_grammar keel_text_grammar;

/* What a grammar may cost; llguidance's ParserLimits, whose speeds stand beside them, and two more. */
typedef struct keel_text_grammar_limits {
  uint64_t initial_lexer_fuel; /* building the expressions of a grammar; 50k/ms */
  uint64_t step_lexer_fuel;    /* lexer work for one mask; 14k/ms */
  size_t step_max_items;       /* Earley items for one mask; 20k/ms */
  size_t max_items_in_row;     /* branches that are open at one place */
  size_t max_lexer_states;     /* of one sequence; 1 to 2 kB each */
  size_t max_grammar_size;     /* symbols in productions */
  uint64_t compile_ms;         /* how long keel_text_grammar_new waits; 0: for ever */
  size_t stack_bytes;          /* of the thread that compiles */
} keel_text_grammar_limits;

/* n_vocab: size of the model's logits; ids that only the model or only the tokenizer has are never
 * allowed. eos: the ids that end a generation, at least one; they are never text. Tokens must
 * stand for bytes: decoders ByteLevel, ByteFallback, Metaspace. The tokenizer may be freed before
 * the vocabulary. */
keel_text_status keel_text_vocab_new(const keel_text_tokenizer* tokenizer, size_t n_vocab,
                                     const uint32_t* eos, size_t n_eos,
                                     const keel_text_grammar_limits* limits, keel_text_vocab** out,
                                     keel_text_error* error);
void keel_text_vocab_free(keel_text_vocab* vocab);

/* For JSON schemas. */
typedef struct keel_text_grammar_options {
  int32_t no_whitespace;  /* none between the parts of a document */
  int32_t closed_objects; /* an object that lists properties and does not speak of additional ones
                             has no others */
  const char* whitespace_pattern; /* a regular expression of what may stand between the parts, or
                                     NULL: any whitespace */
  size_t n_whitespace_pattern;
} keel_text_grammar_options;

/* kind: "json_schema", "regex" or "lark" (NUL-terminated). A regex holds for the whole text. options
 * may be NULL. Compiles on a thread of its own and waits for it as long as the limits say; late ones
 * go on until fuel ends them, and while too many do, further grammars are KEEL_TEXT_LIMIT. Stacks
 * are bounded by stack_bytes, not checked: bound nesting and references before. The vocabulary may
 * be freed before the grammar. */
keel_text_status keel_text_grammar_new(const keel_text_vocab* vocab, const char* kind,
                                       const char* source, size_t n,
                                       const keel_text_grammar_options* options,
                                       keel_text_grammar** out, keel_text_error* error);
/* An independent copy at the same place, for a sequence that forks. */
keel_text_status keel_text_grammar_clone(const keel_text_grammar* grammar, keel_text_grammar** out,
                                         keel_text_error* error);
void keel_text_grammar_free(keel_text_grammar* grammar);

/* Writes which tokens may come next: bit i % 32 of mask[i / 32], n_words = ceil(n_vocab / 32). After
 * the grammar's end only the eos tokens are set. */
keel_text_status keel_text_grammar_mask(keel_text_grammar* grammar, uint32_t* mask, size_t n_words,
                                        keel_text_error* error);
/* Takes a token that the mask allowed. */
keel_text_status keel_text_grammar_consume(keel_text_grammar* grammar, uint32_t id,
                                           keel_text_error* error);
/* *accepting: the text so far is complete. *stopped: nothing but eos can follow. */
keel_text_status keel_text_grammar_state(keel_text_grammar* grammar, int32_t* accepting,
                                         int32_t* stopped, keel_text_error* error);

#ifdef __cplusplus
}
#endif

#endif /* KEEL_THIRD_PARTY_TEXT_KEEL_TEXT_H_ */
