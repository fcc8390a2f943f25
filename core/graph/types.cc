#include "core/graph/types.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/graph/errors.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 48;

std::string ToString(const Extent& extent) {
  if (!extent.symbolic()) return absl::StrCat(extent.size);
  std::string out = extent.size == 1 ? extent.symbol : absl::StrCat(extent.size, extent.symbol);
  return extent.divisor == 1 ? out : absl::StrCat(out, "/", extent.divisor);
}

// A product of extents: numerator / denominator * symbols to their powers.
struct Product {
  int64_t numerator = 1, denominator = 1;
  std::map<std::string, int> powers;

  bool Multiply(const Extent& extent, int power) {
    const bool fits = power > 0
                          ? !__builtin_mul_overflow(numerator, extent.size, &numerator) &&
                                !__builtin_mul_overflow(denominator, extent.divisor, &denominator)
                          : !__builtin_mul_overflow(denominator, extent.size, &denominator) &&
                                !__builtin_mul_overflow(numerator, extent.divisor, &numerator);
    if (!fits) return false;
    const int64_t common = std::gcd(numerator, denominator);
    if (common > 1) numerator /= common, denominator /= common;
    if (extent.symbolic() && (powers[extent.symbol] += power) == 0) powers.erase(extent.symbol);
    return true;
  }
};

// The name of a type that plugin.h has and graphs have not; null: another.
const char* OtherTypeName(uint32_t dtype) {
  switch (dtype) {
    case KEEL_I8:
      return "KEEL_I8";
    case KEEL_I16:
      return "KEEL_I16";
    case KEEL_F64:
      return "KEEL_F64";
    case KEEL_F8_E4M3FN:
      return "KEEL_F8_E4M3FN";
    case KEEL_F8_E5M2:
      return "KEEL_F8_E5M2";
    case KEEL_F8_E8M0:
      return "KEEL_F8_E8M0";
    case KEEL_F4_E2M1:
      return "KEEL_F4_E2M1";
    default:
      return nullptr;
  }
}

absl::Status ViewError(absl::Span<const Extent> from, absl::Span<const int64_t> dims) {
  const auto join = [](std::string* out, const Extent& e) { out->append(ToString(e)); };
  return Bad(absl::StrCat("[", absl::StrJoin(from, ", ", join), "] can't be viewed as [",
                          absl::StrJoin(dims, ", "), "]"),
             "as many elements", "0 keeps a dimension, one may be -1 to be inferred");
}

}  // namespace

std::string ToString(const TensorType& type) {
  return absl::StrCat(
      proto::DataType_Name(type.dtype), "[",
      absl::StrJoin(type.dims, ", ",
                    [](std::string* out, const Extent& e) { out->append(ToString(e)); }),
      "]");
}

proto::Type ToProto(const TensorType& type) {
  proto::Type out;
  out.set_dtype(type.dtype);
  for (const Extent& extent : type.dims) {
    proto::Dim* dim = out.add_dims();
    dim->set_size(extent.size);
    if (!extent.symbolic()) continue;
    dim->set_symbol(extent.symbol);
    if (extent.size == 1) dim->clear_size();
    if (extent.divisor != 1) dim->set_divisor(extent.divisor);
  }
  return out;
}

absl::StatusOr<TensorType> FromProto(const proto::Type& type) {
  TensorType out{type.dtype(), {}};
  if (const char* name = OtherTypeName(static_cast<uint32_t>(type.dtype())); name != nullptr) {
    return absl::UnimplementedError(
        absl::StrCat("data type ", name, " is for caches and files, expected a type of graphs"));
  }
  if (!proto::DataType_IsValid(type.dtype())) {
    return Bad(absl::StrCat("data type ", type.dtype(), " is not known"),
               "KEEL_DTYPE_MODEL or a type of plugin.h");
  }
  if (type.dims_size() > KEEL_MAX_DIMS) {
    return Bad(absl::StrCat("a type has ", type.dims_size(), " dimensions"),
               absl::StrCat("at most ", KEEL_MAX_DIMS));
  }
  for (const proto::Dim& dim : type.dims()) {
    const bool symbolic = !dim.symbol().empty();
    Extent extent{dim.size(), dim.symbol(), dim.divisor() == 0 ? 1 : dim.divisor()};
    if (symbolic && extent.size == 0) extent.size = 1;
    if (extent.size < 1 || extent.size > kMaxSize || extent.divisor < 1 ||
        extent.divisor > kMaxSize || (!symbolic && extent.divisor != 1) ||
        std::gcd(extent.size, extent.divisor) != 1) {
      return Bad(absl::StrCat("size ", dim.size(), "/", dim.divisor(), " is not a size"),
                 "1 to 2^48, and only of a symbol a fraction in lowest terms");
    }
    out.dims.push_back(extent);
  }
  return out;
}

absl::StatusOr<int> NormalizeDim(int64_t dim, int rank) {
  const int64_t at = dim < 0 ? dim + rank : dim;
  if (at >= 0 && at < rank) return static_cast<int>(at);
  return Bad(absl::StrCat("dimension ", dim, " of a tensor with ", rank),
             rank == 0 ? "a tensor with dimensions" : absl::StrCat(-rank, " to ", rank - 1));
}

absl::StatusOr<std::vector<Extent>> ResolveView(absl::Span<const Extent> from,
                                                absl::Span<const int64_t> dims) {
  Product total;
  for (const Extent& extent : from) {
    if (!total.Multiply(extent, 1)) return ViewError(from, dims);
  }
  std::vector<Extent> out(dims.size());
  int inferred = -1;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == -1) {
      if (inferred >= 0) return ViewError(from, dims);
      inferred = static_cast<int>(i);
      continue;
    }
    if (dims[i] < -1 || dims[i] > kMaxSize || (dims[i] == 0 && i >= from.size()))
      return ViewError(from, dims);
    out[i] = dims[i] == 0 ? from[i] : Extent{dims[i], "", 1};
    if (!total.Multiply(out[i], -1)) return ViewError(from, dims);
  }
  const bool one_symbol = total.powers.size() == 1 && total.powers.begin()->second == 1;
  if (inferred < 0) {
    if (total.numerator != 1 || total.denominator != 1 || !total.powers.empty())
      return ViewError(from, dims);
  } else if (total.powers.empty() && total.denominator == 1) {
    out[inferred] = {total.numerator, "", 1};
  } else if (one_symbol) {
    out[inferred] = {total.numerator, total.powers.begin()->first, total.denominator};
  } else {
    return ViewError(from, dims);
  }
  return out;
}

absl::StatusOr<std::vector<Extent>> Broadcast(absl::Span<const Extent> a,
                                              absl::Span<const Extent> b) {
  std::vector<Extent> out(std::max(a.size(), b.size()));
  for (size_t i = 1; i <= out.size(); ++i) {
    const Extent one;
    const Extent& left = i <= a.size() ? a[a.size() - i] : one;
    const Extent& right = i <= b.size() ? b[b.size() - i] : one;
    if (!left.is(1) && !right.is(1) && left != right) {
      return Bad(
          absl::StrCat("sizes ", ToString(left), " and ", ToString(right), " don't broadcast"),
          "equal ones, or 1");
    }
    out[out.size() - i] = left.is(1) ? right : left;
  }
  return out;
}

}  // namespace keel
