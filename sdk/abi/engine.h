/* keel/engine.h: the C ABI of libkeel.so, for applications that embed the engine (server, batch,
 * your program).
 *
 * The engine owns its threads. A program makes options, an engine, requests; it gets outputs by
 * callback or by poll. Every object is a handle; every option has a name, so that nothing here
 * changes size when a feature is added.
 *
 * Conventions
 *   status     0 is success; other numbers are absl::StatusCode values (3 INVALID_ARGUMENT,
 *              4 DEADLINE_EXCEEDED, 5 NOT_FOUND, 6 ALREADY_EXISTS, 8 RESOURCE_EXHAUSTED,
 *              9 FAILED_PRECONDITION, 11 OUT_OF_RANGE, 12 UNIMPLEMENTED, 13 INTERNAL,
 *              14 UNAVAILABLE). After a failure keel_error_message() has this thread's message and
 *              keel_error_detail() what it is about. Nothing is half done after a failure.
 *   NULL       no argument may be NULL but `user`, those of keel_*_free and keel_models_release, an
 *              array or text of length 0, and what a line says may be. Else INVALID_ARGUMENT; a
 *              function without a status gives 0, NULL or "", and keel_error_message() says why.
 *   strings    UTF-8. `const char*` arguments are NUL-terminated; (pointer, length) pairs are not.
 *              All are copied.
 *   results    pointers got from a `const keel_output*` live until the callback returns, or until
 *              the next keel_engine_poll of the same request; engine-owned strings live as long as
 *              the engine.
 *   fork       no handle may be used in a child that fork() made.
 *   threads    a tag at each function:
 *              [any]                any thread, several calls at once
 *              [callback too]       [any], and quick: it may also be called in a keel_output_fn
 *              [not in a callback]  [any], but never in a keel_output_fn: it may wait for one
 *              [one at a time]      any thread, but one call at a time for one object
 *
 * since: the minor version that brought a function. Changes, the newest first:
 *   0.5  keel_request_add_audio, keel_output_reasoning_tokens
 *   0.4  keel_request_add_media, keel_request_add_media_url
 *   0.3  keel_engine_reset_prefix_cache, keel_engine_prompt_tokens, keel_output_part
 *   0.2  keel_check_model, keel_plugin_*, keel_output_vector, keel_engine_event_fd, keel_engine_drain,
 *        keel_output_user, keel_request_add_image
 *   0.1  first version
 */
#ifndef KEEL_SDK_ABI_ENGINE_H_
#define KEEL_SDK_ABI_ENGINE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef KEEL_STATUS_DEFINED
#define KEEL_STATUS_DEFINED
typedef int32_t keel_status; /* absl::StatusCode numbers; 0 = OK */
#endif

#define KEEL_ENGINE_ABI_MAJOR 0
#define KEEL_ENGINE_ABI_MINOR 5

#if defined(_WIN32)
#define KEEL_ENGINE_API
#else
#define KEEL_ENGINE_API __attribute__((visibility("default")))
#endif

typedef struct keel_options keel_options;
typedef struct keel_engine keel_engine;
typedef struct keel_request keel_request;
typedef struct keel_output keel_output;

/* Takes `n` bytes that live until it returns. */
typedef void (*keel_bytes_fn)(void* user, const char* bytes, size_t n);

/* (major << 16) | minor of the library that is linked. [callback too] since 0.1 */
KEEL_ENGINE_API uint32_t keel_engine_abi_version(void);
/* "0.1.0": the product's version. [callback too] since 0.1 */
KEEL_ENGINE_API const char* keel_version(void);
/* Message of the last call that failed on this thread; "" when none did. Valid until the next
 * failing call. [callback too] since 0.1 */
KEEL_ENGINE_API const char* keel_error_message(void);
/* What that error is about, where the library knows: with `name` "field" the parameter of the
 * request, as keel_request_set_* names it ("max_tokens"; of the prompt: "prompt" or "messages"),
 * with "flag" the option ("max-num-seqs"), with "file" the path. "" where it does not. Valid as the
 * message is. [callback too] since 0.1 */
