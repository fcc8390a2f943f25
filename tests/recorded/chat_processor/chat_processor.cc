// A plugin with a processor alone: text goes into a frame that a file of the checkpoint has; no media.
#include <stdexcept>

#include "sdk/keel/plugin.h"

namespace keel {
namespace {

class ChatProcessor {
 public:
  static constexpr const char* kProcessorNames[] = {"ChatProcessor", "OldChatProcessor"};

  ChatProcessor(const Config&, const Assets& assets) {
    const std::optional<std::string_view> frame = assets.Read("frame.txt");
    if (!frame) throw Error("frame.txt: not found, expected a line with {}", 5);
    const size_t middle = frame->find("{}");
    if (middle == std::string_view::npos) throw Error("frame.txt: has no {}");
    before_ = frame->substr(0, middle);
    after_ = frame->substr(middle + 2);
  }

  std::vector<MediaTokens> Tokens() const { return {}; }
  keel_media_count Count(const keel_media&) const { throw Error("takes no media", 12); }
  void Preprocess(MediaItems, const TensorSink&) const { throw std::logic_error("no media"); }
  std::string Replacement(const keel_media_count&, uint32_t) const { throw 1; }
  std::string Chat(std::string_view conversation) const {
    return std::string(before_).append(conversation).append(after_);
  }

 private:
  std::string_view before_, after_;
};

}  // namespace
}  // namespace keel

KEEL_PLUGIN("org.keel.chat_processor", "0.1.0", keel::ChatProcessor);
