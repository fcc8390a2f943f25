// One child that decodes: keel-media or keel-media-av, seen from the host.
#ifndef KEEL_CORE_MEDIA_MEDIA_PROCESS_H_
#define KEEL_CORE_MEDIA_MEDIA_PROCESS_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/media/media.pb.h"
#include "core/remote/jailed_process.h"

namespace keel {

// What a child says of an item: outside input.
struct MediaReply {
  proto::MediaAnswer answer;  // its code is 0
  std::string data;
};

// Move-only, one thread at a time; killed by the destructor.
class MediaProcess {
 public:
  enum class Program { kImages, kAudioVideo };
  static absl::StatusOr<MediaProcess> Start(Program program, const JailOptions& options);

  // The child's own error, or what became of it (JailedProcess::Ended): then it is gone.
  absl::StatusOr<MediaReply> Ask(const proto::MediaRequest& request, absl::string_view bytes);

  bool is_alive() const { return process_.is_alive(); }

 private:
  explicit MediaProcess(JailedProcess process) : process_(std::move(process)) {}
  absl::StatusOr<MediaReply> Exchange(const proto::MediaRequest& request, absl::string_view bytes,
                                      absl::Time deadline);

  JailedProcess process_;
};

}  // namespace keel

#endif  // KEEL_CORE_MEDIA_MEDIA_PROCESS_H_
