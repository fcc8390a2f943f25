/* keel/plugin.h: everything a Keel plugin may include. C11 / C++20, no other header.
 *
 * A plugin is a shared library that exports one symbol, keel_plugin_entry_v1. Through it the host
 * learns the classes that the plugin provides (models with their configs, attention
 * implementations, kernels, processors) and the plugin gets the host's interfaces. Each interface
 * has a string id ("keel.models/1") and is an append-only table.
 *
 * A model lives in three calls:
 *   config   reads config.json through the host and states sizes, plans and checkpoint renames
 *            (keel_spec)
 *   create   declares linears, norms, attentions ... by full name and GLOBAL shape; no tensor
 *            exists (keel_build)
 *   forward  says the mathematics, one packed row of N tokens, on integer handles (keel_run)
 * The host records forward once and runs the recorded graph; under --exec=eager the same code runs
 * op by op. Files, loading, shards, quantization, adapters, the KV cache and sequence borders are
 * the host's and never seen here.
 *
 * A forward of one norm, in C (tests/plugins/minimal.c is a whole plugin):
 *
 *   #include "sdk/abi/plugin.h"
 *
 *   struct model {
 *     keel_object norm; // of build->api->norm in create
 *   };
 *
 *   keel_status forward(const void* self, keel_run* run, const keel_forward_inputs* in,
 *                       keel_tensor* hidden) {
 *     const struct model* m = self;
 *     *hidden = run->ops->norm(run, m->norm, in->embeds);
 *     return run->ops->status(run);
 *   }
 *
 * Conventions
 *   errors    functions that return keel_status: 0 or an absl::StatusCode number; say more with
 *             host->set_error first. Builders and ops return a handle, 0 on failure; the first
 *             failure sticks to the object (spec, build, run, config) and everything after it is a
 *             no-op, so nested expressions need no checks in between.
 *   memory    spans and strings are borrowed for the duration of the call, descriptions with all
 *             that they point to are copied; what goes back to the host goes through a sink of the
 *             host's. Nothing allocated on one side is freed on the other.
 *   lifetimes what get_interface gives (lists, classes, their names and functions) stays until
 *             shutdown has returned, on both sides. A keel_config stays until the call that got it
 *             has returned, a processor's until its destroy. keel_spec, keel_build and keel_run end
 *             with their call, and with them every keel_tensor; a keel_object lives as its model.
 *   NULL      no argument and no field that is a pointer may be NULL where its comment does not say
 *             what NULL means; a list may be NULL when it has no entries. The host answers
 *             INVALID_ARGUMENT with the name of what is NULL.
 *   text      a const char* is an identifier that an author writes down: a name, a field, a
 *             pattern. A keel_str is text that may be computed or long. Both UTF-8.
 *   threads   [load] one thread at a time per plugin. [build] one thread per build. [run] one
 *             thread per keel_run; different runs at once, so functions on the same const model may
 *             run at once. [any] any thread, at any time between init and shutdown.
 *   plugins   must not let an exception, a panic or a longjmp out, call exit or fork, install
 *             signal handlers, change the locale or the floating-point mode; a model object must
 *             not change after create. docs/plugin-requirements.md numbers all of it, and
 *             keel-validate checks it.
 *
 * Growth
 *   members   are appended, never moved, removed or given another meaning. A table's functions are
 *             tested with KEEL_HAS, a struct's plain fields with KEEL_HAS_FIELD; versions and sizes
 *             are never compared.
 *   in        Whoever gets a struct copies it: what a shorter one lacks is 0, what a longer one has
 *             beyond the known fields must be 0 or the call is refused, for it asks for what this
 *             side can't do. Hence 0 always means "as before the field was there". struct_size is
 *             at least 8 and at most 4096.
 *   out       Whoever wants a struct filled clears it and sets struct_size to the room there is;
 *             the other side writes the fields that fit into it and leaves struct_size alone.
 *   arrays    Structs that are passed in arrays are frozen (see the end of this file) or passed as
 *             arrays of pointers.
 *   classes   may be as short as they were when their interface was first released
 *             (KEEL_*_CLASS_MIN_SIZE); what they lack is NULL.
 *   reserved  fields are 0 and unknown bits of flags are not set. Both are refused, for flags are
 *             demands: who does not know one can't meet it.
 *   numbers   KEEL_* numbers are never used again for anything else; graph files hold them.
 *   features  Enumerations, argument names and styles grow too. "keel.features/1" says which this
 *             host knows, so that a plugin can go another way on an older one.
 *
 * Versions. MAJOR is 0 until enough kinds of models have been served to freeze it: a 0.x host takes
 * exactly its own minor and says how to rebuild. Only section A is frozen from 0.1 on. MINOR grows
 * with every release of Keel that changes a layout, a name or a rule of this file; docs/abi.md has
 * a line for each change.
 */
#ifndef KEEL_SDK_ABI_PLUGIN_H_
#define KEEL_SDK_ABI_PLUGIN_H_

#include <stddef.h>
#include <stdint.h>

#if UINTPTR_MAX != UINT64_MAX
#error "keel/plugin.h is for 64-bit platforms: the layouts of its structs are laid down for them"
#endif
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "keel/plugin.h is for little-endian platforms: tensors are passed as they lie in memory"
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define KEEL_ABI_MAJOR 0u
#define KEEL_ABI_MINOR 2u

/* Bytes of a T up to the end of its field f. */
#define KEEL_SIZE_UP_TO(T, f) (offsetof(T, f) + sizeof(((T*)0)->f))
/* True when the struct `*p` of type T is long enough to have field f, whatever its value. */
#define KEEL_HAS_FIELD(p, T, f) ((p)->struct_size >= KEEL_SIZE_UP_TO(T, f))
/* The same of a pointer or function, which must be set too. */
#define KEEL_HAS(p, T, f) (KEEL_HAS_FIELD(p, T, f) && (p)->f)

#ifndef KEEL_STATUS_DEFINED
#define KEEL_STATUS_DEFINED
typedef int32_t keel_status; /* absl::StatusCode numbers; 0 = OK */
#endif
/* A value of one run; 0 = none, or the poison that a failed op returned. */
typedef uint32_t keel_tensor;
typedef uint32_t keel_object; /* a declared object of one model; 0 = failed */
typedef struct keel_str {     /* UTF-8, not NUL-terminated, borrowed */
  const char* data;           /* NULL only of size 0 */
  size_t size;
} keel_str;

/* Element types: the u32 image of a DLPack DLDataType, code | bits << 8 | lanes << 16. */
#define KEEL_DTYPE_MODEL 0u /* whatever the model runs in (--dtype): the type of activations */
#define KEEL_F32 0x00012002u
#define KEEL_F16 0x00011002u
#define KEEL_BF16 0x00011004u
#define KEEL_I64 0x00014000u
#define KEEL_I32 0x00012000u
#define KEEL_I8 0x00010800u
#define KEEL_U8 0x00010801u
#define KEEL_BOOL 0x00010806u
/* For what caches and files hold, as KEEL_I8: a tensor of a forward, a param or a constant of these
 * types is refused by name. */
#define KEEL_I16 0x00011000u
#define KEEL_F64 0x00014002u
#define KEEL_F8_E4M3FN 0x0001080au
#define KEEL_F8_E5M2 0x0001080cu
#define KEEL_F8_E8M0 0x0001080eu
#define KEEL_F4_E2M1 0x00010411u

#define KEEL_MAX_DIMS 8

/* ==== A. bootstrap: frozen ==================================================================== */

/* The host as a plugin sees it. 40 bytes on 64-bit, for ever. */
typedef struct keel_host {
  uint32_t abi_major, abi_minor; /* what this host speaks */
  void* self;
  /* The interface `id`, or NULL when this host has none. Lives until shutdown returns.
   * [any] since 0.1 */
  const void* (*get_interface)(void* self, const char* id);
  /* Message for the call into the plugin that is under way on this thread; copied.
   * [any] since 0.1 */
  void (*set_error)(void* self, keel_status status, const char* message, size_t n);
  /* level: 0 debug, 1 info, 2 warning, 3 error. [any] since 0.1 */
  void (*log)(void* self, int32_t level, const char* where, const char* message, size_t n);
} keel_host;

/* Brings code for the hot path (attention, kernels): must stay mapped. */
#define KEEL_PLUGIN_HAS_KERNELS 1u
#define KEEL_PLUGIN_OWN_THREADS 2u  /* starts threads; they are joined in shutdown and call no op */
#define KEEL_PLUGIN_NEEDS_TORCH 4u  /* links the host's libtorch; reserved, refused */

/* What a plugin is. 80 bytes on 64-bit, for ever. */
typedef struct keel_plugin {
  uint32_t struct_size, abi_major, abi_minor, min_host_minor;
  const char *id, *version, *vendor, *license; /* id: reverse DNS, "org.example.llama" */
  uint64_t flags;                              /* KEEL_PLUGIN_* */
  /* `host` lives until shutdown returns. May be called again after shutdown. One that fails frees
   * what it made: shutdown is not called then. [load] since 0.1 */
  keel_status (*init)(const keel_host* host, void** self);
  /* Joins the plugin's threads and frees everything. [load] since 0.1 */
  void (*shutdown)(void* self);
  /* The list of classes `id`: "keel.models/1", "keel.attention/1", "keel.kernels/1",
   * "keel.processors/1" -> keel_list, or NULL: provides none. Must return NULL for ids it does not
   * know. [any] since 0.1 */
  const void* (*get_interface)(void* self, const char* id);
} keel_plugin;

