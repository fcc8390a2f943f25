#include "core/plugin/requirements.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace keel {
namespace {

using Level = Requirement::Level;
using Enforced = Requirement::Enforced;

constexpr char kPrefix[] = "KEEL-PLG-";
constexpr size_t kDigits = 3;

constexpr RequirementGroup kGroups[] = {
    {'S', "Static: the file"},
    {'L', "Load: descriptor, init, classes"},
    {'V', "Versions: hosts older and newer than this one"},
    {'C', "Config"},
    {'B', "Build: what create declares"},
    {'R', "Record: what forward says"},
    {'X', "Faults"},
    {'N', "Numbers"},
    {'A', "Attention of the plugin's own"},
    {'K', "Kernels of the plugin's own"},
    {'P', "Processors of the plugin's own"},
};

constexpr Requirement kRequirements[] = {
    // The file.
    {1, 'S', Level::kMust, Enforced::kFile,
     "is a well-formed ELF shared library for the host's system and CPU",
     "the dynamic linker refuses it, or reads it otherwise than the host does"},
    {2, 'S', Level::kMust, Enforced::kFile, "exports `keel_plugin_entry_v1`", "it is no plugin"},
    {3, 'S', Level::kMust, Enforced::kFile, "exports nothing else",
     "its symbols clash with the host's or another plugin's"},
    {4, 'S', Level::kMust, Enforced::kFile, "needs libc, libm and libgcc_s, no other library",
     "it does not load on a machine that lacks them, or mixes two versions of one"},
    {5, 'S', Level::kMust, Enforced::kFile, "has no search path, filter or auditor",
     "another file than the checked one runs"},
    {6, 'S', Level::kMust, Enforced::kFile, "carries one Keel note",
     "what it provides is not known before it runs"},
    {7, 'S', Level::kMust, Enforced::kFile,
     "says in its note an id, a version and names of printable characters",
     "it can't be found by name, or breaks the lists that show it"},
    {8, 'S', Level::kMust, Enforced::kFile, "is built for the ABI of its host",
     "tables and structs are read at wrong places"},
    {9, 'S', Level::kMust, Enforced::kFile, "can be unloaded: no unique symbols, no `nodelete`",
     "its code stays in the process after its model is gone"},
    {10, 'S', Level::kMust, Enforced::kFile, "has no text relocations",
     "its code is written to while it is loaded"},
    {11, 'S', Level::kMust, Enforced::kFile, "has no initial-exec thread-local storage",
     "it fails to load in a process that has used up that space"},
    {12, 'S', Level::kMust, Enforced::kFile,
     "wants no executable stack and no memory that is writable and executable",
     "a slip in any code of the process becomes a way in"},
    {13, 'S', Level::kMust, Enforced::kFile, "is linked with full RELRO",
     "its tables of addresses stay writable"},

    // Loading it, in the order of the loader.
    {29, 'L', Level::kMust, Enforced::kLoad, "can be mapped: every symbol that it uses is there",
     "it does not load"},
    {30, 'L', Level::kMust, Enforced::kLoad, "leaves the floating-point mode as it is",
     "every later computation of the process rounds otherwise"},
    {31, 'L', Level::kMust, Enforced::kLoad, "gives the same descriptor on every call of its entry",
     "the host holds a descriptor that is not its own"},
    {32, 'L', Level::kMust, Enforced::kLoad,
     "gives a descriptor of 80 bytes with id, version, init, shutdown and get_interface",
     "the host reads or calls what is not there"},
    {33, 'L', Level::kMust, Enforced::kLoad,
     "says in its descriptor the ABI of its host, and no newer one that it needs",
     "tables and structs are read at wrong places"},
    {34, 'L', Level::kMust, Enforced::kLoad, "sets no flag that this host does not know",
     "it gets something else than it asks for"},
    {35, 'L', Level::kMust, Enforced::kLoad, "lets no exception out",
     "the call that it ends in fails, and what it held is lost"},
    {36, 'L', Level::kMust, Enforced::kLoad, "succeeds in init on a host that has its interfaces",
     "it serves nothing"},
    {37, 'L', Level::kMust, Enforced::kLoad,
     "lists classes that are long enough, named, and have every function that is not optional",
     "the host reads or calls what is not there"},
    {38, 'L', Level::kMust, Enforced::kLoad,
     "sets KEEL_PLUGIN_HAS_KERNELS when it brings attention or kernels",
     "it would be unmapped while its code runs"},
    {39, 'L', Level::kMust, Enforced::kLoad, "provides what its note says, and nothing else",
     "the host chooses it for a model that it does not serve"},
    {40, 'L', Level::kMust, Enforced::kKit, "answers NULL to interface ids that it does not know",
     "a later host reads a table of another shape"},
    {41, 'L', Level::kMust, Enforced::kKit,
     "can be initialized and shut down again and again, and frees all that it took",
     "loading models in turn fails or fills the memory"},
    {42, 'L', Level::kMust, Enforced::kKit,
     "fails with a status, or does without, on a host that lacks an interface",
     "an older host crashes instead of saying what is missing"},
    {43, 'L', Level::kMust, Enforced::kKit,
     "leaves signal handlers, locale, environment, directory, umask and floating-point mode alone",
     "the rest of the process behaves otherwise"},
    {44, 'L', Level::kMust, Enforced::kKit,
     "leaves no thread and no open file behind after shutdown",
     "its code runs after it was unmapped, or files run out"},
    {45, 'L', Level::kShould, Enforced::kKit, "loads within 100 ms", "a server starts late"},
    {46, 'L', Level::kMust, Enforced::kKit,
     "works beside another plugin, loaded before it or after it, and when that one has gone",
     "a server of several models fails by the order in which they came"},

    // Hosts of other versions.
    {50, 'V', Level::kShould, Enforced::kKit,
     "calls no entry beyond `struct_size` of a table: it tests with KEEL_HAS",
     "on an older host of the same major it jumps into nowhere; a MUST from 1.0 on"},
    {51, 'V', Level::kMust, Enforced::kKit, "works alike with tables that are longer than it knows",
     "a newer host can't serve it"},
    {52, 'V', Level::kShould, Enforced::kKit,
     "takes an entry that is NULL for one that is not there: KEEL_HAS looks at both",
     "on a host that leaves an entry out it jumps to nowhere; a MUST from 1.0 on"},

    // config.json.
    {60, 'C', Level::kMust, Enforced::kKit,
     "has a class for the architectures of a config that is its own, and takes that config",
     "its own checkpoints don't load"},
    {61, 'C', Level::kMust, Enforced::kKit, "states the same spec for the same config",
     "two servers run two models"},
    {62, 'C', Level::kMust, Enforced::kKit, "survives a config that lacks keys",
     "a checkpoint ends the server that opens it"},
    {63, 'C', Level::kMust, Enforced::kKit,
     "survives values of other kinds, huge numbers and texts of a megabyte",
     "a checkpoint ends the server that opens it"},
    {64, 'C', Level::kMust, Enforced::kKit, "survives several such changes at once (fuzz)",
     "a checkpoint ends the server that opens it"},
    {65, 'C', Level::kShould, Enforced::kKit, "says why when it refuses a config",
     "the user can't tell what to mend"},

    // create.
    {70, 'B', Level::kMust, Enforced::kKit, "declares each object once, with sizes that fit",
     "the model is refused at load"},
    {71, 'B', Level::kMust, Enforced::kKit, "declares the same each time, in the same order",
     "two servers run two models"},
    {72, 'B', Level::kMust, Enforced::kKit,
     "declares what its checkpoints hold: no tensor is missing, none left over",
     "weights are missing, or silently not used"},

    // forward, logits, pool, encode.
    {80, 'R', Level::kMust, Enforced::kKit, "records without an error", "the model is refused"},
    {81, 'R', Level::kMust, Enforced::kKit,
     "asks for no number of tokens and no number in a tensor",
     "its graph would hold for one batch only"},
    {82, 'R', Level::kMust, Enforced::kKit,
     "gives a graph that a host runs: values used, layers marked in order, memory bounded",
     "the model is refused"},
    {83, 'R', Level::kMust, Enforced::kKit, "mixes no rows of a batch",
     "one request's text reaches another's"},
    {84, 'R', Level::kMust, Enforced::kKit,
     "records the same graph each time, from each model of one config",
     "two servers run two models"},
    {85, 'R', Level::kMust, Enforced::kKit, "records the same graph in another process",
     "two ranks run two models"},
    {86, 'R', Level::kMust, Enforced::kKit,
     "states a tensor-parallel plan that is sound for 1, 2, 4 and 8 ranks, where sizes divide",
     "more ranks give wrong text, or are refused"},
    {87, 'R', Level::kShould, Enforced::kKit, "records within 100 ms", "a model loads late"},
    {88, 'R', Level::kMust, Enforced::kKit,
     "states a pipeline plan, if any, that is what its recorded layers hand on",
     "the model is refused, or can't be divided into stages"},

    // Faults.
    {110, 'X', Level::kMust, Enforced::kKit, "survives an op that fails, whichever it is",
     "one bad size ends the server"},
    {111, 'X', Level::kMust, Enforced::kKit, "frees with destroy all that create took",
     "loading models in turn fills the memory"},

    // Numbers.
    {120, 'N', Level::kMust, Enforced::kKit, "computes op by op what its recorded graph computes",
     "debugging shows another model than the one that serves"},
    {121, 'N', Level::kMust, Enforced::kKit,
     "gives the same logits however a prompt is cut into steps", "a busy server answers otherwise"},
    {122, 'N', Level::kMust, Enforced::kKit, "gives the same logits whatever else is in the batch",
     "a busy server answers otherwise"},
    {123, 'N', Level::kMust, Enforced::kKit, "gives the same logits on two ranks as on one",
     "more ranks give wrong text"},
    {124, 'N', Level::kMust, Enforced::kKit, "gives the same logits in two stages as in one",
     "more stages give wrong text"},
    {125, 'N', Level::kMust, Enforced::kKit,
     "gives the same features of items that its merge rules put together as of each alone",
     "one image answers for another"},

    // Attention classes, on caches and steps of the kit's.
    {130, 'A', Level::kMust, Enforced::kKit,
     "refuses in prepare, with UNIMPLEMENTED and a reason, what it does not serve, and serves all "
     "else",
     "a model loads and fails at its first request"},
    {131, 'A', Level::kMust, Enforced::kKit,
     "computes softmax(q k^T scale) v over the keys that each query sees, as far as its cache is "
     "exact",
     "the model answers otherwise than with the host's attention"},
    {132, 'A', Level::kMust, Enforced::kKit,
     "reads no key but those that the sequence may see: blocks in any order, NaN beside them",
     "one request's text reaches another's"},
    {133, 'A', Level::kMust, Enforced::kKit,
     "reads q, k and v by their strides, byte_offset and the alignment of their elements alone",
     "it reads wrong numbers, or crashes, by how the host's tensors lie"},
    {134, 'A', Level::kMust, Enforced::kKit,
     "writes its result, its cache, plan and workspace, and nothing beside them",
     "the memory of others changes"},
    {135, 'A', Level::kMust, Enforced::kKit,
     "keeps KEEL_KERNEL_DETERMINISTIC and KEEL_KERNEL_INVARIANT where it sets them",
     "`--deterministic` gives other text by what else is in a step"},

    // Kernels, as the models of the plugin call them.
    {140, 'K', Level::kMust, Enforced::kKit,
     "infers for each number of rows what it infers while recording",
     "op by op it is another model than the one that serves"},
    {141, 'K', Level::kMust, Enforced::kKit,
     "fills all of its results, and writes nothing but them, its states and its workspace",
     "the memory of others changes, or old numbers come back"},
    {142, 'K', Level::kMust, Enforced::kKit, "runs with no rows, and with one",
     "a step that has none for it ends the server"},
    {143, 'K', Level::kMust, Enforced::kKit,
     "reads operands at a byte_offset, aligned to their elements alone",
     "it reads wrong numbers, or crashes, by where a weight lies in its file"},
    {144, 'K', Level::kMust, Enforced::kKit, "keeps KEEL_KERNEL_ROWWISE where it sets it",
     "one request's text reaches another's"},
    {145, 'K', Level::kMust, Enforced::kKit,
     "keeps KEEL_KERNEL_DETERMINISTIC and KEEL_KERNEL_INVARIANT where it sets them",
     "`--deterministic` gives other text by what else is in a step"},
    {146, 'K', Level::kMust, Enforced::kKit,
     "with states: keeps each sequence to itself, and gives the same however it is cut into steps",
     "one request's text reaches another's"},

    // Processors, with media of the kit's.
    {150, 'P', Level::kMust, Enforced::kKit,
     "counts the tokens and features that the expanded prompt has",
     "features land in the wrong rows"},
    {151, 'P', Level::kMust, Enforced::kKit,
     "preprocesses to the inputs that encode declares, for as many rows as it counts",
     "the request fails, or features land in the wrong rows"},
    {152, 'P', Level::kMust, Enforced::kKit,
     "does with several items what it does with each of them", "one image answers for another"},
    {153, 'P', Level::kMust, Enforced::kKit, "may be called on several threads at once",
     "one request's image reaches another's"},
    {154, 'P', Level::kMust, Enforced::kKit,
     "refuses a prompt with more placeholders than items, or less",
     "a placeholder that a user typed takes an image's place"},
    {155, 'P', Level::kMust, Enforced::kKit,
     "answers to media of any size, 1x1 and 1x10000 too, or says why not",
     "a picture ends the server"},
};

}  // namespace

