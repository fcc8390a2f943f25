// Options and suppressions of AddressSanitizer and its leak check.

extern "C" const char* __asan_default_options();
extern "C" const char* __lsan_default_suppressions();

const char* __asan_default_options() { return "detect_stack_use_after_return=1"; }

// Allocated once and kept on purpose.
const char* __lsan_default_suppressions() {
  return "leak:libtorch_cpu.so\n"
         "leak:libc10.so\n"
         "leak:libgomp.so\n"
         "leak:libcupti.so\n";
}
