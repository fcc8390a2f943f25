// The programs that stand on libkeel. Each is a binary of its own, and a command of `keel`.
#ifndef KEEL_APPS_COMMON_PROGRAMS_H_
#define KEEL_APPS_COMMON_PROGRAMS_H_

namespace keel::apps {

// Like main(); to be called once in a process.
int BatchMain(int argc, char** argv);
int BenchMain(int argc, char** argv);
int ChatMain(int argc, char** argv);
int CheckMain(int argc, char** argv);
int PluginMain(int argc, char** argv);
int ServerMain(int argc, char** argv);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_PROGRAMS_H_