absl::Span<const Requirement> Requirements() { return kRequirements; }

absl::Span<const RequirementGroup> RequirementGroups() { return kGroups; }

const Requirement* FindRequirement(int number) {
  for (const Requirement& requirement : kRequirements) {
    if (requirement.number == number) return &requirement;
  }
  return nullptr;
}

std::string RequirementId(int number) { return absl::StrFormat("%s%03d", kPrefix, number); }

std::string Breaks(int number, absl::string_view what) {
  return absl::StrCat(what, " [", RequirementId(number), "]");
}

absl::Status Breaks(int number, const absl::Status& status) {
  if (status.ok() || !BrokenRequirements(status.message()).empty()) return status;
  absl::Status out(status.code(), Breaks(number, status.message()));
  status.ForEachPayload(
      [&](absl::string_view url, const absl::Cord& payload) { out.SetPayload(url, payload); });
  return out;
}

std::vector<int> BrokenRequirements(absl::string_view message) {
  std::vector<int> numbers;
  for (size_t at = message.find(kPrefix); at != absl::string_view::npos;
       at = message.find(kPrefix, at + 1)) {
    int number = 0;
    if (absl::SimpleAtoi(message.substr(at + sizeof(kPrefix) - 1, kDigits), &number)) {
      numbers.push_back(number);
    }
  }
  return numbers;
}

}  // namespace keel
