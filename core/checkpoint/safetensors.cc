#include "core/checkpoint/safetensors.h"

#include <sys/stat.h>

#include <algorithm>
#include <boost/json/value.hpp>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/json.h"
#include "core/base/status.h"

namespace keel {
namespace {

namespace json = boost::json;

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr size_t kLengthBytes = 8;

// A file's two parts after its length field.
struct Sections {
  absl::string_view header;
  absl::Span<const uint8_t> data;
};

absl::StatusOr<Sections> SplitSections(absl::Span<const uint8_t> file, absl::string_view where) {
  const auto refuse = [&](auto... what) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", what...));
  };
  if (file.size() < kLengthBytes) {
    return refuse("no safetensors file: it has ", file.size(), " bytes, a header needs at least 8");
  }
  uint64_t length = 0;
  for (size_t i = kLengthBytes; i-- > 0;) length = length << 8 | file[i];
  if (length > kMaxHeaderBytes) {
    return refuse("no safetensors file: the header's length is ", length, ", at most ",
                  kMaxHeaderBytes, " is allowed");
  }
  if (length > file.size() - kLengthBytes) {
    return refuse("the header has ", length, " bytes, the file holds only ",
                  file.size() - kLengthBytes, " of them; it was cut short, download it again");
  }
  const absl::string_view header(reinterpret_cast<const char*>(file.data()) + kLengthBytes,
                                 static_cast<size_t>(length));
  if (header.empty() || header.front() != '{') {
    return refuse("no safetensors file: the header does not begin with '{'");
  }
  return Sections{header, file.subspan(kLengthBytes + header.size())};
}

// What errors about this tensor begin with. Names come from the file: they may hold anything.
std::string TensorWhere(absl::string_view where, absl::string_view name) {
  return absl::StrCat(where, ": tensor ", absl::Utf8SafeCHexEscape(name.substr(0, 200)));
}

// A non-negative integer, as shapes and offsets must be.
std::optional<int64_t> ToSize(const json::value& value) {
  if (!value.is_int64() || value.get_int64() < 0) return std::nullopt;
  return value.get_int64();
}

absl::StatusOr<DType> ReadDType(const json::value& entry, absl::string_view where) {
  KEEL_ASSIGN_OR_RETURN(const std::string name, GetJson<std::string>(entry, "/dtype", where));
  const std::optional<DType> dtype = DTypeFromSafetensorsName(name);
  if (dtype.has_value()) return *dtype;
  return absl::InvalidArgumentError(
      absl::StrCat(where, ": dtype \"", absl::CHexEscape(name), "\" is not known"));
}

absl::StatusOr<std::vector<int64_t>> ReadSizes(const json::value& entry, absl::string_view pointer,
                                               absl::string_view where) {
  KEEL_ASSIGN_OR_RETURN(const json::array* array,
                        GetJson<const json::array*>(entry, pointer, where));
  std::vector<int64_t> sizes;
  sizes.reserve(array->size());
  for (const json::value& item : *array) {
    const std::optional<int64_t> size = ToSize(item);
    if (!size.has_value()) {
      return absl::InvalidArgumentError(absl::StrCat(where, ": ", pointer.substr(1), "[",
                                                     sizes.size(), "] is ", JsonSnippet(item),
                                                     ", expected an integer of at least 0"));
    }
    sizes.push_back(*size);
  }
  return sizes;
}

// Bytes that a tensor of this shape takes; nullopt on overflow or a fraction of a byte. A zero does
// not excuse an overflow before it: the official reader refuses that too.
std::optional<int64_t> BytesOfShape(DType dtype, const std::vector<int64_t>& shape) {
  int64_t elements = 1;
  for (const int64_t size : shape) {
    if (__builtin_mul_overflow(elements, size, &elements)) return std::nullopt;
  }
  return BytesOfElements(dtype, elements);
}

absl::StatusOr<TensorView> ReadTensor(absl::string_view name, const json::value& entry,
                                      absl::Span<const uint8_t> data, absl::string_view where) {
  if (!entry.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": is ", JsonKindName(entry), ", expected an object"));
  }
  TensorView tensor;
  tensor.name = std::string(name);
  KEEL_ASSIGN_OR_RETURN(tensor.dtype, ReadDType(entry, where));
  KEEL_ASSIGN_OR_RETURN(tensor.shape, ReadSizes(entry, "/shape", where));
  KEEL_ASSIGN_OR_RETURN(const std::vector<int64_t> range, ReadSizes(entry, "/data_offsets", where));
  if (range.size() != 2 || range[0] > range[1]) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": data_offsets is [",
                                                   absl::StrJoin(range, ", "),
                                                   "], expected [begin, end] in order"));
  }
  if (static_cast<uint64_t>(range[1]) > data.size()) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": its data ends at byte ", range[1],
                                                   ", the file holds only ", data.size(),
                                                   "; it was cut short, download it again"));
  }
  const std::optional<int64_t> bytes = BytesOfShape(tensor.dtype, tensor.shape);
  if (!bytes.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", tensor.ToString(),
                                                   " is too large or not a whole number of bytes"));
  }
  if (*bytes != range[1] - range[0]) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", tensor.ToString(), " needs ",
                                                   *bytes, " bytes, data_offsets give ",
                                                   range[1] - range[0]));
  }
  tensor.data = data.data() + range[0];
  tensor.bytes = static_cast<size_t>(range[1] - range[0]);
  return tensor;
}

