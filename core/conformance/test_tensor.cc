#include "core/conformance/test_tensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>
#include <utility>

namespace keel::conformance {
namespace {

constexpr int32_t kCpu = 1;  // DLPack's

template <typename T>
T Load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}
template <typename T>
void Store(double value, uint8_t* to) {
  const T typed = static_cast<T>(value);
  std::memcpy(to, &typed, sizeof(typed));
}

double LoadBf16(const uint8_t* from) {
  const uint32_t bits = static_cast<uint32_t>(Load<uint16_t>(from)) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
void StoreBf16(double value, uint8_t* to) {  // to nearest, ties to even
  const auto single = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &single, sizeof(bits));
  const auto half = static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  std::memcpy(to, &half, sizeof(half));
}

}  // namespace

size_t BytesOf(uint32_t dtype) { return (dtype >> 8 & 0xff) / 8; }

TestTensor::TestTensor(uint32_t dtype, std::vector<int64_t> shape, const Placement& placement)
    : dtype_(dtype), shape_(std::move(shape)), strides_(shape_.size(), 1), elements_(1) {
  int64_t spread = 1;  // elements from the first to behind the last
  for (size_t d = shape_.size(); d-- > 0;) {
    strides_[d] = spread;
    elements_ *= shape_[d];
    spread *= shape_[d];
    if (d + 1 == shape_.size() && d > 0) spread += placement.gap;
  }
  const size_t bytes = BytesOf(dtype_);
  byte_offset_ = placement.byte_offset;
  memory_ = std::make_shared<WatchedMemory>(static_cast<size_t>(spread) * bytes + byte_offset_,
                                            bytes, placement.border, placement.offset);
  Point();
}

TestTensor& TestTensor::operator=(const TestTensor& other) {
  dtype_ = other.dtype_;
  shape_ = other.shape_, strides_ = other.strides_;
  elements_ = other.elements_;
  byte_offset_ = other.byte_offset_;
  memory_ = other.memory_;
  if (memory_ != nullptr) Point();
  return *this;
}

void TestTensor::Point() {
  view_.data = memory_->data();
  view_.device = {kCpu, 0};
  view_.ndim = static_cast<int32_t>(shape_.size());
  view_.dtype = {static_cast<uint8_t>(dtype_ & 0xff), static_cast<uint8_t>(dtype_ >> 8 & 0xff),
                 static_cast<uint16_t>(dtype_ >> 16)};
  view_.shape = shape_.data();
  view_.strides = strides_.data();
  view_.byte_offset = byte_offset_;
}

uint8_t* TestTensor::Element(int64_t i) const {
  int64_t at = 0;
  for (size_t d = shape_.size(); d-- > 0; i /= shape_[d]) at += i % shape_[d] * strides_[d];
  return memory_->data() + byte_offset_ + static_cast<size_t>(at) * BytesOf(dtype_);
}

double TestTensor::At(int64_t i) const {
  const uint8_t* from = Element(i);
  switch (dtype_) {
    case KEEL_F32:
      return Load<float>(from);
    case KEEL_BF16:
      return LoadBf16(from);
    case KEEL_F64:
      return Load<double>(from);
    case KEEL_I64:
      return static_cast<double>(Load<int64_t>(from));
    case KEEL_I32:
      return Load<int32_t>(from);
    case KEEL_I16:
      return Load<int16_t>(from);
    case KEEL_I8:
      return Load<int8_t>(from);
    default:
      return *from;
  }
}

void TestTensor::Set(int64_t i, double value) {
  uint8_t* to = Element(i);
  switch (dtype_) {
    case KEEL_F32:
      return Store<float>(value, to);
    case KEEL_BF16:
      return StoreBf16(value, to);
    case KEEL_F64:
      return Store<double>(value, to);
    case KEEL_I64:
      return Store<int64_t>(value, to);
    case KEEL_I32:
      return Store<int32_t>(value, to);
    case KEEL_I16:
      return Store<int16_t>(value, to);
    case KEEL_I8:
      return Store<int8_t>(value, to);
    default:
      return Store<uint8_t>(value, to);
  }
}

