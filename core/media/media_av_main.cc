// keel-media-av: videos and sounds, by FFmpeg and all that it needs.
#include "core/media/decode.h"
#include "core/media/media_service.h"

int main(int argc, char** argv) {
  return keel::MediaServiceMain(argc, argv,
                                {.video = keel::DecodeVideo, .audio = keel::DecodeAudio});
}