KEEL_ENGINE_API const char* keel_error_detail(const char* name);

/* ---- options: the engine's flags ------------------------------------------------------------ */

/* [callback too] since 0.1 */
KEEL_ENGINE_API keel_status keel_options_new(keel_options** out);
/* [one at a time] since 0.1 */
KEEL_ENGINE_API void keel_options_free(keel_options* options);
/* Sets `name` (a flag without its dashes, "max-num-seqs") from its text. INVALID_ARGUMENT: unknown
 * name (the nearest one is suggested) or a value that does not parse (the message says what is
 * expected). A repeatable option appends. [one at a time] since 0.1 */
KEEL_ENGINE_API keel_status keel_options_set(keel_options* options, const char* name,
                                             const char* value);

/* What is being loaded ("loading weights") and how much of it is done; `total` 0: unknown. */
typedef void (*keel_progress_fn)(void* user, const char* stage, int64_t done, int64_t total);
/* Tells `fn` how keel_engine_new gets on, on any thread, until it returns. `fn` may be NULL:
 * nobody is told. [one at a time] since 0.1 */
KEEL_ENGINE_API keel_status keel_options_set_progress(keel_options* options, keel_progress_fn fn,
                                                      void* user);

/* The table of options, in the order of help. `index` from 0; OUT_OF_RANGE past the end. Strings
 * are static. `value_name` is "" for a switch (its value is "true" or "false").
 * [callback too] since 0.1 */
KEEL_ENGINE_API keel_status keel_option_describe(size_t index, const char** name,
                                                 const char** group, const char** value_name,
                                                 const char** default_value, const char** help);

/* ---- engine ---------------------------------------------------------------------------------- */

/* Loads the model of `options` and starts the engine's threads. Slow (seconds).
 * [not in a callback] since 0.1 */
KEEL_ENGINE_API keel_status keel_engine_new(const keel_options* options, keel_engine** out);
/* Cancels what runs (each request still gets its last output), joins the threads, frees all. No
 * other call on the engine may be under way or follow. A handle from keel_models_acquire is
 * released instead: see there. [not in a callback] since 0.1 */
KEEL_ENGINE_API void keel_engine_free(keel_engine* engine);

/* 0 while the engine serves; else why it stopped (INTERNAL: its thread failed).
 * [callback too] since 0.1 */
KEEL_ENGINE_API keel_status keel_engine_check(const keel_engine* engine);
/* A JSON object: model, architecture, model_impl ("native", "plugin" or "graph": what runs),
 * model_impl_source, model_impl_reason (why that one), plugin, attention_implementation, exec,
 * dtype, max_model_len, vocab_size, kv_cache_blocks, block_size, eos_token_ids, has_chat_template,
 * task ("generate", "embed" or "classify": what requests may ask of it), modalities ("text" and what
 * requests may bring besides: "image", "video", "audio"), of the latter two tasks pooling (an object: size of a vector, type, activation, labels) ... Engine-owned; it never changes. [callback too] since 0.1 */
KEEL_ENGINE_API const char* keel_engine_info(const keel_engine* engine);
/* Prometheus text exposition of the engine's counters (vLLM's metric names), in one call of `sink`.
 * [any] since 0.1 */
KEEL_ENGINE_API keel_status keel_engine_metrics(const keel_engine* engine, keel_bytes_fn sink,
                                                void* user);

/* Token ids of `text`, as packed int32 in one call of `sink`. [any] since 0.1 */
KEEL_ENGINE_API keel_status keel_engine_tokenize(const keel_engine* engine, const char* text,
                                                 size_t n, int32_t add_special_tokens,
                                                 keel_bytes_fn sink, void* user);
/* Text of token ids. [any] since 0.1 */
KEEL_ENGINE_API keel_status keel_engine_detokenize(const keel_engine* engine, const int32_t* ids,
                                                   size_t n, int32_t skip_special_tokens,
                                                   keel_bytes_fn sink, void* user);