/* The one exported symbol. Returns the same static const pointer on every call, before init too.
 * [any] */
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const keel_plugin* keel_plugin_entry_v1(void);
#define KEEL_PLUGIN_ENTRY "keel_plugin_entry_v1"

typedef struct keel_list {
  uint32_t struct_size, count;
  const void* const* items; /* each a class; NULL only when count is 0 */
} keel_list;

/* The host's interface "keel.features/1": what it knows of what has no field of its own. */
typedef struct keel_features_api {
  uint32_t struct_size, reserved;
  /* 1 for a feature that this host serves, else 0. Features, each with the number or name of what
   * this file defines:
   *   "op.<entry of keel_ops>"   "op.compare"
   *   "rename.<number>"          "rename.9": KEEL_RENAME_UNSTACK
   *   "recur.<number>"           "recur.2": KEEL_RECUR_SSD
   *   "merge.<number>"           "merge.1": KEEL_MERGE_ROWS
   *   "moe.scoring.<number>"     "moe.scoring.2": KEEL_MOE_TOPK_SOFTMAX
   *   "attention.arg.<name>"     "attention.arg.sinks"
   *   "forward.<input>"          "forward.token_type_ids"; "forward.features": features/1 ..
   * [any] since 0.2 */
  int32_t (*has)(const char* feature);
} keel_features_api;

/* ==== B. config.json ("keel.config/1") ======================================================== */

/* config.json or an object in it; read-only but for its sticky error. Lives until the call that
 * got it has returned (config, create), a processor's until its destroy. */
typedef struct keel_config keel_config;

#define KEEL_JSON_ABSENT 0u
#define KEEL_JSON_NULL 1u
#define KEEL_JSON_BOOL 2u
#define KEEL_JSON_INT 3u
#define KEEL_JSON_REAL 4u
#define KEEL_JSON_STRING 5u
#define KEEL_JSON_ARRAY 6u
#define KEEL_JSON_OBJECT 7u

/* A key is a path of names or indices joined by '/': "rope_parameters/rope_theta", "layer_types/3".
 * Alternatives are separated by '|', tried in order: "num_local_experts|num_experts". A JSON null
 * counts as absent. A getter without a default (`required` != 0) that finds nothing, or any getter
 * that finds another kind, fails: key, found and expected are kept as the sticky error and the
 * default is returned as it was given. A member whose own name has a '/' or '|' can't be named; its
 * object can be listed with key. The host locks the sticky error, so any thread may ask. */
typedef struct keel_config_api {
  uint32_t struct_size, reserved;
  /* KEEL_JSON_* of the value; KEEL_JSON_NULL of a null, which every other getter takes for absent.
   * [any] since 0.1 */
  uint32_t (*kind)(keel_config*, const char* key);
  /* A number without a fraction. [any] since 0.1 */
  int64_t (*get_int)(keel_config*, const char* key, int32_t required, int64_t dflt);
  /* Any number. [any] since 0.1 */
  double (*get_real)(keel_config*, const char* key, int32_t required, double dflt);
  /* 0 or 1. [any] since 0.1 */
  int32_t (*get_bool)(keel_config*, const char* key, int32_t required, int32_t dflt);
  /* The text lives as long as the config; the default's is the caller's, and NULL gives "".
   * [any] since 0.1 */
  keel_str (*get_string)(keel_config*, const char* key, int32_t required, const char* dflt);
  /* Elements of an array or object; 0 when absent. [any] since 0.1 */
  size_t (*size)(keel_config*, const char* key);
  /* A view of the object at `key` with the same sticky error, or NULL. Lives as long as the config.
   * [any] since 0.1 */
  keel_config* (*child)(keel_config*, const char* key);
  /* Records an error of the plugin's own about `key` (what was found, what was expected).
   * [any] since 0.1 */
  void (*fail)(keel_config*, const char* key, const char* message, size_t n);
  /* The sticky error, or OK. [any] since 0.1 */
  keel_status (*status)(const keel_config*);
  /* The name of member `index` (0 .. size - 1) of the object at `key`, "" for the config itself, in
   * the order of the file; an empty text when there is no such member. Lives as long as the config.
   * [any] since 0.2 */
  keel_str (*key)(keel_config*, const char* key, size_t index);
} keel_config_api;

/* ==== C. the model's specification ("keel.spec/1") ============================================ */

typedef struct keel_spec keel_spec;

/* What the host does to checkpoint tensors before they meet the declared names (transformers'
 * conversion mapping). An axis is `dim`, which may count from the end. */
#define KEEL_RENAME_NAME 0u        /* from -> to, the tensor as it is */
#define KEEL_RENAME_IGNORE 1u      /* from: not loaded, not missed; no to */
#define KEEL_RENAME_CONCATENATE 2u /* several from -> one to, in the order of `from`, along dim */
/* One from that matches many tensors -> one to with a new axis `dim`, in the order of the number in
 * the last capture that `to` does not use: experts\.(\d+). */
#define KEEL_RENAME_STACK 3u
#define KEEL_RENAME_SPLIT 4u      /* one from -> several to, along dim, equal parts or `sizes` */
#define KEEL_RENAME_TRANSPOSE 5u  /* from -> to, last two axes swapped (GPT-2's Conv1D) */
/* One from -> n to, along dim: part p gets p, p + n ... (gpt_oss). */
#define KEEL_RENAME_INTERLEAVE 6u
/* from -> to, rows of each head of sizes[0] rows, from pairs (2i, 2i + 1) to halves. */
#define KEEL_RENAME_PERMUTE_ROPE 7u
/* One from -> several to: axis 0 is a row of groups, each of sizes[0] + sizes[1] ... rows; part p
 * gets its sizes[p] rows of every group. Of any rank, so biases too (bloom, gpt_neox, falcon). */
#define KEEL_RENAME_CHUNK_HEADS 8u
/* One from -> one to with {e} in it, e = 0, 1 ..: slice e along dim, which goes (gpt_oss,
 * granitemoe); with sizes[0] the slices are that many rows each and dim stays (dbrx). */
#define KEEL_RENAME_UNSTACK 9u

/* `from` are RE2 patterns over whole names, `to` templates with \1 .. \9. Rules are passes: each
 * sees the names that the rules before it left, and a tensor may pass several. dim and sizes are of
 * the logical weight [out, in], whatever a quantized file packs. Adapters and scales go the same
 * way. */
typedef struct keel_rename {
  uint32_t struct_size, op;
  const char* const* from;
  const char* const* to;
  uint32_t num_from, num_to;
  int32_t dim, reserved;
  const int64_t* sizes; /* num_to entries (of PERMUTE_ROPE and UNSTACK one), or NULL */
} keel_rename;

/* How the host puts together what several items gave for one input of encode, so that one call
 * encodes them all and gives their features one after the other. An encoder whose inputs all have a
 * rule promises that each item's features are what a call of its own would have given, but for
 * rounding. */
#define KEEL_MERGE_NONE 0u /* not at all: an item is encoded alone */
#define KEEL_MERGE_ROWS 1u /* one after the other along the dimension that is a symbol */
/* Running sums ("segments"): the first, 0, is dropped, the last so far is added to the rest. */
#define KEEL_MERGE_BORDERS 2u
/* One after the other, and to entries >= 0 is added what index_symbol is in the items so far, times
 * index_multiple (Qwen2.5-VL's window_index; rows of an audio's windows). */
#define KEEL_MERGE_INDICES 3u

/* An input of a recorded graph. dims >= 0 are sizes; -1, -2 ... are symbols: the same number is the
 * same unknown size within one graph, in forward -1 is the number of tokens. A tower that merges 4
 * patches to a token declares tokens as -1 and patches as -1 with the multiple 4. KEEL_DTYPE_MODEL:
 * the host casts what it is given. */
typedef struct keel_input {
  uint32_t struct_size, dtype;
  const char* name;
  uint32_t ndim, merge; /* of encode's: KEEL_MERGE_* */
  int64_t dims[KEEL_MAX_DIMS];
  int64_t multiples[KEEL_MAX_DIMS]; /* of a symbol: 4 is 4 times its size; 0: 1 */
  /* With KEEL_MERGE_INDICES: a symbol of the graph (-1, -2 ...), and 0: 1. since 0.2 */
  int64_t index_symbol, index_multiple;
} keel_input;

/* Fields of set_*: an unknown field fails (a newer plugin on an older host is told so).
 *   int     num_layers, hidden_size, vocab_size (required); max_positions; tie_word_embeddings (0)
 *   real    embed_scale (1), logit_scale (1), logit_softcap (0: none)
 *   string  base_model_prefix ("model"), embed_tokens ("model.embed_tokens"), lm_head ("lm_head"),
 *           attn_implementation (config's _attn_implementation unless set)
 * The host embeds ids with embed_tokens * embed_scale, and after forward applies lm_head,
 * logit_scale, logit_softcap unless the class has a logits function. */
