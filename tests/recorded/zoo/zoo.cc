// Architectures that the ABI can say and that no family serves: each is recorded, held against its
// golden and run with random weights in every way there is. docs/expressible.md lists them.
#include "sdk/keel/plugin.h"
#include "tests/recorded/zoo/dense.h"
#include "tests/recorded/zoo/mixers.h"
#include "tests/recorded/zoo/parallel.h"
#include "tests/recorded/zoo/sparse.h"

using namespace keel;  // NOLINT: the list is all that this file has

KEEL_PLUGIN("org.keel.zoo", "0.1.0", ApertusForCausalLM, CohereForCausalLM, GPTNeoXForCausalLM,
            Glm4ForCausalLM, GraniteMoeForCausalLM, HunYuanDenseV1ForCausalLM, JambaForCausalLM,
            KimiLinearForCausalLM, Llama4ForCausalLM, MiniMaxForCausalLM, NemotronForCausalLM,
            OPTForCausalLM, SmolLM3ForCausalLM, StableLmForCausalLM);