/* The bytes that `token` stands for inside of a text, in one call of `sink`: the space before a
 * word, a part of a character (not UTF-8 then). Those of the tokens of an output, joined, are its
 * text. *special (may be NULL): 1 for a token that skip_special_tokens leaves out.
 * INVALID_ARGUMENT: there is no such token. [any] since 0.1 */
KEEL_ENGINE_API keel_status keel_engine_token_bytes(const keel_engine* engine, int32_t token,
                                                    keel_bytes_fn sink, void* user,
                                                    int32_t* special);

/* ---- requests -------------------------------------------------------------------------------- */

/* [callback too] since 0.1 */
KEEL_ENGINE_API keel_status keel_request_new(keel_request** out);
/* [one at a time] since 0.1 */
KEEL_ENGINE_API void keel_request_free(keel_request* request);

/* The prompt: exactly one of the three. Messages and tools are JSON text, the form that chat
 * templates take: [{"role": "user", "content": "hi"}]. [one at a time] since 0.1, all three */
KEEL_ENGINE_API keel_status keel_request_set_prompt_text(keel_request* request, const char* text,
                                                         size_t n);
KEEL_ENGINE_API keel_status keel_request_set_prompt_tokens(keel_request* request,
                                                           const int32_t* ids, size_t n);
KEEL_ENGINE_API keel_status keel_request_set_messages(keel_request* request, const char* json,
                                                      size_t n);

/* Parameters by name. INVALID_ARGUMENT for an unknown name, a wrong type or a value out of range,
 * at once, and the parameter stays as it was. What depends on the model is checked at submit.
 *   set_int    max_tokens (0: the prompt is computed and nothing generated; unset: max_new_tokens
 *              of generation_config.json, else the rest of the context), min_tokens, n, best_of
 *              (that many are generated, the n likeliest are given at the end), beam_width (beam
 *              search: the n best are given at the end), early_stopping (of beam search, 0: when
 *              nothing can beat what is finished, by an estimate of its length; 1: as soon as
 *              beam_width are finished; 2: never by an estimate), timeout_ms (then it ends with
 *              "abort" and what there is), seed, top_k (0 or -1: off), logprobs (count of
 *              alternatives; -1: all; unset: none), prompt_logprobs, priority, ignore_eos,
 *              skip_special_tokens (1), include_stop_str_in_output, add_special_tokens,
 *              add_generation_prompt (1), continue_final_message, stream (1: an output as soon as
 *              there is text; 0: one output at the end; default 1), max_unread_tokens (0; with
 *              keel_engine_read), structured_disable_any_whitespace,
 *              structured_disable_additional_properties
 *   set_float  temperature, top_p, min_p, typical_p, repetition_penalty, presence_penalty,
 *              frequency_penalty, length_penalty (of beam search)
 *   set_string tools (JSON), chat_template_kwargs (JSON object), documents (JSON), cache_salt,
 *              request_id, one of structured_json (a JSON schema), structured_json_object (any
 *              object; the value is not looked at), structured_regex, structured_choice (JSON array
 *              of strings), structured_grammar (Lark or EBNF); structured_whitespace_pattern
 *   add_string stop, bad_words        add_int stop_token_ids, allowed_token_ids
 * To ask a model for a vector instead of text (keel_engine_info says its task), since 0.2:
 *   set_string task ("generate", "embed" or "classify"), text_pair (a second text, read together with
 *              that of the prompt)
 *   set_int    dimensions (the first so many numbers of an embedding, of models made for it),
 *              use_activation (1; 0: the model's numbers as they come, not normalized, no
 *              probabilities), truncate_prompt_tokens (a longer text loses its end; -1: one that is
 *              longer than the model takes; unset: it is refused; since 0.4)
 * What is said of generation has no effect then. The request has one output: keel_output_vector.
 * To have the text taken apart into reasoning, answer and calls of tools, since 0.3:
 *   set_int    parse_output (0), parallel_tool_calls (1; 0: one call at most, where it is required)
 *   set_string tool_choice ("auto"; "none": calls are not looked for; "required": a grammar makes the
 *              text calls of the request's tools), tool_name (it is a call of that one)
 *   set_int    thinking_token_budget (after that many tokens of reasoning its end is made to come;
 *              unset: any number; since 0.4)
 * A grammar holds from the end of the reasoning on then.
 * Sampling values left unset come from the model's generation_config.json, then from the neutral
 * value. A temperature of 0 is greedy. What an engine does not serve yet is refused at submit with
 * UNIMPLEMENTED, by name. [one at a time] since 0.1, all of them */