typedef struct keel_spec_api {
  uint32_t struct_size, reserved;
  void (*set_int)(keel_spec*, const char* field, int64_t value);        /* [build] since 0.1 */
  void (*set_real)(keel_spec*, const char* field, double value);        /* [build] since 0.1 */
  void (*set_string)(keel_spec*, const char* field, const char* value); /* [build] since 0.1 */
  /* base_model_tp_plan: pattern relative to the base model, `*` = one numeric component. Styles are
   * transformers': colwise, rowwise, packed_colwise and packed_rowwise (halves of one matrix, each
   * split), colwise_gather_output (colwise_rep), rowwise_split_input (rowwise_rep),
   * embedding_rowwise, embedding_colwise, replicate, mla_kv_a_proj, local_*, and of a mixture of
   * experts moe_tp_experts (each expert's intermediate size), with packed_colwise of
   * "<name>.gate_up_proj" and rowwise of "<name>.down_proj" beside it or not; of a parameter
   * colwise: its first dimension. docs/parallel.md says what each means. An unknown style, or a
   * pattern that matches nothing, is refused at load. [build] since 0.1 */
  void (*tp_plan)(keel_spec*, const char* pattern, const char* style);
  /* base_model_pp_plan, in order of execution: a child of the base model, what it takes and gives.
   * Held against the recorded graph: the layers are where the marks are, and what is alive at each
   * border between two is what the plan says. [build] since 0.1 */
  void (*pp_plan)(keel_spec*, const char* child, const char* const* inputs, uint32_t num_inputs,
                  const char* const* outputs, uint32_t num_outputs);
  /* Appends a rule. [build] since 0.1 */
  void (*rename)(keel_spec*, const keel_rename*);
  /* An input of `graph`: "forward" or a modality of encode ("image", "video", "audio"). Of
   * forward's extras the host knows input_ids [N], token_type_ids [N], and features/1, features/2,
   * .. [N, H]: with k of those an encode gives 1 + k rows for each feature, one after the other;
   * the first replaces a token's embedding, the others are that token's rows of the extras, which
   * are 0 elsewhere. And groups [N] i32: see the argument of attention; the processor's expand says
   * them, else each run of an item's tokens is a group, others have -1. "positions" replaces the
   * [N] that every forward has. [build] since 0.1 */
  void (*input)(keel_spec*, const char* graph, const keel_input*);
  /* The first error, or OK. [build] since 0.1 */
  keel_status (*status)(const keel_spec*);
  /* base_model_ep_plan: which experts are divided among ranks instead of each being split
   * (--enable-expert-parallel), as tp_plan says it: ep_dispatch_experts of the experts,
   * grouped_gemm of their matrices. Its rules replace those of tp_plan for the same modules.
   * [build] since 0.2 */
  void (*ep_plan)(keel_spec*, const char* pattern, const char* style);
} keel_spec_api;

/* ==== D. build: declare the model ("keel.build/1") ============================================ */

/* RMSNorm: y = x / sqrt(mean(x^2) + eps) * (w + weight_offset), in fp32, cast to the type of x
 * before the product with w (Llama) or, with KEEL_NORM_CAST_LAST, after it (gpt_oss, olmo2).
 * LayerNorm subtracts the mean first; its weight and bias are cast as RMSNorm's. Applied over the
 * last `size` elements. */
#define KEEL_NORM_RMS 0u
#define KEEL_NORM_LAYER 1u
#define KEEL_NORM_BIAS 1u      /* flags: has `name`.bias */
#define KEEL_NORM_NO_WEIGHT 2u /* flags: no parameters at all */
#define KEEL_NORM_CAST_LAST 4u
typedef struct keel_norm_desc {
  uint32_t struct_size, kind;
  int64_t size;
  double eps, weight_offset;
  uint32_t flags, reserved;
} keel_norm_desc;

/* Rotary embedding (RoFormer, arXiv:2104.09864) on the first rotary_size elements of each head, the
 * rest passed. Frequencies come from config.json at `params` (rope_parameters, or one of its layer
 * types; old files: rope_theta and rope_scaling) with transformers' formulas; `theta` is the
 * family's default. Where they go by the length of the text (longrope, dynamic), a token's is that
 * of its prompt, or what was generated up to it if it came later: its own, whatever shares its
 * step. Positions are [N], or [axes, N] with `sections` (frequencies per axis: Qwen2-VL's M-RoPE; a
 * vision tower's height and width, with `inv_freq`). The angle of pair i at position p is
 * p * frequency i. */
#define KEEL_ROPE_HALVES 0u      /* pairs (i, i + size/2): neox, most families */
#define KEEL_ROPE_INTERLEAVED 1u /* pairs (2i, 2i + 1): gptj, cohere, glm */
#define KEEL_ROPE_SECTIONS_INTERLEAVED 1u /* flags: axes take turns (Qwen3-VL), not chunks */
#define KEEL_ROPE_FP32 2u  /* flags: rotate in fp32, cast back (cohere, olmo, ernie) */
typedef struct keel_rope_desc {
  uint32_t struct_size, layout;
  int64_t head_dim, rotary_size; /* rotary_size 0: head_dim * the partial rotary factor */
  double theta;
  /* Key in the config; NULL: "rope_parameters" with the old keys as fallback; "": none, theta
   * only. */
  const char* params;
  uint32_t flags, num_sections;
  int64_t sections[4];
  /* The family's default where `params` has none (partial_rotary_factor; old files: rotary_pct).
   * 0: 1. since 0.2 */
  double partial_rotary_factor;
  /* The frequencies themselves, rotary_size / 2 of them, which is given then; params and theta are
   * not read. For what no formula of transformers' gives. NULL: by params. since 0.2 */
  const double* inv_freq;
  uint32_t num_inv_freq, reserved;
  double attention_factor; /* with inv_freq: cos and sin are multiplied by it; 0: 1. since 0.2 */
} keel_rope_desc;

#define KEEL_ATTENTION_CAUSAL 0u
#define KEEL_ATTENTION_ENCODER 1u /* bidirectional, no KV cache; argument "segments" bounds it */
#define KEEL_ATTENTION_CROSS 2u   /* keys and values come once from an encoder; reserved */
/* Latent attention (DeepSeek-V2, arXiv:2405.04434): causal, with one latent a token in the cache
 * instead of keys and values. q [N, heads, qk_dim], each head's nope part before its rotated
 * rope_dim elements; k [N, 1, kv_lora_rank], the normed latent; v [N, 1, rope_dim], the rotated key
 * that all heads share; -> [N, heads, v_dim]. kv_up gives [heads, nope + v_dim] of a latent: a
 * head's key is its nope followed by v, its value the rest. The host expands or absorbs that
 * product. kv_heads is 1; kv_lora_rank, rope_dim < qk_dim and kv_up are needed; no SHARE_KV. An
 * implementation sees CAUSAL attention over one KV head with keys of kv_lora_rank + rope_dim, whose
 * first kv_lora_rank elements are the values: v_cache is a view into k_cache. */
#define KEEL_ATTENTION_MLA 3u
#define KEEL_ATTENTION_SHARE_KV 1u /* flags */
/* softmax(q k^T * scale [softcapped] + mask) v over the sequence's cached keys. This struct is the
 * layer's KV spec. */
typedef struct keel_attention_desc {
  uint32_t struct_size, kind;
  int32_t layer;          /* KV cache slot, 0 .. num_layers - 1; ignored by ENCODER */
  /* With KEEL_ATTENTION_SHARE_KV: the earlier layer whose keys and values it reads. */
  int32_t kv_share_layer;
  uint32_t flags, reserved;
  int64_t heads, kv_heads, qk_dim, v_dim;
  /* 0: all keys. Else the query's own and those less than `window` positions before it, so `window`
   * keys; of ENCODER as many behind it besides, 2 * window - 1 in all. */
  int64_t window;
  int64_t chunk;          /* Llama 4's chunked attention; 0: none */
  int64_t kv_lora_rank, rope_dim;
  double scale;           /* 0: qk_dim^-0.5 */
  double softcap;         /* 0: none */
  /* Insists on an implementation; NULL: the config's, the flag's or the host's choice. */
  const char* impl;
  /* Of MLA: the linear kv_lora_rank -> heads * (qk_dim - rope_dim + v_dim), without a bias. It is
   * run by the attention alone. 0: none. since 0.2 */
  keel_object kv_up;
  uint32_t reserved2;
} keel_attention_desc;

#define KEEL_ACT_SILU 1u
#define KEEL_ACT_GELU 2u       /* erf */
#define KEEL_ACT_GELU_TANH 3u  /* also gelu_new, gelu_pytorch_tanh */
#define KEEL_ACT_RELU 4u
#define KEEL_ACT_RELU2 5u      /* relu(x)^2 */
#define KEEL_ACT_QUICK_GELU 6u /* x * sigmoid(1.702 x) */

