#include "tests/recorded/graph_mutation.h"

#include <google/protobuf/reflection.h>

#include <cstdint>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

namespace keel {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

int64_t OddNumber(std::mt19937& random) {
  constexpr int64_t kNumbers[] = {0,
                                  1,
                                  -1,
                                  2,
                                  3,
                                  -2,
                                  7,
                                  16,
                                  1 << 20,
                                  int64_t{1} << 31,
                                  int64_t{1} << 48,
                                  std::numeric_limits<int64_t>::max(),
                                  std::numeric_limits<int64_t>::min()};
  return kNumbers[random() % std::size(kNumbers)];
}

// Puts another value into a field that is set, or into element `index` of a repeated one.
void ChangeValue(Message* message, const FieldDescriptor* field, int index, std::mt19937& random) {
  const Reflection& r = *message->GetReflection();
  const int64_t number = OddNumber(random);
  const bool repeated = field->is_repeated();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return repeated ? r.SetRepeatedInt32(message, field, index, static_cast<int32_t>(number))
                      : r.SetInt32(message, field, static_cast<int32_t>(number));
    case FieldDescriptor::CPPTYPE_UINT32:
      return repeated ? r.SetRepeatedUInt32(message, field, index, static_cast<uint32_t>(number))
                      : r.SetUInt32(message, field, static_cast<uint32_t>(number));
    case FieldDescriptor::CPPTYPE_INT64:
      return repeated ? r.SetRepeatedInt64(message, field, index, number)
                      : r.SetInt64(message, field, number);
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      const double value = random() % 4 == 0 ? std::numeric_limits<double>::quiet_NaN()
                                             : static_cast<double>(number);
      return repeated ? r.SetRepeatedDouble(message, field, index, value)
                      : r.SetDouble(message, field, value);
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      return r.SetBool(message, field, !r.GetBool(*message, field));
    case FieldDescriptor::CPPTYPE_ENUM: {
      const int value = static_cast<int>(random() % 40);
      return repeated ? r.SetRepeatedEnumValue(message, field, index, value)
                      : r.SetEnumValue(message, field, value);
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      const std::string value = random() % 2 == 0 ? "" : "segments";
      return repeated ? r.SetRepeatedString(message, field, index, value)
                      : r.SetString(message, field, value);
    }
    default:
      return;
  }
}

}  // namespace

void ChangeField(Message* message, std::mt19937& random) {
  const Reflection& r = *message->GetReflection();
  std::vector<const FieldDescriptor*> fields;
  r.ListFields(*message, &fields);
  if (fields.empty()) return;
  const FieldDescriptor* field = fields[random() % fields.size()];
  const bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  if (!field->is_repeated()) {
    if (random() % 8 == 0) return r.ClearField(message, field);
    return is_message ? ChangeField(r.MutableMessage(message, field), random)
                      : ChangeValue(message, field, 0, random);
  }
  const int size = r.FieldSize(*message, field), index = static_cast<int>(random() % size);
  switch (random() % 8) {
    case 0:
      return r.RemoveLast(message, field);
    case 1:
      return r.SwapElements(message, field, index, static_cast<int>(random() % size));
    case 2:
      if (is_message) {
        r.AddMessage(message, field)->CopyFrom(r.GetRepeatedMessage(*message, field, index));
        return;
      }
      [[fallthrough]];
    default:
      return is_message ? ChangeField(r.MutableRepeatedMessage(message, field, index), random)
                        : ChangeValue(message, field, index, random);
  }
}

}  // namespace keel