absl::Status CheckMetadata(const json::value& metadata, absl::string_view where) {
  if (!metadata.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(
        where, ": __metadata__ is ", JsonKindName(metadata), ", expected an object of strings"));
  }
  for (const auto& [key, value] : metadata.get_object()) {
    if (value.is_string()) continue;
    return absl::InvalidArgumentError(absl::StrCat(where, ": __metadata__: \"",
                                                   absl::CHexEscape(std::string(key)), "\" is ",
                                                   JsonKindName(value), ", expected a string"));
  }
  return absl::OkStatus();
}

// `tensors`, sorted by their place, must cover `data` from first to last byte.
absl::Status CheckContiguous(const std::vector<TensorView>& tensors, absl::Span<const uint8_t> data,
                             absl::string_view where) {
  const uint8_t* end = data.data();
  for (const TensorView& tensor : tensors) {
    if (tensor.data != end) {
      return absl::InvalidArgumentError(
          absl::StrCat(TensorWhere(where, tensor.name), ": its data begins at byte ",
                       tensor.data - data.data(), ", expected ", end - data.data(),
                       tensor.data < end ? "; it overlaps the tensor before it"
                                         : "; there is a hole before it"));
    }
    end += tensor.bytes;
  }
  if (end == data.data() + data.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(where, ": the tensors end at byte ",
                                                 end - data.data(), " of the data, the file has ",
                                                 data.size()));
}

}  // namespace

int64_t TensorView::elements() const {
  int64_t elements = 1;
  for (const int64_t size : shape) elements *= size;
  return elements;
}

std::string TensorView::ToString() const {
  return absl::StrCat(TorchName(dtype), " [", absl::StrJoin(shape, ", "), "]");
}

absl::StatusOr<std::vector<TensorView>> ParseSafetensors(absl::Span<const uint8_t> file,
                                                         absl::string_view where) {
  KEEL_ASSIGN_OR_RETURN(const Sections sections, SplitSections(file, where));
  const JsonLimits limits = {.max_bytes = kMaxHeaderBytes, .max_depth = 4, .unique_keys = true};
  const absl::StatusOr<json::value> header =
      ParseJson(sections.header, absl::StrCat(where, ": header"), limits);
  if (!header.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(header.status().message(), "; the file is damaged, download it again"));
  }
  std::vector<TensorView> tensors;
  tensors.reserve(header->get_object().size());  // It begins with '{'.
  for (const auto& [key, entry] : header->get_object()) {
    if (key == "__metadata__") {
      KEEL_RETURN_IF_ERROR(CheckMetadata(entry, where));
      continue;
    }
    const absl::string_view name(key.data(), key.size());
    const std::string tensor_where = TensorWhere(where, name);
    KEEL_ASSIGN_OR_RETURN(TensorView tensor, ReadTensor(name, entry, sections.data, tensor_where));
    tensors.push_back(std::move(tensor));
  }
  // An empty tensor comes before the one that begins where it lies.
  std::sort(tensors.begin(), tensors.end(), [](const TensorView& a, const TensorView& b) {
    return std::pair(a.data, a.bytes) < std::pair(b.data, b.bytes);
  });
  KEEL_RETURN_IF_ERROR(CheckContiguous(tensors, sections.data, where));
  return tensors;
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  struct stat info = {};
  stat(path.c_str(), &info);  // what is not there is an error of the next line
  KEEL_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  KEEL_ASSIGN_OR_RETURN(std::vector<TensorView> tensors, ParseSafetensors(file.bytes(), path));
  // An archive that is unpacked may set the first of them to anything.
  std::string times = absl::StrCat(info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec, " ",
                                   info.st_ctim.tv_sec, ".", info.st_ctim.tv_nsec);
  return SafetensorsFile(path, std::move(times), std::move(file), std::move(tensors));
}

SafetensorsFile::SafetensorsFile(std::string path, std::string times, MappedFile file,
                                 std::vector<TensorView> tensors)
    : path_(std::move(path)),
      times_(std::move(times)),
      file_(std::move(file)),
      tensors_(std::move(tensors)) {
  index_by_name_.reserve(tensors_.size());
  for (size_t i = 0; i < tensors_.size(); ++i) index_by_name_.emplace(tensors_[i].name, i);
}

absl::Span<const uint8_t> SafetensorsFile::header() const {
  const absl::Span<const uint8_t> all = file_.bytes();
  if (tensors_.empty()) return all;
  return all.first(static_cast<size_t>(tensors_.front().data - all.data()));
}

const TensorView* SafetensorsFile::Find(absl::string_view name) const {
  const auto it = index_by_name_.find(name);
  return it == index_by_name_.end() ? nullptr : &tensors_[it->second];
}

}  // namespace keel
