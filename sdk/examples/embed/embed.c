/* Keel in a C program: a question to a model, its answer as it is made.
 *
 *   embed MODEL QUESTION
 */
#include <stdio.h>
#include <string.h>

#include "sdk/abi/engine.h"

#define TRY(call)                                    \
  do {                                               \
    if ((call) != 0) {                               \
      fprintf(stderr, "%s\n", keel_error_message()); \
      goto done;                                     \
    }                                                \
  } while (0)

/* `text` as a JSON string; no room: a shorter one. */
static void quote(const char* text, char* out, size_t room) {
  size_t n = 0;
  for (; *text != '\0' && n + 8 < room; ++text) {
    const unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\')
      n += (size_t)snprintf(out + n, room - n, "\\%c", c);
    else if (c < 0x20)
      n += (size_t)snprintf(out + n, room - n, "\\u%04x", c);
    else
      out[n++] = *text;
  }
  out[n] = '\0';
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s MODEL QUESTION\n", argv[0]);
    return 2;
  }
  int failed = 1;
  keel_options* options = NULL;
  keel_engine* engine = NULL;
  keel_request* request = NULL;
  char question[2048], messages[2200];
  uint64_t id = 0;

  TRY(keel_options_new(&options));
  TRY(keel_options_set(options, "model", argv[1]));
  TRY(keel_engine_new(options, &engine));

  quote(argv[2], question, sizeof question);
  snprintf(messages, sizeof messages, "[{\"role\": \"user\", \"content\": \"%s\"}]", question);
  TRY(keel_request_new(&request));
  TRY(keel_request_set_messages(request, messages, strlen(messages)));
  TRY(keel_request_set_int(request, "max_tokens", 64));
  TRY(keel_request_set_float(request, "temperature", 0));
  TRY(keel_engine_submit(engine, request, NULL, NULL, &id));

  for (int last = 0; !last;) {
    const keel_output* output = NULL;
    TRY(keel_engine_poll(engine, id, -1, &output));
    size_t n = 0;
    const char* text = keel_output_text(output, &n);
    fwrite(text, 1, n, stdout);
    fflush(stdout);
    const char* message = NULL;
    if (keel_output_status(output, &message) != 0) {
      fprintf(stderr, "%s\n", message);
      goto done;
    }
    last = keel_output_is_last(output);
  }
  printf("\n");
  failed = 0;

done:
  keel_request_free(request);
  if (engine != NULL) keel_engine_free(engine);
  keel_options_free(options);
  return failed;
}
