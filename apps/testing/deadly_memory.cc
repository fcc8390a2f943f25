// Kills the process when it makes a JSON value of more than 8 MiB, as a system without memory would: for
// tests of what dies as it reads. Those values alone are made by the operator new with an alignment.
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

constexpr std::size_t kDeadlyBytes = 8 << 20;

}  // namespace

void* operator new(std::size_t bytes, std::align_val_t alignment) {
  if (bytes > kDeadlyBytes) std::raise(SIGKILL);
  const auto step = static_cast<std::size_t>(alignment);
  void* memory = std::aligned_alloc(step, (bytes + step - 1) / step * step);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