KEEL_ENGINE_API keel_status keel_request_set_int(keel_request* request, const char* name,
                                                 int64_t value);
KEEL_ENGINE_API keel_status keel_request_set_float(keel_request* request, const char* name,
                                                   double value);
KEEL_ENGINE_API keel_status keel_request_set_string(keel_request* request, const char* name,
                                                    const char* value, size_t n);
KEEL_ENGINE_API keel_status keel_request_add_string(keel_request* request, const char* name,
                                                    const char* value, size_t n);
KEEL_ENGINE_API keel_status keel_request_add_int(keel_request* request, const char* name,
                                                 int64_t value);
/* Adds `bias` to the logit of one token. [one at a time] since 0.1 */
KEEL_ENGINE_API keel_status keel_request_add_logit_bias(keel_request* request, int32_t token,
                                                        double bias);

/* Adds an image to those that placeholders of the prompt, or parts {"type": "image"} of the messages,
 * stand for: the n-th image is the n-th of them. RGB, 8 bits each, [height, width, 3]; copied.
 * set_string mm_processor_kwargs: a JSON object of options for the model's processor.
 * INVALID_ARGUMENT: no such size. Whether the model takes images is checked at submit.
 * [one at a time] since 0.2 */
KEEL_ENGINE_API keel_status keel_request_add_image(keel_request* request, const uint8_t* rgb,
                                                   int64_t height, int64_t width);

/* Called on an engine thread, in order, never two at once for one request; must return soon (hand
 * over, don't write to a socket here) and must not free the engine. The last call of a request has
 * keel_output_is_last() != 0. */
typedef void (*keel_output_fn)(void* user, const keel_output* output);

/* Queues the request (its values are copied) and puts its id into `id`. `fn` may be NULL: then its
 * outputs are kept for keel_engine_poll (or keel_engine_drain, see there), and one that is 4096 tokens ahead of its reader pauses
 * until they are polled. Refused requests fail here: prompt too long (INVALID_ARGUMENT, with both
 * numbers), queue full (RESOURCE_EXHAUSTED). [any] since 0.1 */
KEEL_ENGINE_API keel_status keel_engine_submit(keel_engine* engine, const keel_request* request,
                                               keel_output_fn fn, void* user, uint64_t* id);
/* Ends the request soon; its last output has finish reason "abort". NOT_FOUND when it has ended
 * already. [callback too] since 0.1 */
KEEL_ENGINE_API keel_status keel_engine_cancel(keel_engine* engine, uint64_t id);
/* For a reader that is behind: a paused request computes nothing and gives its place and its cache
 * to others; a few outputs may still come. Resumed, it queues again at its place and goes on with
 * the same text; what the prefix cache no longer has is computed anew. Both may be called any
 * number of times. NOT_FOUND when it has ended. [callback too] since 0.1, both */
KEEL_ENGINE_API keel_status keel_engine_pause(keel_engine* engine, uint64_t id);
KEEL_ENGINE_API keel_status keel_engine_resume(keel_engine* engine, uint64_t id);
/* Flow control for outputs that go to a callback: says that the reader behind it has taken `tokens`
 * of the tokens that it was given. A request that sets max_unread_tokens gets outputs joined, one a
 * sequence, while 64 or more are not read, and pauses when it is that many ahead, until they are.
 * A polled request needs no call: a poll reads. NOT_FOUND when it has ended.
 * [callback too] since 0.1 */
