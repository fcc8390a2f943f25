// Media of a request: its prompt is expanded, and what encoders take is made, by the model's processor.
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/error_detail.h"
#include "core/base/status.h"
#include "core/engine/prepare.h"
#include "core/media/media_hash.h"

namespace keel {
namespace {

absl::Status Refuse(const absl::Status& status) { return WithField(status, "media"); }

// "an image", "a video", "audio".
std::string WithArticle(uint32_t modality) {
  const char* name = ModalityName(modality);
  return modality == KEEL_MODALITY_IMAGE   ? absl::StrCat("an ", name)
         : modality == KEEL_MODALITY_VIDEO ? absl::StrCat("a ", name)
                                           : name;
}

// Whether the model takes media like this one at all, and one that is decoded as it is.
absl::Status CheckInput(const Model& model, const MediaInput& input, const std::string& name) {
  if (model.processor == nullptr || model.processor->tokens(input.modality) == nullptr ||
      !model.encoders.contains(ModalityName(input.modality))) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is ", WithArticle(input.modality), ", which model '", model.name,
                     "' does not take", model.processor == nullptr ? ": it reads text alone" : ""));
  }
  const auto* item = std::get_if<std::shared_ptr<const MediaItem>>(&input.content);
  if (item == nullptr) return absl::OkStatus();
  KEEL_RETURN_IF_ERROR(Annotate(CheckMediaItem(**item), name));
  const int rate = model.processor->audio_sampling_rate();
  if (input.modality != KEEL_MODALITY_AUDIO || (*item)->rate == rate) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(name, " is audio of ", (*item)->rate, " samples a second, expected ", rate,
                   ": resample it, or send it as a file, as WAV, of any rate"));
}

// `status` of counting all, with the item that it is about, if it is about one.
absl::Status WithItem(const Processor& processor, const Request& request, const MediaItems& media,
                      const absl::Status& status) {
  // A processor that breaks down would do so again, and may take its time.
  if (absl::IsInternal(status)) return status;
  for (size_t i = 0; i < media.size(); ++i) {
    const MediaItem* const item = media[i].get();
    const auto count = processor.Count({&item, 1}, request.mm_processor_kwargs);
    if (count.ok()) continue;
    const std::string name = request.media[i].Name(i);
    return WithField(Annotate(count.status(), name), name);
  }
  return status;
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

absl::Status RequestPreparer::CheckGroups(absl::Span<const TokenRange> groups) const {
  for (const TokenRange& group : groups) {
    if (group.size() <= model_.max_step_tokens) continue;
    return Refuse(absl::InvalidArgumentError(absl::StrCat(
        "tokens ", group.begin, " to ", group.end,
        " of the prompt see each other, so that one "
        "step computes all ",
        group.size(), " of them, and a step has at most ", model_.max_step_tokens,
        " (--max-num-batched-tokens); send fewer or smaller media, or raise the flag")));
  }
  return absl::OkStatus();
}

absl::StatusOr<MediaItems> RequestPreparer::LoadMedia(absl::Span<const MediaInput> media) const {
  for (size_t i = 0; i < media.size(); ++i) {
    const std::string name = media[i].Name(i);
    const absl::Status status = CheckInput(model_, media[i], name);
    if (!status.ok()) return WithField(status, name);
  }
  if (media_ != nullptr) return media_->Load(media, model_.processor->audio_sampling_rate());
  MediaItems items;
  for (const MediaInput& input : media) {
    const auto* item = std::get_if<std::shared_ptr<const MediaItem>>(&input.content);
    if (item == nullptr) return absl::InternalError("media that nobody decodes");
    items.push_back(*item);
  }
  return items;
}

absl::StatusOr<MediaPrompt> RequestPreparer::ReadPrompt(const Request& request,
                                                        const MediaItems& media) const {
  KEEL_ASSIGN_OR_RETURN(std::vector<int32_t> ids, TextTokens(request));
  MediaPrompt prompt;
  if (model_.processor == nullptr) {
    prompt.ids = std::move(ids);
    return prompt;
  }
  absl::StatusOr<MediaCounts> counts = MediaCounts();
  if (!media.empty()) {
    counts = model_.processor->Count(PointersTo(media), request.mm_processor_kwargs);
    if (!counts.ok()) return Refuse(WithItem(*model_.processor, request, media, counts.status()));
    KEEL_RETURN_IF_ERROR(CheckTokens(*counts));
  }
  absl::StatusOr<MediaPrompt> expanded = ExpandMedia(*model_.processor, ids, *counts);
  if (!expanded.ok()) return Refuse(expanded.status());
  expanded->options = counts->options();
  if (!model_.takes_groups) expanded->groups.clear();
  KEEL_RETURN_IF_ERROR(CheckGroups(expanded->groups));
  return expanded;
}

absl::StatusOr<std::shared_ptr<const RequestMedia>> RequestPreparer::Preprocess(
    const Request& request, const MediaItems& items, MediaPrompt& prompt) const {
  if (items.empty()) return std::shared_ptr<const RequestMedia>();
  auto media = std::make_shared<RequestMedia>();
  media->processor =
      absl::StrCat(model_.processor->name(), " of ", model_.processor->plugin_name());
  for (size_t i = 0; i < items.size(); ++i) {
    const MediaItem& item = *items[i];
    RequestMedia::Item& out = media->items.emplace_back();
    out.modality = ModalityName(item.modality);
    out.hash = MediaHash(item, prompt.options);
    out.span = std::move(prompt.spans[i]);
    auto inputs = model_.processor->Preprocess(item, prompt.options);
    if (!inputs.ok()) {
      const std::string name = request.media[i].Name(i);
      return WithField(Annotate(inputs.status(), name), name);
    }
    out.inputs = *std::move(inputs);
  }
  media->places = std::move(prompt.places);
  media->groups = std::move(prompt.groups);
  return std::shared_ptr<const RequestMedia>(std::move(media));
}

}  // namespace keel