#define KEEL_MOE_SOFTMAX 0u       /* softmax, then top-k */
#define KEEL_MOE_SIGMOID 1u /* sigmoid (+ bias for the choice only), then top-k (DeepSeek-V3) */
#define KEEL_MOE_TOPK_SOFTMAX 2u  /* top-k, then softmax over the k */
#define KEEL_MOE_NORM_TOPK 1u     /* flags: divide the k weights by their sum */
#define KEEL_MOE_BIAS 2u          /* flags: experts have biases */
/* sum over the chosen experts of weight * down(act(gate(x)) * up(x)), or without a gate of
 * weight * down(act(up(x))). Names are relative to the declared name, {e} is the expert:
 * "experts.{e}.gate_proj". Scores and weights are fp32. With groups (DeepSeek) only experts of the
 * top_groups best groups are chosen; a group's score is the sum of its two best with SIGMOID, else
 * its best. Of equal scores any is chosen, the same for equal rows. NORM_TOPK adds 1e-20 to the sum
 * with SIGMOID. */
typedef struct keel_moe_desc {
  uint32_t struct_size, act;
  int64_t experts, top_k, hidden_size, intermediate_size;
  int64_t groups, top_groups; /* 0: no groups */
  uint32_t scoring, flags;
  double routed_scale;        /* the weights are multiplied by it; 0: 1 */
  const char *gate, *up, *down; /* gate NULL: none */
  const char* score_bias; /* NULL: none */
  /* With a gate: before the activation gate becomes min(gate, limit) and up is held to
   * [-limit, limit]; 0: no limit (gpt_oss: 7). since 0.2 */
  double limit;
  double up_offset; /* With a gate: then added to up (gpt_oss: 1). since 0.2 */
} keel_moe_desc;

/* A convolution over [N, in] (1-D) or patches; weight [out, in / groups, kernel...]. Of an axis of
 * size n it makes floor((n + 2 padding - kernel) / stride) + 1. */
#define KEEL_CONV_BIAS 1u
typedef struct keel_conv_desc {
  uint32_t struct_size, ndim; /* 1, 2 or 3 */
  int64_t in, out, groups; /* groups 0: 1 */
  int64_t kernel[3], stride[3], padding[3]; /* of ndim axes, the rest 0; stride 0: 1 */
  uint32_t flags, reserved;
} keel_conv_desc;

/* What a sequence carries from token to token besides keys and values. The host makes, forks,
 * snapshots and frees it by bytes; it starts as zeros. */
/* The last kernel - 1 inputs of a causal convolution: [channels, kernel - 1]. */
#define KEEL_STATE_CONV 0u
#define KEEL_STATE_SSM 1u   /* Mamba-2: [heads, head_dim, state]; Mamba: [channels, state] */
#define KEEL_STATE_DELTA 2u /* delta rules, linear attention: [heads, k_dim, v_dim] */
#define KEEL_STATE_OTHER 3u /* of a scan: [channels] */
typedef struct keel_state_desc {
  uint32_t struct_size, kind;
  int32_t layer;
  uint32_t ndim;
  uint32_t dtype, reserved;
  int64_t dims[KEEL_MAX_DIMS];
} keel_state_desc;

/* A kernel class of the plugin's own (section F). With states it works along the tokens of a
 * sequence, else on each row by itself. */
typedef struct keel_kernel_desc {
  uint32_t struct_size, num_states;
  const char* kernel;        /* the class's name */
  keel_str attrs;            /* a JSON object, or empty: {} */
  const keel_object* states; /* that it reads and writes; a state is one kernel's or one recur's */
} keel_kernel_desc;

#define KEEL_LINEAR_BIAS 1u
#define KEEL_EMBEDDING_DEFAULT 0u

typedef struct keel_build {
  const struct keel_build_api* api; /* the only public word of a host object */
} keel_build;

/* All since 0.1. `name` is the checkpoint name without ".weight" ("model.layers.0.mlp.up_proj"),
 * after the spec's renames. Returns a handle, or 0: name taken, size < 1, unknown enumeration or
 * flag, a field or text that is NULL, or an earlier failure. Descs and strings are copied. */
typedef struct keel_build_api {
  uint32_t struct_size, reserved;
  /* y = x W^T (+ b); W [out, in]. Quantizable, shardable, adaptable; KEEL_LINEAR_*. [build] */
  keel_object (*linear)(keel_build*, keel_str name, int64_t in, int64_t out, uint32_t flags);
  /* Table [rows, size]. [build] */
  keel_object (*embedding)(keel_build*, keel_str name, int64_t rows, int64_t size, uint32_t flags);
  keel_object (*norm)(keel_build*, keel_str name, const keel_norm_desc*);           /* [build] */
  keel_object (*rope)(keel_build*, const keel_rope_desc*);                          /* [build] */
  keel_object (*attention)(keel_build*, keel_str name, const keel_attention_desc*); /* [build] */
  keel_object (*moe)(keel_build*, keel_str name, const keel_moe_desc*);             /* [build] */
  keel_object (*conv)(keel_build*, keel_str name, const keel_conv_desc*);           /* [build] */
  keel_object (*state)(keel_build*, keel_str name, const keel_state_desc*);         /* [build] */
  /* A raw tensor, `name` in full (no ".weight" is added). Not quantized; for what the others can't
   * say. [build] */
  keel_object (*param)(keel_build*, keel_str name, uint32_t dtype, uint32_t ndim,
                       const int64_t* dims);
  /* A kernel of the plugin's own, for the op call. [build] */
  keel_object (*kernel)(keel_build*, keel_str name, const keel_kernel_desc*);
  /* `b` uses the weight of `a`. [build] */
  void (*tie)(keel_build*, keel_object a, keel_object b);
  /* The first error, or OK. [build] */
  keel_status (*status)(const keel_build*);
} keel_build_api;

/* ==== E. forward: the op table ================================================================ */

#define KEEL_UNARY_NEG 1u
#define KEEL_UNARY_EXP 2u
#define KEEL_UNARY_LOG 3u
#define KEEL_UNARY_SQRT 4u
#define KEEL_UNARY_RSQRT 5u
#define KEEL_UNARY_TANH 6u
#define KEEL_UNARY_SIGMOID 7u
#define KEEL_UNARY_SOFTPLUS 8u
#define KEEL_UNARY_SIN 9u
#define KEEL_UNARY_COS 10u
#define KEEL_UNARY_ABS 11u
#define KEEL_UNARY_FLOOR 12u
#define KEEL_UNARY_EXPM1 13u
#define KEEL_UNARY_ERF 14u
#define KEEL_UNARY_NOT 15u /* of BOOL */
#define KEEL_UNARY_ACT 256u /* KEEL_UNARY_ACT + KEEL_ACT_x */

#define KEEL_COMPARE_EQ 0u
#define KEEL_COMPARE_NE 1u
#define KEEL_COMPARE_LT 2u
#define KEEL_COMPARE_LE 3u
#define KEEL_COMPARE_GT 4u
#define KEEL_COMPARE_GE 5u

#define KEEL_LOGICAL_AND 0u
#define KEEL_LOGICAL_OR 1u
#define KEEL_LOGICAL_XOR 2u

#define KEEL_BINARY_MIN 0u
#define KEEL_BINARY_MAX 1u

#define KEEL_REDUCE_SUM 0u
#define KEEL_REDUCE_MEAN 1u
#define KEEL_REDUCE_MAX 2u

#define KEEL_MARK_LAYER_BEGIN 0u
#define KEEL_MARK_LAYER_END 1u

/* What a recurrence computes, token by token, in fp32; after the last token of a step the state is
 * as if each token had been a step of its own. Arguments in brackets may be left out. Operands,
 * arguments and states are floating point of any type; the result has the type of x. */
/* x [N, C], weight [C, K], (bias [C]); state CONV [C, K - 1] -> [N, C]:
 * y[t] = sum over k of weight[k] x[t - K + 1 + k] + bias. */
#define KEEL_RECUR_CAUSAL_CONV1D 1u
/* Mamba-2 (arXiv:2405.21060): x [N, heads, P], dt [N, heads], A [heads] (negative),
 * B, C [N, groups, S], (D [heads]), (dt_bias [heads]), (numbers dt_min, dt_max);
 * state SSM [heads, P, S] -> [N, heads, P]. Head h uses group h / (heads / groups).
 * d = clamp(softplus(dt + dt_bias), dt_min, dt_max), state = exp(d A) state + d x B,
 * y = state C + D x. */
#define KEEL_RECUR_SSD 2u
/* Mamba (arXiv:2312.00752): x, dt [N, C], A [C, S] (negative), B, C [N, S], (D [C]),
 * (dt_bias [C]); state SSM [C, S] -> [N, C]. d = softplus(dt + dt_bias),
 * state = exp(d A) state + d x B, y = state C + D x. */
#define KEEL_RECUR_SELECTIVE_SCAN 3u
/* The gated delta rule (arXiv:2412.06464; with gates by channel KDA, arXiv:2510.26692):
 * x = q [N, groups, K], k [N, groups, K], v [N, heads, V], g [N, heads] or [N, heads, K]
 * (logarithms, <= 0), beta [N, heads]; state DELTA [heads, K, V] -> [N, heads, V].
 * Head h uses q and k of group h / (heads / groups). Norms and scales of q and k are the model's.
 * state = exp(g) state, state = state + k (beta (v - state^T k))^T, y = state^T q. */
