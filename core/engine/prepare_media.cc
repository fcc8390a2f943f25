// Media of a request: its prompt is expanded, and what encoders take is made, by the model's processor.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status.h"
#include "core/engine/prepare.h"

namespace keel {
namespace {

absl::Status Refuse(const absl::Status& status) { return WithField(status, "media"); }

// Whether the model takes media like these at all.
absl::Status CheckMedia(const Model& model, const Request& request) {
  for (size_t i = 0; i < request.media.size(); ++i) {
    const absl::Status status = CheckMediaItem(*request.media[i]);
    if (!status.ok()) return Annotate(status, absl::StrCat("media ", i));
    const char* modality = ModalityName(request.media[i]->modality);
    if (model.processor == nullptr || !model.encoders.contains(modality)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "media ", i, " is of ", modality, ", which model '", model.name, "' does not take",
          model.processor == nullptr ? ": it reads text alone" : ""));
    }
  }
  return absl::OkStatus();
}

std::vector<const MediaItem*> PointersTo(const MediaItems& media) {
  std::vector<const MediaItem*> out;
  for (const auto& item : media) out.push_back(item.get());
  return out;
}

}  // namespace

// Before they are written out.
absl::Status RequestPreparer::CheckTokens(absl::Span<const keel_media_count> counts) const {
  int64_t tokens = 0;
  for (const keel_media_count& count : counts) tokens += count.tokens;
  if (tokens < model_.max_model_len) return absl::OkStatus();
  return Refuse(absl::InvalidArgumentError(
      absl::StrCat("media have ", tokens, " tokens, the model takes at most ",
                   model_.max_model_len - 1, " and one for the answer (max_model_len ",
                   model_.max_model_len, "); send fewer or smaller")));
}

absl::StatusOr<MediaPrompt> RequestPreparer::ReadPrompt(const Request& request) const {
  if (const absl::Status status = CheckMedia(model_, request); !status.ok()) return Refuse(status);
  KEEL_ASSIGN_OR_RETURN(std::vector<int32_t> ids, TextTokens(request));
  MediaPrompt prompt;
  if (model_.processor == nullptr) {
    prompt.ids = std::move(ids);
    return prompt;
  }
  absl::StatusOr<std::vector<keel_media_count>> counts = std::vector<keel_media_count>();
  if (!request.media.empty()) {
    counts = model_.processor->Count(PointersTo(request.media), request.mm_processor_kwargs);
    if (!counts.ok()) return Refuse(counts.status());
    KEEL_RETURN_IF_ERROR(CheckTokens(*counts));
  }
  absl::StatusOr<MediaPrompt> expanded = ExpandMedia(*model_.processor, ids, *counts);
  if (!expanded.ok()) return Refuse(expanded.status());
  return expanded;
}

absl::StatusOr<std::shared_ptr<const RequestMedia>> RequestPreparer::Preprocess(
    const Request& request, MediaPrompt& prompt) const {
  if (request.media.empty()) return std::shared_ptr<const RequestMedia>();
  auto media = std::make_shared<RequestMedia>();
  for (size_t i = 0; i < request.media.size(); ++i) {
    const MediaItem& item = *request.media[i];
    RequestMedia::Item& out = media->items.emplace_back();
    out.modality = ModalityName(item.modality);
    out.hash = MediaHash(item, request.mm_processor_kwargs);
    out.span = std::move(prompt.spans[i]);
    auto inputs = model_.processor->Preprocess(item, request.mm_processor_kwargs);
    if (!inputs.ok()) return Refuse(Annotate(inputs.status(), absl::StrCat("media ", i)));
    out.inputs = *std::move(inputs);
  }
  media->places = std::move(prompt.places);
  return std::shared_ptr<const RequestMedia>(std::move(media));
}

}  // namespace keel
