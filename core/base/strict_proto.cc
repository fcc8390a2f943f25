#include "core/base/strict_proto.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/unknown_field_set.h>
#include <google/protobuf/wire_format_lite.h>

#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace keel {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

constexpr int kMaxDepth = 32;
constexpr uint32_t kMaxBytes = 1 << 30;

absl::Status Damaged() { return absl::InvalidArgumentError("is damaged: its bytes do not parse"); }

// Walks the wire format along the schema without making messages.
class MessageCounter {
 public:
  MessageCounter(absl::string_view bytes, int64_t max_messages)
      : in_(reinterpret_cast<const uint8_t*>(bytes.data()), static_cast<int>(bytes.size())),
        max_messages_(max_messages) {
    in_.SetTotalBytesLimit(std::numeric_limits<int>::max());
  }

  absl::Status Walk(const Descriptor& type, int depth = 0) {
    if (++messages_ > max_messages_ || depth > kMaxDepth) {
      return absl::InvalidArgumentError(
          absl::StrCat("has too many parts, expected at most ", max_messages_, " messages"));
    }

    while (const uint32_t tag = in_.ReadTag()) {
      const FieldDescriptor* field = type.FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
      if (field == nullptr) return Unknown(type, WireFormatLite::GetTagFieldNumber(tag));
      const bool is_message =
          field->type() == FieldDescriptor::TYPE_MESSAGE &&
          WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
      if (!is_message) {
        if (!WireFormatLite::SkipField(&in_, tag)) return Damaged();
        continue;
      }
      uint32_t length = 0;
      if (!in_.ReadVarint32(&length) || length > kMaxBytes) return Damaged();
      const CodedInputStream::Limit limit = in_.PushLimit(static_cast<int>(length));
      KEEL_RETURN_IF_ERROR(Walk(*field->message_type(), depth + 1));
      if (in_.BytesUntilLimit() != 0) return Damaged();
      in_.PopLimit(limit);
    }
    return in_.ConsumedEntireMessage() ? absl::OkStatus() : Damaged();
  }

 private:
  static absl::Status Unknown(const Descriptor& type, int number) {
    return absl::InvalidArgumentError(absl::StrCat("field ", number, " of ", type.name(),
                                                   " is unknown to this host, which might run "
                                                   "another model without it; update keel"));
  }

  CodedInputStream in_;
  const int64_t max_messages_;
  int64_t messages_ = 0;
};

// Fields of a known number and another wire type end up here too.
absl::Status CheckNoUnknownFields(const Message& message) {
  const Reflection& reflection = *message.GetReflection();
  if (!reflection.GetUnknownFields(message).empty()) {
    return absl::InvalidArgumentError(absl::StrCat("a field of ", message.GetDescriptor()->name(),
                                                   " has a type that this host does not know"));
  }
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      KEEL_RETURN_IF_ERROR(CheckNoUnknownFields(reflection.GetMessage(message, field)));
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      KEEL_RETURN_IF_ERROR(CheckNoUnknownFields(reflection.GetRepeatedMessage(message, field, i)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ParseStrict(absl::string_view bytes, int64_t max_messages, Message* out) {
  if (bytes.size() > kMaxBytes) return absl::InvalidArgumentError("is larger than 1 GiB");
  KEEL_RETURN_IF_ERROR(MessageCounter(bytes, max_messages).Walk(*out->GetDescriptor()));
  if (!out->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return Damaged();
  return CheckNoUnknownFields(*out);
}

}  // namespace keel
