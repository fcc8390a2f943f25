// keel-media: images, by libraries that every machine has room for.
#include "core/media/decode.h"
#include "core/media/media_service.h"

int main(int argc, char** argv) {
  return keel::MediaServiceMain(argc, argv, {.image = keel::DecodeImage});
}