KEEL_ENGINE_API keel_status keel_engine_read(keel_engine* engine, uint64_t id, int64_t tokens);
/* Waits up to `timeout_ms` (-1: for ever) for the next output of a polled request.
 * DEADLINE_EXCEEDED: none yet. `*out` is freed by the next poll of the same id; after the last
 * output the id is gone (NOT_FOUND). One thread at a time for one id.
 * [not in a callback] since 0.1 */
KEEL_ENGINE_API keel_status keel_engine_poll(keel_engine* engine, uint64_t id, int64_t timeout_ms,
                                             const keel_output** out);

/* ---- outputs: what one sequence of a request produced since its previous output -------------- */

/* The id that keel_engine_submit gave. [callback too] since 0.1 */
KEEL_ENGINE_API uint64_t keel_output_request(const keel_output* output);
/* Which of the n sequences, from 0. [callback too] since 0.1 */
KEEL_ENGINE_API uint32_t keel_output_index(const keel_output* output);
/* New text (complete UTF-8 characters; stop strings are never in it).
 * [callback too] since 0.1 */
KEEL_ENGINE_API const char* keel_output_text(const keel_output* output, size_t* n);
/* New token ids. Text may lag behind tokens while a character or a stop string is incomplete.
 * [callback too] since 0.1 */
KEEL_ENGINE_API const int32_t* keel_output_tokens(const keel_output* output, size_t* n);
/* Log-probability of new token `i` and its alternatives, best first (0 entries when not asked
 * for). NOT_FOUND: this output has none of it. [callback too] since 0.1 */
KEEL_ENGINE_API keel_status keel_output_logprob(const keel_output* output, size_t i, float* logprob,
                                                const int32_t** top_tokens,
                                                const float** top_logprobs, size_t* n_top);
/* Log-probability of prompt token `i` after those before it, and its alternatives, in the first
 * output of each sequence of a request that set prompt_logprobs. NOT_FOUND for token 0, and in
 * every other output. [callback too] since 0.1 */
KEEL_ENGINE_API keel_status keel_output_prompt_logprob(const keel_output* output, size_t i,
                                                       float* logprob, const int32_t** top_tokens,
                                                       const float** top_logprobs, size_t* n_top);
/* Sum of the log-probabilities of all tokens of the sequence so far; 0 unless the request set
 * logprobs, best_of or beam_width. [callback too] since 0.1 */
KEEL_ENGINE_API double keel_output_cumulative_logprob(const keel_output* output);
/* NULL while the sequence runs; else "stop", "length", "abort" or "error".
 * [callback too] since 0.1 */
KEEL_ENGINE_API const char* keel_output_finish_reason(const keel_output* output);
/* The stop string or, as decimal text, the stop token id that ended it; "" when neither did.
 * [callback too] since 0.1 */
KEEL_ENGINE_API const char* keel_output_stop_reason(const keel_output* output);
/* The id of the request's stop_token_ids that ended it; -1 when none did.
 * [callback too] since 0.1 */
KEEL_ENGINE_API int32_t keel_output_stop_token(const keel_output* output);
/* Status of the request: 0, or why it ended with "error", or DEADLINE_EXCEEDED with "abort" when
 * timeout_ms was over; `message` (may be NULL) gets the text. [callback too] since 0.1 */
KEEL_ENGINE_API keel_status keel_output_status(const keel_output* output, const char** message);
/* As keel_error_detail, of that status. [callback too] since 0.1 */
KEEL_ENGINE_API const char* keel_output_error_detail(const keel_output* output, const char* name);
/* Ids of the prompt as it was run. Present in every output. [callback too] since 0.1 */
KEEL_ENGINE_API const int32_t* keel_output_prompt_tokens(const keel_output* output, size_t* n);
/* Tokens of the prompt that the prefix cache held. [callback too] since 0.1 */
KEEL_ENGINE_API size_t keel_output_cached_tokens(const keel_output* output);
/* 1 in the last output of the whole request (all n sequences ended). [callback too] since 0.1 */
KEEL_ENGINE_API int32_t keel_output_is_last(const keel_output* output);

/* ---- several models in one process ----------------------------------------------------------- */

