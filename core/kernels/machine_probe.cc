#include "core/kernels/machine_probe.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "absl/functional/function_ref.h"
#include "core/kernels/amx_tiles.h"
#include "core/kernels/parallel.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace keel {
namespace {

constexpr int64_t kRounds = 100'000;
constexpr int64_t kTileRounds = 4;  // as many are one of four products of tiles, which take longer

// Results end here, so that nothing is left out as useless.
std::atomic<uint64_t> sink{0};

double Seconds(absl::FunctionRef<void()> f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

uint64_t ReadAll(const char* p, int64_t bytes) {
  typedef uint64_t Line __attribute__((vector_size(64), aligned(64)));
  Line a = {}, b = {}, c = {}, d = {};
  for (int64_t i = 0; i + 256 <= bytes; i += 256) {
    a |= *reinterpret_cast<const Line*>(p + i);
    b |= *reinterpret_cast<const Line*>(p + i + 64);
    c |= *reinterpret_cast<const Line*>(p + i + 128);
    d |= *reinterpret_cast<const Line*>(p + i + 192);
  }
  a |= b | c | d;
  return a[0] | a[1] | a[2] | a[3] | a[4] | a[5] | a[6] | a[7];
}

#if defined(__x86_64__)
// Chains enough that no product waits for the one before. To the compiler each sum is a new number in a register:
// it can neither merge equal chains nor keep them in memory.
#define KEEL_EACH_CHAIN(count) _Pragma("GCC unroll 24") for (int j = 0; j < (count); ++j)

__attribute__((target("avx2"))) uint64_t ReadAllAvx2(const char* p, int64_t bytes) {
  __m256i sums[8] = {};
  for (int64_t i = 0; i + 256 <= bytes; i += 256) {
    KEEL_EACH_CHAIN(8) {
      sums[j] = _mm256_or_si256(
          sums[j], _mm256_load_si256(reinterpret_cast<const __m256i*>(p + i + 32 * j)));
    }
  }
  for (int j = 1; j < 8; ++j) sums[0] = _mm256_or_si256(sums[0], sums[j]);
  return static_cast<uint64_t>(_mm256_extract_epi64(sums[0], 0)) |
         static_cast<uint64_t>(_mm256_extract_epi64(sums[0], 2));
}

__attribute__((target("avx2,fma"))) void FmaAvx2() {
  constexpr int kChains = 12;
  __m256 sums[kChains] = {};
  const __m256 x = _mm256_set1_ps(1.0f);
  for (int64_t i = 0; i < kRounds; ++i) {
    KEEL_EACH_CHAIN(kChains) {
      asm volatile("" : "+x"(sums[j]));
      sums[j] = _mm256_fmadd_ps(x, x, sums[j]);
    }
  }
  KEEL_EACH_CHAIN(kChains) sums[0] = _mm256_add_ps(sums[0], sums[j]);
  sink += static_cast<uint64_t>(_mm256_cvtss_f32(sums[0]));
}

#define KEEL_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl")))
constexpr int kChains512 = 24;

KEEL_AVX512 void FmaAvx512() {
  __m512 sums[kChains512] = {};
  const __m512 x = _mm512_set1_ps(1.0f);
  for (int64_t i = 0; i < kRounds; ++i) {
    KEEL_EACH_CHAIN(kChains512) {
      asm volatile("" : "+v"(sums[j]));
      sums[j] = _mm512_fmadd_ps(x, x, sums[j]);
    }
  }
  KEEL_EACH_CHAIN(kChains512) sums[0] = _mm512_add_ps(sums[0], sums[j]);
  sink += static_cast<uint64_t>(_mm512_cvtss_f32(sums[0]));
}

__attribute__((target("avx512f,avx512bf16"))) void DotBf16() {
  __m512 sums[kChains512] = {};
  const __m512i x = _mm512_set1_epi16(0x3f80);
  for (int64_t i = 0; i < kRounds; ++i) {
    KEEL_EACH_CHAIN(kChains512) {
      asm volatile("" : "+v"(sums[j]));
      sums[j] =
          _mm512_dpbf16_ps(sums[j], reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(x));
    }
  }
  KEEL_EACH_CHAIN(kChains512) sums[0] = _mm512_add_ps(sums[0], sums[j]);
  sink += static_cast<uint64_t>(_mm512_cvtss_f32(sums[0]));
}

#define KEEL_AMX __attribute__((target("amx-tile,amx-bf16,amx-int8")))

KEEL_AMX void TilesBf16() {
  amx::TileConfig().Load();
  for (int64_t i = 0; i < kRounds / kTileRounds; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
}

KEEL_AMX void TilesInt8() {
  amx::TileConfig().Load();
  for (int64_t i = 0; i < kRounds / kTileRounds; ++i) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  _tile_release();
}

__attribute__((target("avx512f,avx512vnni"))) void DotInt8() {
  __m512i sums[kChains512] = {};
  const __m512i x = _mm512_set1_epi8(1);
  for (int64_t i = 0; i < kRounds; ++i) {
    KEEL_EACH_CHAIN(kChains512) {
      asm volatile("" : "+v"(sums[j]));
      sums[j] = _mm512_dpbusd_epi32(sums[j], x, x);
    }
  }
  KEEL_EACH_CHAIN(kChains512) sums[0] = _mm512_add_epi32(sums[0], sums[j]);
  sink += static_cast<uint64_t>(_mm512_cvtsi512_si32(sums[0]));
}
#endif

// Of `f` on all threads, which does kRounds times `operations`.
double Peak(void (*f)(), double operations) {
  const int threads = ParallelThreads();
  const double seconds = Seconds([&] {
    ParallelFor(threads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) f();
    });
  });
  return operations * static_cast<double>(kRounds) * threads / seconds * 1e-9;
}

}  // namespace