#define KEEL_RECUR_GATED_DELTA 4u
/* Linear attention (GLA, RetNet, lightning): x = q, k, v and (g) as in GATED_DELTA, no beta; state
 * DELTA. state = exp(g) state + k v^T, y = state^T q. since 0.2 */
#define KEEL_RECUR_LINEAR_ATTENTION 5u
/* A linear recurrence of each channel by itself (RG-LRU, minGRU): x, a [N, C]; state OTHER [C]
 * -> [N, C]. state = a state + x, y = state. since 0.2 */
#define KEEL_RECUR_SCAN 6u

/* What the host may assume of an argument's tensor, for shards and checks; of the names below it
 * knows that by itself. At most one of the first three. */
#define KEEL_ARG_PER_HEAD 1u    /* dimension 0 is q's heads: it is split as they are */
#define KEEL_ARG_PER_KV_HEAD 2u /* dimension 0 is kv_heads */
#define KEEL_ARG_PER_TOKEN 4u   /* dimension 0 is N */
/* An implementation that does not know the name may leave the argument out. Without it such an
 * implementation, the host's own included, is refused at load. */
#define KEEL_ARG_OPTIONAL 8u

/* A named argument: a tensor, or with tensor == 0 a number. Frozen: 24 bytes. The host handles the
 * names it knows (below) and hands the others to the implementation unread; an implementation that
 * lacks one it needs refuses at load.
 *   attention  alibi_slopes [heads]: slope * (key's position - query's) is added to the scores;
 *              sinks [heads]; segments [S + 1] i32 (ENCODER); position_bias [heads, N, N] (ENCODER;
 *              reserved). By how far a key is from the query, in columns of the last dimension,
 *              one for each distance -D .. D of the key's position less the query's, farther ones
 *              as the nearest: distance_bias [heads, 2 D + 1] (T5, MPNet), query_distance_bias and
 *              key_distance_bias (ENCODER) [N, heads, 2 D + 1], of the query's row and of the key's
 *              (DeBERTa), are added to the scores; not of MLA. since 0.2
 *              groups [N] i32 (CAUSAL, not of MLA), which is forward's input of that name: a token
 *              whose number is not negative sees, beside what it sees anyway, all tokens of its
 *              sequence with the same number, later ones and those outside the window or chunk
 *              (PaliGemma; Gemma 3, whose images are no longer than its window). They follow each
 *              other, and the host never cuts them between two steps. since 0.2
 *   recur      see KEEL_RECUR_* */
typedef struct keel_arg {
  const char* name;
  double number;
  keel_tensor tensor;
  uint32_t flags; /* KEEL_ARG_*; of recur none */
} keel_arg;

typedef struct keel_run {
  const struct keel_ops* ops; /* the only public word of a host object */
} keel_run;

/* Rows do not mix. The N tokens of a step belong to several requests. A row of what forward, logits
 * and pool give depends on its own row of the inputs alone, except through attention, recur and the
 * plugin's kernels over states, which are kept within a sequence; an encode may mix the rows of an
 * item. The host proves it, taking a kernel of the plugin's at its word (KEEL_KERNEL_ROWWISE),
 * of every recorded graph and graph file, by following the dimension N from op to op, and refuses
 * at load, naming the op, what could break it: a softmax, sum, product, convolution or view across
 * tokens, a row that is taken or put by its number, an input of forward without the dimension N.
 * docs/ops.md says it for each op. An attention of the kind ENCODER in forward sees the tokens that
 * its sequence has in the step, and takes no `segments`.
 *
 * Indices are the model's numbers, and no number of a request fails a step that others are in: in
 * embed, moe_routed, gather_rows, put_rows, take and scatter one below 0 counts as 0, and one past
 * the end as the last.
 *
 * All since 0.1 where nothing else is said. Shapes: one packed row of N tokens, no batch dimension;
 * hidden [N, H], per head [N, heads, D]. Types: activations are KEEL_DTYPE_MODEL; binary ops need
 * equal types or a number; broadcasting is NumPy's; softmax, reduce and cumsum give the type that
 * they get. */
typedef struct keel_ops {
  uint32_t struct_size, reserved;

  /* declared objects */

  keel_tensor (*linear)(keel_run*, keel_object, keel_tensor x);  /* [.., in] -> [.., out] [run] */
  keel_tensor (*embed)(keel_run*, keel_object, keel_tensor ids); /* [N] -> [N, size] [run] */
  keel_tensor (*norm)(keel_run*, keel_object, keel_tensor x);    /* same shape [run] */
  /* x [N, heads, D] -> the same. [run] */
  keel_tensor (*rope)(keel_run*, keel_object, keel_tensor x, keel_tensor positions);
  /* q [N, heads, qk_dim], k [N, kv_heads, qk_dim], v [N, kv_heads, v_dim] -> [N, heads, v_dim], or
   * as KEEL_ATTENTION_MLA says. The host has written k and v to the cache before the implementation
   * runs, or let it write its own cache (section F). k and v are 0 with KEEL_ATTENTION_SHARE_KV.
   * [run] */
  keel_tensor (*attention)(keel_run*, keel_object, keel_tensor q, keel_tensor k, keel_tensor v,
                           const keel_arg* args, uint32_t num_args);
  /* The host chooses experts and weights by the desc's scoring. [run] */
  keel_tensor (*moe)(keel_run*, keel_object, keel_tensor x, keel_tensor router_logits);
  /* expert_ids, weights [N, k]: the model has chosen. [run] */
  keel_tensor (*moe_routed)(keel_run*, keel_object, keel_tensor x, keel_tensor expert_ids,
                            keel_tensor weights);
  keel_tensor (*conv)(keel_run*, keel_object, keel_tensor x); /* [N, in] or [B, in, ...] [run] */
  /* kind: KEEL_RECUR_*, which says shapes and arguments. [run] */
  keel_tensor (*recur)(keel_run*, keel_object state, uint32_t kind, keel_tensor x,
                       const keel_arg* args, uint32_t num_args);
  keel_tensor (*param)(keel_run*, keel_object); /* [run] */
  /* Runs a kernel of the plugin's own. In forward, logits and pool one of a class with
   * KEEL_KERNEL_ROWWISE or (in forward) declared with states; any other could mix rows. [run] */
  void (*call)(keel_run*, keel_object kernel, const keel_tensor* in, uint32_t num_in,
               keel_tensor* out, uint32_t num_out);

  /* arithmetic */

  keel_tensor (*add)(keel_run*, keel_tensor, keel_tensor); /* [run] */
  keel_tensor (*sub)(keel_run*, keel_tensor, keel_tensor); /* [run] */
  keel_tensor (*mul)(keel_run*, keel_tensor, keel_tensor); /* [run] */
  keel_tensor (*div)(keel_run*, keel_tensor, keel_tensor); /* [run] */
  /* x * mul + add. Of integers: with whole numbers. [run] */
  keel_tensor (*affine)(keel_run*, keel_tensor x, double mul, double add);
  /* min(max(x, low), high); an infinite bound is none. Of integers: whole numbers. A NaN stays.
   * [run] */
  keel_tensor (*clamp)(keel_run*, keel_tensor x, double low, double high);
  keel_tensor (*unary)(keel_run*, keel_tensor x, uint32_t kind); /* KEEL_UNARY_* [run] */
  /* act(gate) * up. [run] */
  keel_tensor (*act_mul)(keel_run*, keel_tensor gate, keel_tensor up, uint32_t act);
  /* [.., M, K] [.., K, N] -> [.., M, N]. [run] */
  keel_tensor (*matmul)(keel_run*, keel_tensor a, keel_tensor b);
  keel_tensor (*softmax)(keel_run*, keel_tensor x, int32_t dim); /* in fp32, same type out [run] */
  /* kind: KEEL_REDUCE_*. [run] */
  keel_tensor (*reduce)(keel_run*, keel_tensor x, int32_t dim, uint32_t kind, int32_t keep_dim);
  keel_tensor (*cumsum)(keel_run*, keel_tensor x, int32_t dim); /* [run] */
  /* Of the last dimension, largest first; of equal values any order, the same for equal rows.
   * [run] */
  void (*topk)(keel_run*, keel_tensor x, int64_t k, keel_tensor* values, keel_tensor* indices);
  /* To an integer: towards zero (NaN and what does not fit: any number). To BOOL: x != 0, so NaN is
   * true. From BOOL: 0 or 1. [run] */
  keel_tensor (*cast)(keel_run*, keel_tensor x, uint32_t dtype);

  /* shape */

  /* dims: 0 keeps a size, -1 (one of them) is inferred. [run] */
  keel_tensor (*view)(keel_run*, keel_tensor, uint32_t ndim, const int64_t* dims);
  keel_tensor (*permute)(keel_run*, keel_tensor, uint32_t ndim, const int32_t* order); /* [run] */
  keel_tensor (*narrow)(keel_run*, keel_tensor, int32_t dim, int64_t start,
                        int64_t length);                                         /* [run] */
  keel_tensor (*cat)(keel_run*, const keel_tensor* xs, uint32_t n, int32_t dim); /* [run] */
  /* Each element `times` times in turn. [run] */
  keel_tensor (*repeat)(keel_run*, keel_tensor, int32_t dim, int64_t times);
  /* condition ? a : b. [run] */
  keel_tensor (*where)(keel_run*, keel_tensor condition, keel_tensor a, keel_tensor b);
  keel_tensor (*gather_rows)(keel_run*, keel_tensor x, keel_tensor indices); /* x[indices] [run] */
  /* A copy of x with x[indices] = rows. [run] */
  keel_tensor (*put_rows)(keel_run*, keel_tensor x, keel_tensor indices, keel_tensor rows);
  /* Data of the model's own, row-major; any type but KEEL_DTYPE_MODEL (cast it). [run] */
  keel_tensor (*constant)(keel_run*, uint32_t dtype, uint32_t ndim, const int64_t* dims,
                          const void* data);

  /* about the run */

  /* Size of a dimension. A symbolic one (tokens, patches) has no number: asking for it fails the
   * recording. [run] */
  int64_t (*dim)(keel_run*, keel_tensor, int32_t dim);
  uint32_t (*rank)(keel_run*, keel_tensor); /* [run] */
  /* A number out of an integer tensor of one element. Fails while recording: the graph can't depend
   * on it. [run] */
  int64_t (*item)(keel_run*, keel_tensor);
  /* Names what follows: layer borders for pipeline cuts, taps and profiles. Layers are marked in
   * order, each once. kind: KEEL_MARK_*. [run] */
  void (*mark)(keel_run*, uint32_t kind, int32_t index);
  keel_status (*status)(const keel_run*); /* the first error, or OK [run] */
  /* More ops by id, or NULL. 0.1 has none; names reserved: "keel.torch/1". [run] */
  const void* (*extension)(keel_run*, const char* id);

  /* more arithmetic and shape, appended in opset 2 of graph files. Operands broadcast and have one
   * type, as in add. */
  /* -> BOOL. KEEL_COMPARE_*; with a NaN all are false but NE. [run] */
  keel_tensor (*compare)(keel_run*, keel_tensor a, keel_tensor b, uint32_t kind);
  /* Of BOOL. KEEL_LOGICAL_*; not is unary's KEEL_UNARY_NOT. [run] */
  keel_tensor (*logical)(keel_run*, keel_tensor a, keel_tensor b, uint32_t kind);
  /* Of numbers. KEEL_BINARY_*; a NaN goes on. [run] */
  keel_tensor (*binary)(keel_run*, keel_tensor a, keel_tensor b, uint32_t kind);
  /* y[.., i, ..] = x[.., indices[.., i, ..], ..] along dim; indices are integers with as many
   * dimensions as x, those beside dim broadcast. [run] */
  keel_tensor (*take)(keel_run*, keel_tensor x, int32_t dim, keel_tensor indices);
  /* A copy of x with y[.., indices[.., i, ..], ..] = values[.., i, ..] along dim. indices and
   * values have one shape, x's but for dim; of an index that comes twice the last value stays.
   * [run] */
  keel_tensor (*scatter)(keel_run*, keel_tensor x, int32_t dim, keel_tensor indices,
                         keel_tensor values);
  /* x broadcast to the shape of `like`, whose numbers don't matter. [run] */
  keel_tensor (*expand)(keel_run*, keel_tensor x, keel_tensor like);
} keel_ops;