/* Models by name, each with an engine and a queue of its own, under one memory budget. Their steps
 * run in turn on one thread. A model is loaded when it is asked for; idle ones that are not pinned
 * are unloaded, the least recently used first, when another needs their room. A model that is in
 * use (a handle that keel_models_acquire gave, or a request that has not ended) or that is being
 * loaded is never unloaded by that. */
typedef struct keel_models keel_models;

/* `budget_bytes`: what weights, keys, values and states of all models may take together; 0: what
 * the machine has free now. [any] since 0.1 */
KEEL_ENGINE_API keel_status keel_models_new(int64_t budget_bytes, keel_models** out);
/* Cancels what runs, unloads all, frees all; if handles are still acquired, when the last of them
 * is released. No other call on `models` may be under way or follow.
 * [not in a callback] since 0.1 */
KEEL_ENGINE_API void keel_models_free(keel_models* models);

/* Registers a model under `name`, which its metrics carry as their label model_name; reads nothing
 * yet. `options` are copied; their progress function is called at every load, until `models` are
 * freed. `pinned` 1: once loaded it goes only by keel_models_unload or keel_models_remove.
 * ALREADY_EXISTS: the name is taken. [callback too] since 0.1 */
KEEL_ENGINE_API keel_status keel_models_add(keel_models* models, const char* name,
                                            const keel_options* options, int32_t pinned);
/* Unloads, as keel_models_unload with timeout 0, and forgets the name.
 * [not in a callback] since 0.1 */
KEEL_ENGINE_API keel_status keel_models_remove(keel_models* models, const char* name);

/* Returns when the model is ready (seconds; at once if it is). Runs on the calling thread, the
 * other models serve on; whoever asks for a model that is being loaded waits for that load and gets
 * its status. After a failure the next call tries again. NOT_FOUND: no such name;
 * RESOURCE_EXHAUSTED: no room (the message has the numbers, which models hold how much and why they
 * can't go; none was unloaded); UNAVAILABLE: it is being unloaded; else as keel_engine_new.
 * [not in a callback] since 0.1 */
KEEL_ENGINE_API keel_status keel_models_load(keel_models* models, const char* name);
/* Frees the model's memory, at once if nothing uses it; it stays registered. Waits up to
 * `timeout_ms` (-1: for ever) for its handles and requests to end, and nobody can acquire it
 * meanwhile. FAILED_PRECONDITION with timeout 0, DEADLINE_EXCEEDED after another: that many handles
 * and requests use it, and it serves on. [not in a callback] since 0.1 */
KEEL_ENGINE_API keel_status keel_models_unload(keel_models* models, const char* name,
                                               int64_t timeout_ms);

/* The model's engine, loaded first if need be (then as keel_models_load, whose errors it has). It
 * stays loaded until keel_models_release and until its requests have ended. The handle works with
 * every keel_engine_* function; a polled request is polled through the handle that it was submitted
 * with. [not in a callback] since 0.1 */
KEEL_ENGINE_API keel_status keel_models_acquire(keel_models* models, const char* name,
                                                keel_engine** out);
/* Ends the use of a handle from keel_models_acquire, and the handle. Requests that it submitted go
 * on to their callbacks; outputs of polled ones are lost. keel_engine_free on such a handle does
 * the same. [callback too], unless keel_models_free came before. since 0.1 */
KEEL_ENGINE_API void keel_models_release(keel_engine* engine);

/* A JSON object in one call of `sink`: budget_bytes, used_bytes, models: by name, each with name,
 * state ("registered", "loading", "ready", "unloading", "failed"), error (why the last load
 * failed), pinned, leases (acquired handles), requests (that have not ended), weight_bytes,
 * cache_bytes (keys, values, states), last_used_unix_ms (once it was used). [any] since 0.1 */
KEEL_ENGINE_API keel_status keel_models_list(const keel_models* models, keel_bytes_fn sink,
                                             void* user);

/* ---- checking a model ------------------------------------------------------------------------ */

