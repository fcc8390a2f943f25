// Tensors and a context of the kit's own, as a host gives them to a plugin's data plane.
#ifndef KEEL_CORE_CONFORMANCE_TEST_TENSOR_H_
#define KEEL_CORE_CONFORMANCE_TEST_TENSOR_H_

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "core/conformance/watched_memory.h"
#include "sdk/abi/plugin.h"

namespace keel::conformance {

// Of an element of a type (KEEL_F32 ...); 0: less than one.
size_t BytesOf(uint32_t dtype);

// How a tensor lies in memory.
struct Placement {
  Border border = Border::kLoose;
  // Bytes between a page's start and the data, a multiple of the element's: as in a mapped file.
  size_t offset = 0;
  // Of the offset, what keel_dl_tensor.byte_offset says.
  size_t byte_offset = 0;
  // Elements between the rows of the next-to-last dimension and its own, so that it is not contiguous.
  int64_t gap = 0;
};

class TestTensor {
 public:
  TestTensor() = default;
  TestTensor(uint32_t dtype, std::vector<int64_t> shape, const Placement& placement = {});

  const keel_dl_tensor* get() const { return &view_; }
  keel_dl_tensor* get() { return &view_; }
  uint32_t dtype() const { return dtype_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t elements() const { return elements_; }

  // Element `i`, row-major, as a number; rounded to the tensor's type when set.
  double At(int64_t i) const;
  void Set(int64_t i, double value);
  // Floating point: in [-1, 1); integers 0, 1, 2, 3.
  void Randomize(std::mt19937_64& random);
  // Every byte, those between rows too.
  void FillBytes(uint8_t byte);
  void MakeReadOnly() { memory_->MakeReadOnly(); }
  bool IsIntact() const { return memory_->IsIntact(); }
  bool SameBits(const TestTensor& other) const;
  // The largest difference to `other`, infinite where one has a NaN; and the largest number of this.
  double Apart(const TestTensor& other) const;
  double Largest() const;
  bool HasNan() const;
  // Rows `rows` of the first dimension, in their order.
  TestTensor Rows(const std::vector<int64_t>& rows, const Placement& placement = {}) const;

  uint8_t* raw() const { return memory_->data(); }
  size_t raw_bytes() const { return memory_->size(); }
  // The first `size` elements of each row of the last dimension, in the same memory.
  TestTensor FirstOfRows(int64_t size) const;

 private:
  uint8_t* Element(int64_t i) const;
  void Point();

  uint32_t dtype_ = 0;
  std::vector<int64_t> shape_, strides_;
  int64_t elements_ = 0;
  size_t byte_offset_ = 0;
  std::shared_ptr<WatchedMemory> memory_;
  keel_dl_tensor view_ = {};

 public:
  TestTensor(const TestTensor& other) { *this = other; }
  // Shares the memory.
  TestTensor& operator=(const TestTensor& other);
};

// A context whose parallel_for cuts its work into so many pieces, each on a thread of its own.
class TestContext {
 public:
  explicit TestContext(int pieces) : pieces_(pieces) {}
  TestContext(const TestContext&) = delete;
  TestContext& operator=(const TestContext&) = delete;

  // Contents are arbitrary.
  void Reserve(uint64_t bytes, Border border);
  bool WorkspaceIsIntact() const { return workspace_ == nullptr || workspace_->IsIntact(); }
  const keel_kernel_context* With(const keel_sequences* sequences = nullptr);

 private:
  static void ParallelFor(void* pool, int64_t n, int64_t grain, void (*fn)(void*, int64_t, int64_t),
                          void* arg);

  const int pieces_;
  std::unique_ptr<WatchedMemory> workspace_;
  keel_kernel_context context_ = {};
};

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_TEST_TENSOR_H_
