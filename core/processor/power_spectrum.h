// Spectra of sounds for processors: what torch.stft does for transformers.
#ifndef KEEL_CORE_PROCESSOR_POWER_SPECTRUM_H_
#define KEEL_CORE_PROCESSOR_POWER_SPECTRUM_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "sdk/abi/plugin.h"

namespace keel {

// Writes |STFT|^2 of `samples` into `out`, F32 [1 + samples / hop, n_fft / 2 + 1], any strides: a frame every `hop` samples,
// of n_fft = window.size() samples around it, both ends reflected. INVALID_ARGUMENT: no such sizes. Thread-safe.
absl::Status PowerSpectrum(absl::Span<const float> samples, absl::Span<const float> window,
                           int64_t hop, const keel_dl_tensor& out);

// INVALID_ARGUMENT unless there is a spectrum of that many samples.
absl::Status CheckSpectrumSizes(int64_t samples, int64_t n_fft, int64_t hop);

}  // namespace keel

#endif  // KEEL_CORE_PROCESSOR_POWER_SPECTRUM_H_