/* Whether the model of `options` can be served: each clause of docs/check.md, without reading a
 * weight. Runs the plugin's code as loading does. `tensor_parallel`: `n` degrees, each from 1 to
 * 64, that must work. A JSON object in one call of `sink`: model, dir, passed (no clause failed),
 * counts (of each verdict), clauses: each with code ("KEEL-CHK-101"), title, verdict ("pass",
 * "warn", "fail", "skip": it rests on one that failed), found, remedy ("": nothing to do), details
 * (lines). A clause that fails is no error of the call. [any] since 0.2 */
KEEL_ENGINE_API keel_status keel_check_model(const keel_options* options,
                                             const int32_t* tensor_parallel, size_t n,
                                             keel_bytes_fn sink, void* user);

/* ---- plugins of checkpoints: what operators and publishers do with them ---------------------- */

/* No code of a plugin runs in this process by these. `path` is a library, a graph file or the
 * directory of a checkpoint that brings one. Answers are a JSON object in one call of `sink`.
 * docs/security.md says what they are for. */

/* What the file says of itself: kind ("library" or "graph"), path, sha256 and, of a library, id,
 * version, abi, architectures, model_types, attention, kernels, processors, signed_as; of a graph,
 * plugin, opset, architecture, provenance, declarations, functions, text. A file that breaks the
 * host's rules is an error, with the rule. [any] since 0.2 */
KEEL_ENGINE_API keel_status keel_plugin_inspect(const char* path, keel_bytes_fn sink, void* user);
/* Appends the library's sha256 to `trust_file` ("": the user's own), with `comment` ("": its id and
 * version): sha256, trust_file. ALREADY_EXISTS: it is there. [one at a time] since 0.2 */
KEEL_ENGINE_API keel_status keel_plugin_pin(const char* path, const char* trust_file,
                                            const char* comment, keel_bytes_fn sink, void* user);
/* Writes <library>.minisig with the secret key of minisign in `key_file`; `password` "": it has
 * none. signature, key, signed_as. [one at a time] since 0.2 */
KEEL_ENGINE_API keel_status keel_plugin_sign(const char* path, const char* key_file,
                                             const char* password, keel_bytes_fn sink, void* user);
/* Whether --trust-remote-code=full would run the library, by `trust_file` ("": /etc/keel/trust and
 * the user's own): sha256, verified, reason. [any] since 0.2 */
KEEL_ENGINE_API keel_status keel_plugin_verify(const char* path, const char* trust_file,
                                               keel_bytes_fn sink, void* user);
/* Records the model that `options` name, in a jail where they say so, and writes its graph to
 * `file`: file, sha256, plugin, architecture. [one at a time] since 0.2 */
KEEL_ENGINE_API keel_status keel_plugin_export_graph(const keel_options* options, const char* file,
                                                     keel_bytes_fn sink, void* user);

/* ---- vectors ---------------------------------------------------------------------------------- */

/* The vector of a request whose task is "embed" or "classify", in its last output; 0 entries in every
 * other. Of embed the embedding, of classify a number for each label (of keel_engine_info's
 * pooling.labels). Lives as the output does. [callback too] since 0.2 */
KEEL_ENGINE_API const float* keel_output_vector(const keel_output* output, size_t* n);

/* ---- outputs of many requests at once --------------------------------------------------------- */

/* For programs with an event loop (epoll, asyncio, Go, Rust): no thread a request waits, and no
 * foreign thread calls back. From the first call of either function on, each request submitted
 * without a callback is drained: its outputs come from keel_engine_drain alone, and keel_engine_poll
 * answers NOT_FOUND for it. Requests submitted before stay polled. A drained request that is 4096
 * tokens ahead of its reader pauses until it is drained. */

/* A descriptor that is readable while outputs wait to be drained. The engine's: watch it, but
 * neither read nor close it. It is closed when the engine is freed.
 * [callback too] since 0.2 */