MachineProbe::MachineProbe(int64_t read_bytes)
    : bytes_(read_bytes / 4096 * 4096), memory_(AllocateHugeMemory(bytes_)) {
  if (memory_ == nullptr) {
    bytes_ = 0;
    return;
  }
  ParallelFor(bytes_ / 4096, 1, [&](int64_t begin, int64_t end) {
    std::memset(memory_.get() + begin * 4096, 1, (end - begin) * 4096);
  });
}

double MachineProbe::ReadBandwidth() const {
  uint64_t (*read)(const char*, int64_t) = ReadAll;
#if defined(__x86_64__)
  if (Cpu().avx2) read = ReadAllAvx2;
#endif
  const double seconds = Seconds([&] {
    ParallelFor(bytes_ / 4096, 1, [&](int64_t begin, int64_t end) {
      sink += read(memory_.get() + begin * 4096, (end - begin) * 4096);
    });
  });
  return static_cast<double>(bytes_) / seconds * 1e-9;
}

double MachineProbe::FmaPeak(const CpuFeatures& cpu) {
#if defined(__x86_64__)
  if (cpu.avx512) return Peak(FmaAvx512, kChains512 * 16 * 2);
  if (cpu.avx2) return Peak(FmaAvx2, 12 * 8 * 2);
#else
  (void)cpu;
#endif
  return 0;
}

double MachineProbe::Bf16Peak(const CpuFeatures& cpu) {
#if defined(__x86_64__)
  if (cpu.amx_bf16) return Peak(TilesBf16, 4.0 * 16 * 16 * 32 * 2 / kTileRounds);
  if (cpu.avx512_bf16) return Peak(DotBf16, kChains512 * 32 * 2);
#else
  (void)cpu;
#endif
  return 0;
}

double MachineProbe::Int8Peak(const CpuFeatures& cpu) {
#if defined(__x86_64__)
  if (cpu.amx_int8) return Peak(TilesInt8, 4.0 * 16 * 16 * 64 * 2 / kTileRounds);
  if (cpu.avx512_vnni) return Peak(DotInt8, kChains512 * 64 * 2);
#else
  (void)cpu;
#endif
  return 0;
}

}  // namespace keel
