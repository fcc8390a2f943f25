#include "core/processor/power_spectrum.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/reflection_pad1d.h>
#include <ATen/ops/stft.h>

#include <algorithm>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

// Taken together; what they need beside the result stays below a few megabytes.
constexpr int64_t kFramesAtOnce = 1024;

at::Tensor ViewOf(absl::Span<const float> values) {
  return at::from_blob(const_cast<float*>(values.data()), {static_cast<int64_t>(values.size())},
                       at::TensorOptions().dtype(at::kFloat));
}

absl::StatusOr<at::Tensor> ViewOf(const keel_dl_tensor& out, int64_t frames, int64_t bins) {
  const bool fits = out.data != nullptr && out.ndim == 2 && out.shape[0] == frames &&
                    out.shape[1] == bins && out.dtype.code == 2 && out.dtype.bits == 32 &&
                    out.dtype.lanes == 1 && out.device.device_type == 1;
  if (!fits) {
    return absl::InvalidArgumentError(absl::StrCat("power_spectrum: the result is not F32 [",
                                                   frames, ", ", bins, "] on the CPU"));
  }
  return CatchAten([&] {
    return at::from_blob(static_cast<char*>(out.data) + out.byte_offset, {frames, bins},
                         {out.strides[0], out.strides[1]}, at::TensorOptions().dtype(at::kFloat));
  });
}

}  // namespace

absl::Status CheckSpectrumSizes(int64_t samples, int64_t n_fft, int64_t hop) {
  constexpr int64_t kMostSamples = int64_t{1} << 31, kMostFft = 1 << 16;
  const bool fits = n_fft >= 2 && n_fft <= kMostFft && n_fft % 2 == 0 && hop >= 1 &&
                    samples > n_fft / 2 && samples <= kMostSamples;
  if (fits) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "power_spectrum: ", samples, " samples, n_fft ", n_fft, ", hop ", hop,
      ", expected an even n_fft of 2 to ", kMostFft,
      ", a hop of 1 and more, and more samples than n_fft / 2, at most ", kMostSamples));
}

absl::Status PowerSpectrum(absl::Span<const float> samples, absl::Span<const float> window,
                           int64_t hop, const keel_dl_tensor& out) {
  const auto n = static_cast<int64_t>(samples.size()), n_fft = static_cast<int64_t>(window.size());
  KEEL_RETURN_IF_ERROR(CheckSpectrumSizes(n, n_fft, hop));
  const int64_t frames = 1 + n / hop;
  KEEL_ASSIGN_OR_RETURN(const at::Tensor to, ViewOf(out, frames, n_fft / 2 + 1));
  return CatchAten([&]() -> absl::Status {
    const int64_t ends[] = {n_fft / 2, n_fft / 2};
    const at::Tensor padded = at::reflection_pad1d(ViewOf(samples).unsqueeze(0), ends).squeeze(0);
    const at::Tensor weights = ViewOf(window);
    for (int64_t first = 0; first < frames; first += kFramesAtOnce) {
      const int64_t some = std::min(kFramesAtOnce, frames - first);
      const at::Tensor part = padded.narrow(0, first * hop, (some - 1) * hop + n_fft);
      const at::Tensor spectrum =
          at::stft(part, n_fft, hop, n_fft, weights, /*normalized=*/false, /*onesided=*/true,
                   /*return_complex=*/true);
      to.narrow(0, first, some).copy_(at::abs(spectrum).square().t());
    }
    return absl::OkStatus();
  });
}

}  // namespace keel
