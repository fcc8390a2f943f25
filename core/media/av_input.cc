#include "core/media/av_input.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace keel {
namespace {

// What may be opened. Everything else that Debian's FFmpeg can do stays out of reach of a file.
constexpr char kContainers[] = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,wav,flac,mp3,ogg";
constexpr char kCodecs[] =
    "h264,hevc,vp8,vp9,libdav1d,mpeg4,mjpeg,"
    "pcm_u8,pcm_s16le,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,pcm_alaw,pcm_mulaw,"
    "flac,mp3,mp3float,vorbis,opus,aac,alac";
constexpr int kIoBytes = 1 << 16;

struct Container {
  const char* name;  // of FFmpeg's demuxer
  size_t at;
  absl::string_view magic;
};
constexpr Container kMagics[] = {
    {"mov", 4, "ftyp"},
    {"mov", 4, "moov"},
    {"mov", 4, "mdat"},
    {"mov", 4, "wide"},
    {"matroska", 0, "\x1a\x45\xdf\xa3"},
    {"avi", 8, "AVI "},
    {"wav", 8, "WAVE"},
    {"flac", 0, "fLaC"},
    {"ogg", 0, "OggS"},
    {"mp3", 0, "ID3"},
};

const char* ContainerOf(absl::string_view bytes) {
  for (const Container& container : kMagics) {
    const bool riff = container.at != 8 || absl::StartsWith(bytes, "RIFF");
    if (riff && bytes.size() > container.at &&
        absl::StartsWith(bytes.substr(container.at), container.magic))
      return container.name;
  }
  // MPEG audio of layer III begins with eleven ones.
  const bool mp3 = bytes.size() > 2 && bytes[0] == '\xff' && (bytes[1] & 0xe6) == 0xe2;
  return mp3 ? "mp3" : nullptr;
}

// Options of FFmpeg's, by name.
struct Options {
  Options() = default;
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;
  ~Options() { av_dict_free(&entries); }

  AVDictionary* entries = nullptr;
};

void SetDecoderOptions(int64_t max_pixels, AVDictionary** entries) {
  av_dict_set(entries, "threads", "1", 0);  // a jail has no others
  av_dict_set(entries, "codec_whitelist", kCodecs, 0);
  av_dict_set_int(entries, "max_pixels", max_pixels, 0);
}

}  // namespace

absl::Status AvError(absl::string_view what, int error) {
  if (error == AVERROR(ENOMEM))
    return absl::ResourceExhaustedError(absl::StrCat(what, ": takes too much memory"));
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(error, text, sizeof(text));
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", text));
}

AvInput::AvInput(absl::string_view bytes, int64_t max_pixels)
    : bytes_(bytes), max_pixels_(max_pixels), packet_(av_packet_alloc()), frame_(av_frame_alloc()) {
  av_log_set_level(AV_LOG_QUIET);
  auto* buffer = static_cast<uint8_t*>(av_malloc(kIoBytes));
  io_ = avio_alloc_context(buffer, kIoBytes, 0, this, Read, nullptr, Seek);
  format_ = avformat_alloc_context();
  if (packet_ == nullptr || frame_ == nullptr || io_ == nullptr || format_ == nullptr)
    throw std::bad_alloc();
  format_->pb = io_;
  format_->flags |= AVFMT_FLAG_CUSTOM_IO;
}

AvInput::~AvInput() {
  avcodec_free_context(&decoder_);
  avformat_close_input(&format_);
  if (io_ != nullptr) av_freep(&io_->buffer);
  avio_context_free(&io_);
  av_frame_free(&frame_);
  av_packet_free(&packet_);
}

int AvInput::Read(void* self, uint8_t* to, int n) {
  auto& input = *static_cast<AvInput*>(self);
  const size_t read = std::min(input.bytes_.size() - input.at_, static_cast<size_t>(n));
  if (read == 0) return AVERROR_EOF;
  std::memcpy(to, input.bytes_.data() + input.at_, read);
  input.at_ += read;
  return static_cast<int>(read);
}

int64_t AvInput::Seek(void* self, int64_t offset, int whence) {
  auto& input = *static_cast<AvInput*>(self);
  const auto size = static_cast<int64_t>(input.bytes_.size());
  switch (whence & ~AVSEEK_FORCE) {
    case AVSEEK_SIZE:
      return size;
    case SEEK_SET:
      break;
    case SEEK_CUR:
      offset += static_cast<int64_t>(input.at_);
      break;
    case SEEK_END:
      offset += size;
      break;
    default:
      return AVERROR(EINVAL);
  }
  if (offset < 0 || offset > size) return AVERROR(EINVAL);
  input.at_ = static_cast<size_t>(offset);
  return offset;
}

