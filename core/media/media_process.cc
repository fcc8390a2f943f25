#include "core/media/media_process.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/companion_program.h"
#include "core/base/status.h"
#include "core/base/strict_proto.h"
#include "core/plugin/host.h"
#include "core/remote/channel.h"

namespace keel {
namespace {

constexpr CompanionProgram kImages = {"keel-media", "decodes images", "KEEL_MEDIA", "core/media"};
constexpr CompanionProgram kAudioVideo = {"keel-media-av", "decodes videos and sounds",
                                          "KEEL_MEDIA_AV", "core/media"};

// One of those that decoders have; another is no answer.
bool IsKnown(int code) {
  for (const absl::StatusCode known :
       {absl::StatusCode::kOk, absl::StatusCode::kInvalidArgument,
        absl::StatusCode::kResourceExhausted, absl::StatusCode::kInternal}) {
    if (code == static_cast<int>(known)) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<MediaProcess> MediaProcess::Start(Program which, const JailOptions& options) {
  const CompanionProgram& companion = which == Program::kImages ? kImages : kAudioVideo;
  KEEL_ASSIGN_OR_RETURN(const std::string program, FindCompanion(companion, options.program));
  KEEL_ASSIGN_OR_RETURN(JailedProcess process,
                        JailedProcess::Start(companion.name, program,
                                             {absl::StrCat(options.limits.memory_bytes),
                                              absl::StrCat(options.limits.cpu_seconds)},
                                             {}, options));
  return MediaProcess(std::move(process));
}

absl::StatusOr<MediaReply> MediaProcess::Exchange(const proto::MediaRequest& request,
                                                  absl::string_view bytes, absl::Time deadline) {
  KEEL_RETURN_IF_ERROR(process_.Write(request.SerializeAsString(), deadline));
  KEEL_RETURN_IF_ERROR(process_.Write(bytes, deadline));
  KEEL_ASSIGN_OR_RETURN(const std::string frame, process_.Read(deadline));
  MediaReply reply;
  KEEL_RETURN_IF_ERROR(ParseStrict(frame, /*max_messages=*/1, &reply.answer));
  if (!IsKnown(reply.answer.code())) {
    return absl::InvalidArgumentError(absl::StrCat("its code is ", reply.answer.code()));
  }
  if (reply.answer.code() == 0) {
    KEEL_ASSIGN_OR_RETURN(reply.data, process_.Read(deadline));
  }
  return reply;
}

absl::StatusOr<MediaReply> MediaProcess::Ask(const proto::MediaRequest& request,
                                             absl::string_view bytes) {
  if (bytes.size() > kMaxFrameBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("it has ", bytes.size(), " bytes, expected at most ", kMaxFrameBytes));
  }
  KEEL_ASSIGN_OR_RETURN(const absl::Time deadline, process_.Begin());
  absl::StatusOr<MediaReply> reply = Exchange(request, bytes, deadline);
  if (!reply.ok()) return process_.Ended(reply.status());
  if (reply->answer.code() == 0) return reply;
  const std::string& said = reply->answer.message();
  return absl::Status(static_cast<absl::StatusCode>(reply->answer.code()),
                      PluginText(said.data(), said.size()));
}

}  // namespace keel
