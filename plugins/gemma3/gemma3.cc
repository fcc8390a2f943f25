// Gemma 3 (arXiv:2503.19786), as in transformers' models/gemma3: the text model alone, and with SigLIP's features of
// images, averaged over squares of patches, whose tokens see each other.
#include "plugins/gemma3/processing_gemma3.h"
#include "sdk/keel/blocks/gemma.h"
#include "sdk/keel/blocks/text_model.h"
#include "sdk/keel/blocks/vit.h"
#include "sdk/keel/plugin.h"

namespace keel {
namespace {

struct Gemma3TextConfig : GemmaConfig {
  explicit Gemma3TextConfig(const Config& c) : GemmaConfig(c, Gemma3()) {}
};

struct Gemma3ForCausalLM : GemmaDecoder<Gemma3TextConfig> {
  static constexpr const char* kModelType = "gemma3_text";
  static constexpr const char* kArchitectures[] = {"Gemma3ForCausalLM"};
  using GemmaDecoder::GemmaDecoder;
};

struct Gemma3Config : GemmaConfig {
  VitConfig vision;
  int64_t pooled;  // patches of a side of the squares that become one token
  explicit Gemma3Config(const Config& c)
      : GemmaConfig(c.Object("text_config"), Gemma3(), "text_config/"),
        vision(c.Object("vision_config"), {}) {
    tie_word_embeddings = c.Bool("tie_word_embeddings", true);
    const int64_t tokens = c.Int("mm_tokens_per_image", 256);
    const int64_t side = TokensOfASide(tokens);
    if (side < 1 || side * side != tokens || vision.side % side != 0) {
      c.Fail("mm_tokens_per_image", "is " + std::to_string(tokens) +
                                        ", expected the square of a number that divides " +
                                        std::to_string(vision.side) + ", the patches of a side");
      pooled = 1;
      return;
    }
    pooled = vision.side / side;
    // Beyond it transformers would cut an image's view of itself.
    if (tokens > sliding_window)
      c.Fail("mm_tokens_per_image", "is " + std::to_string(tokens) +
                                        ", expected at most text_config's sliding_window, " +
                                        std::to_string(sliding_window));
  }
  Spec spec() const {
    Spec s = GemmaConfig::spec();
    s.renames = LlavaRenames();
    s.renames.push_back({.op = KEEL_RENAME_TRANSPOSE,
                         .from = {R"((multi_modal_projector\.mm_input_projection)_weight)"},
                         .to = {R"(\1.weight)"}});
    s.renames.push_back(UnusedVitHead("vision_tower"));
    s.inputs = vision.inputs();
    s.inputs.push_back({"forward", "groups", KEEL_I32, {-1}});
    return s;
  }
};

struct Gemma3MultiModalProjector {
  int64_t side, pooled, size;
  Linear mm_input_projection;
  GemmaRMSNorm mm_soft_emb_norm;
  Gemma3MultiModalProjector(const Scope& s, const Gemma3Config& c)
      : side(c.vision.side),
        pooled(c.pooled),
        size(c.vision.hidden_size),
        mm_input_projection(s / "mm_input_projection", size, c.hidden_size),
        mm_soft_emb_norm(s / "mm_soft_emb_norm", size, c.vision.layer_norm_eps) {}
  Tensor operator()(Tensor x) const {
    const Tensor squares = PixelShuffle(x, side, pooled).View({-1, pooled * pooled, size});
    return mm_input_projection(mm_soft_emb_norm(squares.Mean(1)));
  }
};

struct Gemma3ForConditionalGeneration : GemmaDecoder<Gemma3Config> {
  static constexpr const char* kModelType = "gemma3";
  static constexpr const char* kArchitectures[] = {"Gemma3ForConditionalGeneration"};

  Vit vision_tower;
  Gemma3MultiModalProjector multi_modal_projector;
  Gemma3ForConditionalGeneration(const Scope& root, const Gemma3Config& c)
      : GemmaDecoder(root, c),
        vision_tower(root / "vision_tower", c.vision, -1),
        multi_modal_projector(root / "multi_modal_projector", c) {}
  Tensor Encode(std::string_view, const std::vector<Tensor>& in) const {
    return multi_modal_projector(vision_tower(in[0], in[1]));
  }
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.gemma3", "0.1.0", keel::Gemma3ForCausalLM,
            keel::Gemma3ForConditionalGeneration, keel::Gemma3Processor);