absl::StatusOr<std::unique_ptr<AvInput>> AvInput::Open(absl::string_view bytes, AVMediaType type,
                                                       int64_t max_pixels) {
  std::unique_ptr<AvInput> input(new AvInput(bytes, max_pixels));
  KEEL_RETURN_IF_ERROR(input->OpenContainer(type));
  KEEL_RETURN_IF_ERROR(input->OpenDecoder());
  return input;
}

absl::Status AvInput::OpenContainer(AVMediaType type) {
  if (bytes_.empty()) return absl::InvalidArgumentError("it is empty");
  const char* const name = ContainerOf(bytes_);
  if (name == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("it begins with ", absl::BytesToHexString(bytes_.substr(0, 12)),
                     ", as no MP4, MOV, WebM, MKV, AVI, WAV, FLAC, MP3 or OGG does"));
  }
  Options options;
  av_dict_set(&options.entries, "format_whitelist", kContainers, 0);
  av_dict_set(&options.entries, "codec_whitelist", kCodecs, 0);
  av_dict_set(&options.entries, "protocol_whitelist", "none", 0);
  const AVInputFormat* const container = av_find_input_format(name);
  if (int error = avformat_open_input(&format_, "", container, &options.entries); error < 0)
    return AvError(name, error);
  KEEL_RETURN_IF_ERROR(FindStreams());
  const int found = av_find_best_stream(format_, type, -1, -1, &codec_, 0);
  if (found < 0 || codec_ == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": it has no ", av_get_media_type_string(type),
                     " in a codec that is read here (H.264, HEVC, VP8, VP9, AV1, MPEG-4, MJPEG; "
                     "PCM, FLAC, MP3, Vorbis, Opus, AAC, ALAC)"));
  }
  stream_ = format_->streams[found];
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    if (format_->streams[i] != stream_) format_->streams[i]->discard = AVDISCARD_ALL;
  }
  return absl::OkStatus();
}

absl::Status AvInput::FindStreams() {
  std::vector<AVDictionary*> options(format_->nb_streams);
  for (AVDictionary*& entries : options) SetDecoderOptions(max_pixels_, &entries);
  const int error = avformat_find_stream_info(format_, options.empty() ? nullptr : options.data());
  for (AVDictionary*& entries : options) av_dict_free(&entries);
  return error < 0 ? AvError(format_->iformat->name, error) : absl::OkStatus();
}

absl::Status AvInput::OpenDecoder() {
  decoder_ = avcodec_alloc_context3(codec_);
  if (decoder_ == nullptr) throw std::bad_alloc();
  if (int error = avcodec_parameters_to_context(decoder_, stream_->codecpar); error < 0)
    return AvError(codec_->name, error);
  decoder_->pkt_timebase = stream_->time_base;
  Options options;
  SetDecoderOptions(max_pixels_, &options.entries);
  if (int error = avcodec_open2(decoder_, codec_, &options.entries); error < 0)
    return AvError(codec_->name, error);
  return absl::OkStatus();
}

absl::StatusOr<bool> AvInput::NextPacket() {
  while (true) {
    av_packet_unref(packet_);
    const int error = av_read_frame(format_, packet_);
    if (error == AVERROR_EOF) return false;
    if (error < 0) return AvError(format_->iformat->name, error);
    if (packet_->stream_index == stream_->index) return true;
  }
}

absl::StatusOr<int64_t> AvInput::CountFrames(int64_t max_frames) {
  int64_t frames = 0;
  while (true) {
    KEEL_ASSIGN_OR_RETURN(const bool more, NextPacket());
    if (!more) return frames;
    if ((packet_->flags & AV_PKT_FLAG_DISCARD) == 0) ++frames;
    if (frames > max_frames) {
      return absl::ResourceExhaustedError(
          absl::StrCat("it has more than ", max_frames, " frames; send a shorter one"));
    }
  }
}

absl::StatusOr<bool> AvInput::TakeFrames(bool lenient, FrameTaker take) {
  while (true) {
    const int error = avcodec_receive_frame(decoder_, frame_);
    if (error == AVERROR(EAGAIN)) return true;
    if (error == AVERROR_EOF) return false;
    if (lenient && error == AVERROR_INVALIDDATA) continue;
    if (error < 0) return AvError(codec_->name, error);
    KEEL_ASSIGN_OR_RETURN(const bool more, take(*frame_));
    if (!more) return false;
  }
}

absl::Status AvInput::Decode(bool lenient, FrameTaker take) {
  while (true) {
    KEEL_ASSIGN_OR_RETURN(const bool packets, NextPacket());
    const int error = avcodec_send_packet(decoder_, packets ? packet_ : nullptr);
    if (error < 0 && !(lenient && error == AVERROR_INVALIDDATA))
      return AvError(codec_->name, error);
    KEEL_ASSIGN_OR_RETURN(const bool more, TakeFrames(lenient, take));
    if (!more) return absl::OkStatus();
  }
}

}  // namespace keel