/* What forward gets. Extras are the spec's other inputs of "forward", in that order. */
typedef struct keel_forward_inputs {
  uint32_t struct_size, num_extras; /* extras live as long as the call */
  /* Embedded ids, scale included, media features in place: [N, H], or as narrow as the rows of the
   * spec's embedding are (ALBERT). */
  keel_tensor embeds;
  /* [N] i64, or as the spec's input "positions" says: [axes, N] for a rope with sections. */
  keel_tensor positions;
  const keel_tensor* extras;
} keel_forward_inputs;

#define KEEL_MODEL_EAGER_ONLY 1u /* forward can't be recorded; reserved, refused */
#define KEEL_MODEL_POOLING 2u    /* answers with vectors */

/* An item of the list "keel.models/1". */
typedef struct keel_model_class {
  uint32_t struct_size, flags; /* KEEL_MODEL_* */
  const char* name;            /* "LlamaForCausalLM", as in config.json's architectures */
  /* "llama": matched when no architecture is; NULL: never. */
  const char* model_type;
  const char* const* architectures; /* NULL-terminated; all names it serves */
  /* Reads the config, states the spec. Pure. [load] since 0.1 */
  keel_status (*config)(void* plugin, keel_config*, keel_spec*);
  /* Declares the model. `*model` is NULL before; where it is set the host calls destroy, even if
   * create fails. [build] since 0.1 */
  keel_status (*create)(void* plugin, keel_config*, keel_build*, void** model);
  /* hidden [N, H] before lm_head. [run] since 0.1 */
  keel_status (*forward)(const void* model, keel_run*, const keel_forward_inputs*,
                         keel_tensor* hidden);
  /* hidden [R, H], rows that need logits -> [R, vocab]. NULL: lm_head, logit_scale, logit_softcap.
   * [run] since 0.1 */
  keel_status (*logits)(const void* model, keel_run*, keel_tensor hidden, keel_tensor* logits);
  /* The tower of a modality, all items of a step packed; inputs as declared in the spec -> features
   * [rows, H], which replace the rows of embeds whose id is the processor's image_token_id, in a
   * model with features/1 .. also rows of these. NULL: none. [run] since 0.1 */
  keel_status (*encode)(const void* model, keel_run*, const char* modality,
                        const keel_tensor* inputs, uint32_t num_inputs, keel_tensor* features);
  /* A head that answers with vectors: hidden [R, H], rows that are asked for -> [R, size]. NULL:
   * none. [run] since 0.1 */
  keel_status (*pool)(const void* model, keel_run*, keel_tensor hidden, keel_tensor* vectors);
  void (*destroy)(void* model); /* never with NULL [load] since 0.1 */
} keel_model_class;

/* ==== F. data plane: the plugin's own kernels and attention =================================== */

/* A tensor in memory: the layout of DLPack 1.x under names of Keel's own, so that dlpack.h may come
 * before or after this file. Data is aligned to its elements only (weights are mapped from files).
 * Where nothing else is said a tensor is contiguous, row-major. */
typedef struct keel_dl_device {
  int32_t device_type; /* 1 CPU, 2 CUDA */
  int32_t device_id;
} keel_dl_device;
typedef struct keel_dl_dtype {
  uint8_t code, bits;
  uint16_t lanes;
} keel_dl_dtype;
typedef struct keel_dl_tensor {
  void* data;
  keel_dl_device device;
  int32_t ndim;
  keel_dl_dtype dtype;
  int64_t* shape;
  int64_t* strides; /* in elements, never NULL here */
  uint64_t byte_offset;
} keel_dl_tensor;
/* Pointers of one kind as the other, for code that works on DLPack's DLTensor. */
#define KEEL_TO_DLPACK(tensor) ((DLTensor*)(uintptr_t)(tensor))
#define KEEL_FROM_DLPACK(tensor) ((keel_dl_tensor*)(uintptr_t)(tensor))

typedef struct keel_meta { /* dims < 0: symbolic; pass it on */
  uint32_t dtype, ndim;
  int64_t dims[KEEL_MAX_DIMS];
} keel_meta;

/* The sequences of a step, for kernels that were declared with states. Host memory. */
typedef struct keel_sequences {
  uint32_t struct_size, num_sequences;
  const int32_t* cu_q; /* [S + 1]: sequence s has the rows cu_q[s] .. cu_q[s + 1] of each operand */
  const int32_t* slots; /* [S]: where each sequence's states lie */
  uint32_t num_states, reserved;
  /* In order of the declaration, [slots, dims...]; sequence s's is row slots[s], to be read and
   * written. The other rows are other requests'. */
  const keel_dl_tensor* const* states;
} keel_sequences;

/* Where a kernel runs. It enqueues on `stream` (NULL on CPU), must not allocate device memory or
 * synchronise. */
typedef struct keel_kernel_context {
  uint32_t struct_size;
  int32_t device_type, device_id;
  uint32_t capturing; /* 1 while a CUDA graph is captured */
  void* stream;
  void* workspace; /* 64-byte aligned, as many bytes as was asked for */
  uint64_t workspace_bytes;
  void* pool;
  /* Runs fn(arg, begin, end) over [0, n) on the host's threads in pieces of at least `grain`;
   * returns when done. fn throws nothing. [run] since 0.2 */
  void (*parallel_for)(void* pool, int64_t n, int64_t grain,
                       void (*fn)(void* arg, int64_t begin, int64_t end), void* arg);
  const keel_sequences* sequences; /* of a kernel with states, else NULL */
} keel_kernel_context;

/* What a class promises; a flag is a demand on the plugin, and the tests of a plugin hold it
 * against what it does. */
