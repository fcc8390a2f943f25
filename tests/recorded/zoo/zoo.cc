// Architectures that the ABI can say and that no family serves: each is recorded, held against its
// golden and run with random weights in every way there is. docs/expressible.md lists them.
#include "sdk/keel/plugin.h"
#include "tests/recorded/zoo/dense.h"
#include "tests/recorded/zoo/mixers.h"
#include "tests/recorded/zoo/parallel.h"
#include "tests/recorded/zoo/sparse.h"
#include "tests/recorded/zoo/towers.h"

using namespace keel;  // NOLINT: the list is all that this file has

KEEL_PLUGIN("org.keel.zoo", "0.1.0", ApertusForCausalLM, CohereForCausalLM, GPTNeoXForCausalLM,
            Glm4ForCausalLM, GraniteMoeForCausalLM, HunYuanDenseV1ForCausalLM,
            Idefics3ForConditionalGeneration, JambaForCausalLM, KimiLinearForCausalLM,
            Llama4ForCausalLM, LlavaForConditionalGeneration, MiniMaxForCausalLM,
            NemotronForCausalLM, OPTForCausalLM, PixtralForConditionalGeneration,
            SmolLM3ForCausalLM, StableLmForCausalLM);
