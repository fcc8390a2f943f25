// The other body of keel-jail: no code is run, one graph file is read.
#ifndef KEEL_CORE_REMOTE_GRAPH_READER_H_
#define KEEL_CORE_REMOTE_GRAPH_READER_H_

#include "core/base/file_descriptor.h"
#include "core/remote/jail.h"

namespace keel {

// Confines this process (Jail::Confine), then answers one request on `channel` with the graph in the
// sealed memfd `file`, parsed, verified and written anew, or with what is wrong in it. Returns the
// exit status.
int RunGraphReader(int channel, const FileDescriptor& file, const JailLimits& limits);

}  // namespace keel

#endif  // KEEL_CORE_REMOTE_GRAPH_READER_H_