void TestTensor::Randomize(std::mt19937_64& random) {
  const bool is_real = dtype_ == KEEL_F32 || dtype_ == KEEL_BF16 || dtype_ == KEEL_F64;
  const uint64_t integers = dtype_ == KEEL_BOOL ? 2 : 4;
  for (int64_t i = 0; i < elements_; ++i) {
    const uint64_t bits = random();
    Set(i, is_real ? std::ldexp(static_cast<double>(bits >> 32), -31) - 1
                   : static_cast<double>(bits % integers));
  }
}

void TestTensor::FillBytes(uint8_t byte) { std::memset(memory_->data(), byte, memory_->size()); }

bool TestTensor::SameBits(const TestTensor& other) const {
  if (shape_ != other.shape_ || dtype_ != other.dtype_) return false;
  for (int64_t i = 0; i < elements_; ++i) {
    if (std::memcmp(Element(i), other.Element(i), BytesOf(dtype_)) != 0) return false;
  }
  return true;
}

double TestTensor::Apart(const TestTensor& other) const {
  if (shape_ != other.shape_) return std::numeric_limits<double>::infinity();
  double apart = 0;
  for (int64_t i = 0; i < elements_; ++i) {
    const double here = std::fabs(At(i) - other.At(i));
    apart = std::isnan(here) ? std::numeric_limits<double>::infinity() : std::max(apart, here);
  }
  return apart;
}

double TestTensor::Largest() const {
  double largest = 0;
  for (int64_t i = 0; i < elements_; ++i) largest = std::max(largest, std::fabs(At(i)));
  return largest;
}

bool TestTensor::HasNan() const {
  for (int64_t i = 0; i < elements_; ++i) {
    if (std::isnan(At(i))) return true;
  }
  return false;
}

TestTensor TestTensor::Rows(const std::vector<int64_t>& rows, const Placement& placement) const {
  std::vector<int64_t> shape = shape_;
  shape[0] = static_cast<int64_t>(rows.size());
  TestTensor out(dtype_, shape, placement);
  const int64_t size = shape_[0] == 0 ? 0 : elements_ / shape_[0];
  for (size_t r = 0; r < rows.size(); ++r) {
    for (int64_t i = 0; i < size; ++i) {
      std::memcpy(out.Element(static_cast<int64_t>(r) * size + i), Element(rows[r] * size + i),
                  BytesOf(dtype_));
    }
  }
  return out;
}

TestTensor TestTensor::FirstOfRows(int64_t size) const {
  TestTensor out = *this;
  out.elements_ = elements_ / shape_.back() * size;
  out.shape_.back() = size;
  out.Point();
  return out;
}

void TestContext::Reserve(uint64_t bytes, Border border) {
  constexpr size_t kWorkspaceAlignment = 64;
  workspace_ = std::make_unique<WatchedMemory>(bytes, kWorkspaceAlignment, border);
  std::memset(workspace_->data(), 0xff, bytes);
  context_.workspace = bytes == 0 ? nullptr : workspace_->data();
  context_.workspace_bytes = bytes;
}

const keel_kernel_context* TestContext::With(const keel_sequences* sequences) {
  context_.struct_size = sizeof(context_);
  context_.device_type = kCpu;
  context_.pool = this;
  context_.parallel_for = ParallelFor;
  context_.sequences = sequences;
  return &context_;
}

void TestContext::ParallelFor(void* pool, int64_t n, int64_t grain,
                              void (*fn)(void*, int64_t, int64_t), void* arg) {
  if (n < 1) return;
  const int64_t most = std::max<int64_t>(1, n / std::max<int64_t>(1, grain));
  const int64_t pieces = std::min<int64_t>(static_cast<TestContext*>(pool)->pieces_, most);
  std::vector<std::thread> threads;
  for (int64_t i = 1; i < pieces; ++i)
    threads.emplace_back(fn, arg, n * i / pieces, n * (i + 1) / pieces);
  fn(arg, 0, n / pieces);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace keel::conformance