#define KEEL_KERNEL_GRAPH_SAFE 1u /* may run while a CUDA graph is captured */
/* Kernels: row i of the outputs depends on row i of the operands alone, and on operands without the
 * dimension of the rows. The host's proof that requests don't reach each other believes it. */
#define KEEL_KERNEL_ROWWISE 2u
#define KEEL_KERNEL_DETERMINISTIC 4u /* the same operands give the same bits */
/* What is computed of a row (attention: of a query) has the same bits whatever other rows there are
 * in the step. --deterministic takes no other kernel. */
#define KEEL_KERNEL_INVARIANT 8u

/* A kernel that a model declared (keel_build_api.kernel), as it will be called. */
typedef struct keel_kernel_use {
  uint32_t struct_size;
  uint32_t dtype; /* what KEEL_DTYPE_MODEL stands for; itself in infer while recording */
  int32_t device_type, device_id;
  keel_config* attrs; /* the declaration's JSON, under the getters of "keel.config/1" */
} keel_kernel_use;

/* An item of the list "keel.kernels/1". A model may call those of its own plugin. An instance is
 * made for each declaration and rank and never called twice at once; several are, on several
 * threads. Operands and outputs are contiguous; outputs are allocated by the host, in the shapes
 * that infer gave. What a kernel writes is data like any other: no NaN and no index out of range in
 * it ends a process. */
typedef struct keel_kernel_class {
  uint32_t struct_size, flags;  /* KEEL_KERNEL_* */
  const char* name;             /* reverse DNS */
  const int32_t* device_types;  /* 0-terminated */
  /* Types and shapes of the outputs. A negative dimension of an operand is a symbol: an output may
   * have it, no other. With ROWWISE, and with states, the outputs' first dimension is the rows'.
   * An error in attrs fails the call. Pure. [build] since 0.1 */
  keel_status (*infer)(void* plugin, const keel_kernel_use*, const keel_meta* in, uint32_t num_in,
                       keel_meta* out, uint32_t num_out);
  /* `use` lives until create returns. [load] since 0.2 */
  keel_status (*create)(void* plugin, const keel_kernel_use* use, void** instance);
  /* Bytes of workspace for a call; elements of the tensors must not be read. NULL: none.
   * [run] since 0.2 */
  uint64_t (*workspace)(void* instance, const keel_dl_tensor* const* in, uint32_t num_in,
                        const keel_dl_tensor* const* out, uint32_t num_out);
  /* [run] since 0.1 */
  keel_status (*run)(void* instance, const keel_kernel_context*, const keel_dl_tensor* const* in,
                     uint32_t num_in, keel_dl_tensor* const* out, uint32_t num_out);
  void (*release)(void* instance); /* of what create gave, NULL included [load] since 0.2 */
} keel_kernel_class;

/* An attention that a model declared, as it will be called. Lives until prepare returns. */
typedef struct keel_attention_use {
  uint32_t struct_size;
  uint32_t dtype; /* of q, k, v, out and of rows */
  const keel_attention_desc* desc; /* the scale resolved, heads of this rank */
  int32_t device_type, device_id;
  int64_t block_size; /* tokens a cache block holds */
  /* The arguments that the model gives and the class takes. */
  const char* const* arg_names;
  uint32_t num_args, reserved;
} keel_attention_use;

/* What a layer keeps of each token, in cache blocks. */
#define KEEL_KV_ROWS 0u /* the host's: k and v, [block, kv_head, slot, D] of the model's type */
#define KEEL_KV_OWN 1u  /* the class's own tensors instead */
#define KEEL_KV_BOTH 2u /* rows, and own tensors beside them */
#define KEEL_MAX_CACHE_TENSORS 8
/* Filled by prepare; 0 is rows. What a class keeps in a block must follow from the tokens of the
 * block and those before alone: the host shares blocks among sequences with equal beginnings,
 * copies and frees them by bytes. A slot may be written again (a guess that was not taken). */
typedef struct keel_attention_cache {
  uint32_t struct_size, layout; /* KEEL_KV_* */
  uint32_t num_tensors, reserved;
  keel_meta tensors[KEEL_MAX_CACHE_TENSORS]; /* of ONE block, e.g. [kv_heads, block_size, D] */
} keel_attention_cache;

/* One step's attention in one layer, S sequences, N query tokens packed in order of sequence. */
typedef struct keel_attention_call {
  uint32_t struct_size, num_args;
  const keel_attention_desc* desc; /* the scale resolved, heads of this rank */
  /* [N, heads, D], the last dimension contiguous. k, v: this step's, not rounded; NULL with
   * KEEL_ATTENTION_SHARE_KV. */
  const keel_dl_tensor *q, *k, *v;
  const keel_dl_tensor *k_cache, *v_cache; /* rows, this step's included; NULL with KEEL_KV_OWN */
  /* Own tensors, [blocks, ...] in order of the keel_attention_cache; with KEEL_ATTENTION_SHARE_KV
   * those of the layer whose keys it reads. */
  const keel_dl_tensor* const* caches;
  uint32_t num_caches, reserved;
  /* [S, max_blocks] i32. Only entries of blocks with keys that the layer may see are blocks of the
   * sequence: those past its length, and those wholly before its window or chunk, are any block,
   * perhaps another sequence's, and must not be read. */
  const keel_dl_tensor* block_table;
  const keel_dl_tensor* seq_lens;  /* [S] i32: keys of each sequence, this step's included */
  const keel_dl_tensor* cu_q; /* [S + 1] i32: sequence s has queries cu_q[s] .. cu_q[s + 1] */
  const keel_dl_tensor* slots; /* [N] i64: block * block_size + offset, where each token is kept */
  const keel_dl_tensor* positions; /* [N] i64: of each token in its sequence */
  keel_dl_tensor* out;             /* [N, heads, v_dim]; NULL in write */
  int64_t num_sequences, num_tokens;
  int64_t max_q, max_kv; /* bounds while capturing */
  const int32_t *host_cu_q, *host_seq_lens; /* copies in host memory */
  const void* plan; /* what plan filled, host memory, 64-byte aligned; NULL: none */
  const char* const* arg_names; /* those of the use */
  const keel_dl_tensor* const* arg_tensors; /* NULL: a number */
  const double* arg_numbers;
} keel_attention_call;

/* An item of the list "keel.attention/1": a value of _attn_implementation. An instance is made for
 * each layer and rank and never called twice at once; those of several ranks are, on several
 * threads. */
typedef struct keel_attention_class {
  uint32_t struct_size, flags; /* KEEL_KERNEL_* but ROWWISE */
  const char* name;
  /* Named arguments that it takes, NULL-terminated; NULL: none. A model that gives another is
   * refused at load, unless that one is optional: then it is left out. */
  const char* const* args;
  /* OK, what it keeps and an instance; or UNIMPLEMENTED with the reason (set_error). Also called to
   * ask, and released at once. [load] since 0.2 */
  keel_status (*prepare)(void* plugin, const keel_attention_use*, keel_attention_cache*,
                         void** instance);
  /* Puts this step's k and v into the own tensors, at `slots`. NULL only without own tensors. Not
   * called with KEEL_ATTENTION_SHARE_KV. [run] since 0.2 */
  keel_status (*write)(void* instance, const keel_kernel_context*, const keel_attention_call*);
  /* Bytes of a plan; NULL: no plan. [run] since 0.2 */
  uint64_t (*plan_bytes)(void* instance, const keel_attention_call*);
  /* Fills a plan, from the desc, lengths and borders: once a step for all layers of a rank that
   * have the same desc (but for the layer) and the same block table. NULL: no plan.
   * [run] since 0.2 */
  keel_status (*plan)(void* instance, const keel_attention_call*, void* plan);
  /* Bytes of workspace for run; elements of the tensors must not be read. NULL: none.
   * [run] since 0.1 */
  uint64_t (*workspace)(void* instance, const keel_attention_call*);
  /* [run] since 0.1 */
  keel_status (*run)(void* instance, const keel_kernel_context*, const keel_attention_call*);
  void (*release)(void* instance); /* of what prepare gave, NULL included [load] since 0.2 */
} keel_attention_class;

/* ==== G. processors: messages and media to tokens and tensors ================================= */

/* Results go here. A sink is used on the thread of the call that it was given to. */
typedef struct keel_sink {
  uint32_t struct_size, reserved;
  void* self;
  /* Copies. [any] since 0.1 */
  keel_status (*bytes)(void* self, const char* key, const void* data, size_t n);
  /* Copies. [any] since 0.1 */
  keel_status (*ints)(void* self, const char* key, const int64_t* data, size_t n);
  /* Memory for the plugin to fill until the call returns; NULL: refused. [any] since 0.1 */
  keel_dl_tensor* (*tensor)(void* self, const char* key, uint32_t dtype, uint32_t ndim,
                      const int64_t* dims);
} keel_sink;

/* Filters of resize: the numbers that preprocessor_config.json calls `resample`. */
#define KEEL_RESAMPLE_NEAREST 0u
#define KEEL_RESAMPLE_LANCZOS 1u
#define KEEL_RESAMPLE_BILINEAR 2u
#define KEEL_RESAMPLE_BICUBIC 3u