KEEL_ENGINE_API keel_status keel_engine_event_fd(keel_engine* engine, int32_t* fd);
/* Gives the waiting outputs of all drained requests in the order they were made, at most `max` of
 * them (0: all), as an array of `*n`. Waits up to `timeout_ms` (-1: for ever; 0: not at all) for the
 * first; DEADLINE_EXCEEDED: none yet. Array and outputs are the engine's and live until its next
 * keel_engine_drain. One thread at a time for one engine. [not in a callback] since 0.2 */
KEEL_ENGINE_API keel_status keel_engine_drain(keel_engine* engine, int64_t timeout_ms, size_t max,
                                              const keel_output* const** outputs, size_t* n);
/* The `user` that keel_engine_submit was given: whose output it is, known before the id is.
 * [callback too] since 0.2 */
KEEL_ENGINE_API void* keel_output_user(const keel_output* output);

/* ---- outputs taken apart ----------------------------------------------------------------------- */

#define KEEL_PART_TEXT 0      /* of the answer */
#define KEEL_PART_REASONING 1 /* what the model thinks before it */
#define KEEL_PART_TOOL_NAME 2 /* a call of that tool begins; the name comes whole */
#define KEEL_PART_TOOL_ARGUMENTS 3 /* of the call that began last, JSON in pieces, as the model made it */

/* Part `i` of what is new, of a request that set parse_output; keel_output_text is then the text of the
 * answer alone. What marks the parts in the model's text is in none of them. OUT_OF_RANGE past the end.
 * [callback too] since 0.3 */
KEEL_ENGINE_API keel_status keel_output_part(const keel_output* output, size_t i, int32_t* kind,
                                             const char** text, size_t* n);

/* ---- prompts and what is kept of them ---------------------------------------------------------- */

/* Ids of the request's prompt as keel_engine_submit would run it, as packed int32 in one call of
 * `sink`; messages are rendered first. Errors as submit has them for a prompt. [any] since 0.3 */
KEEL_ENGINE_API keel_status keel_engine_prompt_tokens(const keel_engine* engine,
                                                      const keel_request* request,
                                                      keel_bytes_fn sink, void* user);
/* Forgets what is kept of earlier prompts, so that the next ones are computed anew.
 * FAILED_PRECONDITION: requests run, and nothing is forgotten. [callback too] since 0.3 */
KEEL_ENGINE_API keel_status keel_engine_reset_prefix_cache(keel_engine* engine);

/* ---- media as files --------------------------------------------------------------------------- */

/* As keel_request_add_image, but not decoded: a file's bytes, or a URL (data:, file:, https:, http:).
 * `modality` is "image", "video" or "audio"; the n-th item of a modality is the n-th placeholder of it.
 * Read, fetched and decoded by submit, which may wait for that for seconds, in a jailed process of its
 * own (keel-media, beside the library), within the options of the group Media: what they don't allow
 * is refused there, with INVALID_ARGUMENT. `place` ("" where there is none) is what its errors call
 * the item, in message and field: "messages[0].content[1]". [one at a time] since 0.4, both */
KEEL_ENGINE_API keel_status keel_request_add_media(keel_request* request, const char* modality,
                                                   const void* file, size_t n, const char* place);
KEEL_ENGINE_API keel_status keel_request_add_media_url(keel_request* request, const char* modality,
                                                       const char* url, size_t n,
                                                       const char* place);
/* As keel_request_add_image, a sound: n samples of one channel, `rate` a second, 1 full scale; copied.
 * INVALID_ARGUMENT: no such sizes. That the model takes sounds, and of that rate, is checked at submit.
 * [one at a time] since 0.5 */
KEEL_ENGINE_API keel_status keel_request_add_audio(keel_request* request, const float* samples,
                                                   size_t n, int64_t rate);

/* ---- counts ------------------------------------------------------------------------------------ */

/* How many tokens are of the reasoning, of a request that set parse_output: those that became certain
 * since the sequence's previous output, whose sum over its outputs is all of them. Markers are none.
 * [callback too] since 0.5 */
KEEL_ENGINE_API size_t keel_output_reasoning_tokens(const keel_output* output);

#ifdef __cplusplus
}
#endif
#endif /* KEEL_SDK_ABI_ENGINE_H_ */