/* What the host does for a processor: named files of the checkpoint, its tokenizer, image resizing;
 * no paths. Lives until the processor's destroy; read and json are for create. All since 0.1. */
typedef struct keel_assets {
  uint32_t struct_size, reserved;
  void* self;
  /* `data` lives as long as the assets. [load] */
  keel_status (*read)(void* self, const char* name, const void** data, size_t* n);
  /* NULL: no such file, or not JSON; its error fails create. [load] */
  keel_config* (*json)(void* self, const char* name);
  int64_t (*token_id)(void* self, const char* token); /* -1: unknown [any] */
  /* Token ids of a text: key "ids". [any] */
  keel_status (*encode)(void* self, keel_str text, const keel_sink* sink);
  /* An RGB8 image [h, w, 3] to the size of `out`, RGB8 memory of the plugin's, with antialiasing.
   * [any] */
  keel_status (*resize)(void* self, const keel_dl_tensor* image, uint32_t resample,
                        keel_dl_tensor* out);
  /* |STFT|^2 of f32 samples [n], n > n_fft / 2, whose ends are reflected by n_fft / 2: `window` is
   * f32 [n_fft], `out` f32 memory of the plugin's, [1 + n / hop, n_fft / 2 + 1]; n_fft is even and
   * hop at least 1. [any] since 0.2 */
  keel_status (*power_spectrum)(void* self, const float* samples, int64_t n, const float* window,
                                int64_t n_fft, int64_t hop, keel_dl_tensor* out);
} keel_assets;

#define KEEL_MODALITY_TEXT 0u /* the numbers of mm_token_type_ids */
#define KEEL_MODALITY_IMAGE 1u
#define KEEL_MODALITY_VIDEO 2u
#define KEEL_MODALITY_AUDIO 3u

/* What the host decoded: RGB8 [h, w, 3], frames [t, h, w, 3], or f32 samples [n]; contiguous.
 * Passed by pointers, so that it may grow. */
typedef struct keel_media {
  uint32_t struct_size, modality;
  const keel_dl_tensor* data;          /* NULL in count: sizes only */
  int64_t height, width, length; /* length: frames, 1 of an image; samples of audio */
  double rate;                   /* frames or samples a second */
  keel_config* options;          /* the request's mm_processor_kwargs; NULL: none */
  /* [length] seconds: when each frame of a video is shown, its clip's first frame at 0. NULL: not
   * known. since 0.2 */
  const double* frame_times;
} keel_media;

/* transformers' MultiModalData, one item; the plugin fills it (see Growth, out). */
typedef struct keel_media_count {
  uint32_t struct_size;
  uint32_t modality; /* the host sets it before */
  /* Positions of this item whose id is in the modality's token ids (image_token_ids). */
  int64_t tokens;
  int64_t features; /* of them, those that a row of encode's features replaces (image_token_id) */
  int64_t patches;  /* rows of pixel_values that it owns; frames of features for audio */
  int64_t grid_t, grid_h, grid_w;
  double seconds_per_grid; /* time between two steps of grid_t (second_per_grid_ts); 0: no time */
  /* Into how many runs text cuts the tokens, as the times between a video's frames do; 0 is 1: they
   * follow each other. since 0.2 */
  int64_t runs;
  /* The host sets it behind count: what was counted, without data and options. since 0.2 */
  const keel_media* media;
} keel_media_count;

/* An item of the list "keel.processors/1". All but create and destroy: [any], re-entrant, and
 * nothing is kept from call to call, for several processors of one checkpoint may share them. Where
 * counts of several items are given, the n-th placeholder of a modality in the prompt is the n-th
 * item of that modality. */
typedef struct keel_processor_class {
  uint32_t struct_size, flags;
  const char* const* names; /* processor_class values, NULL-terminated */
  /* `config` is config.json; the processor's own files come from `assets`. `*processor` as `*model`
   * of a model's create. [load] since 0.1 */
  keel_status (*create)(void* plugin, keel_config* config, const keel_assets* assets,
                        void** processor);
  /* Keys image_token (bytes: what a prompt holds), image_token_id (ints, one: the id that features
   * replace), image_token_ids (ints: that one and structural ones); the same for video and audio.
   * And audio_sampling_rate (ints, one: samples a second that it takes; 16000 where it says none,
   * since 0.2). [any] since 0.1 */
  keel_status (*tokens)(const void* processor, const keel_sink*);
  /* get_num_multimodal_tokens: from sizes alone, pure. [any] since 0.1 */
  keel_status (*count)(const void* processor, const keel_media* const* sizes, uint32_t n,
                       keel_media_count* const* out);
  /* Pixels or samples of items of one modality to the inputs of its encode, under their declared
   * names, packed in order of item. [any] since 0.1 */
  keel_status (*preprocess)(const void* processor, const keel_media* const*, uint32_t n,
                            const keel_sink*);
  /* Full replacement text of one item, begin, end and row tokens included: key "text". `index`:
   * which item of its modality it is. The host keeps the offsets (text_replacement_offsets).
   * [any] since 0.1 */
  keel_status (*replacement)(const void* processor, const keel_media_count* item, uint32_t index,
                             const keel_sink*);
  /* Prompt ids with one placeholder an item -> keys input_ids, mm_token_type_ids (KEEL_MODALITY_*),
   * both ints; and groups (ints, of each id -1 or the number of its group, whose ids follow each
   * other) where forward's are not those of the items. Of a text between two items the first and
   * the last token may be joined with what is put there, the others stay. Text within an item has
   * the type of text. NULL: the host tokenizes the replacements. [any] since 0.1 */
  keel_status (*expand)(const void* processor, const int64_t* ids, size_t n,
                        const keel_media_count* const*, uint32_t count, const keel_sink*);
  /* Messages, tools and options as JSON text -> key "text". NULL: the checkpoint's template.
   * [any] since 0.1 */
  keel_status (*chat)(const void* processor, keel_str conversation, const keel_sink*);
  /* Positions of expanded ids: key "positions", a tensor i64 as the spec's input "positions" says;
   * key "delta" (ints, one): what to add to the number of cached tokens while decoding. NULL: 0 ..
   * n - 1. [any] since 0.1 */
  keel_status (*positions)(const void* processor, const int64_t* ids, size_t n,
                           const keel_media_count* const*, uint32_t count, const keel_sink*);
  void (*destroy)(void* processor); /* never with NULL [load] since 0.1 */
} keel_processor_class;

/* ==== what never changes ====================================================================== */

/* The sizes of classes when their interfaces were first released: a host takes classes of at least
 * these. */
#define KEEL_MODEL_CLASS_MIN_SIZE KEEL_SIZE_UP_TO(keel_model_class, destroy)
#define KEEL_ATTENTION_CLASS_MIN_SIZE KEEL_SIZE_UP_TO(keel_attention_class, release)
#define KEEL_KERNEL_CLASS_MIN_SIZE KEEL_SIZE_UP_TO(keel_kernel_class, release)
#define KEEL_PROCESSOR_CLASS_MIN_SIZE KEEL_SIZE_UP_TO(keel_processor_class, destroy)

#ifdef __cplusplus
#define KEEL_FROZEN(condition) static_assert(condition, "this layout is frozen")
#else
#define KEEL_FROZEN(condition) _Static_assert(condition, "this layout is frozen")
#endif

/* The bootstrap, what is passed by value, and what is passed in arrays. */
KEEL_FROZEN(sizeof(keel_str) == 16 && offsetof(keel_str, size) == 8);
KEEL_FROZEN(sizeof(keel_host) == 40 && offsetof(keel_host, abi_minor) == 4 &&
            offsetof(keel_host, self) == 8 && offsetof(keel_host, get_interface) == 16 &&
            offsetof(keel_host, set_error) == 24 && offsetof(keel_host, log) == 32);
KEEL_FROZEN(sizeof(keel_plugin) == 80 && offsetof(keel_plugin, abi_major) == 4 &&
            offsetof(keel_plugin, abi_minor) == 8 && offsetof(keel_plugin, min_host_minor) == 12 &&
            offsetof(keel_plugin, id) == 16 && offsetof(keel_plugin, version) == 24 &&
            offsetof(keel_plugin, vendor) == 32 && offsetof(keel_plugin, license) == 40 &&
            offsetof(keel_plugin, flags) == 48 && offsetof(keel_plugin, init) == 56 &&
            offsetof(keel_plugin, shutdown) == 64 && offsetof(keel_plugin, get_interface) == 72);
KEEL_FROZEN(sizeof(keel_list) == 16 && offsetof(keel_list, count) == 4 &&
            offsetof(keel_list, items) == 8);
KEEL_FROZEN(sizeof(keel_arg) == 24 && offsetof(keel_arg, number) == 8 &&
            offsetof(keel_arg, tensor) == 16 && offsetof(keel_arg, flags) == 20);
KEEL_FROZEN(sizeof(keel_meta) == 72 && offsetof(keel_meta, ndim) == 4 &&
            offsetof(keel_meta, dims) == 8);

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif /* KEEL_SDK_ABI_PLUGIN_H_ */
