// Which addresses a server may be made to connect to by somebody outside.
#ifndef KEEL_CORE_MEDIA_ADDRESS_H_
#define KEEL_CORE_MEDIA_ADDRESS_H_

#include <sys/socket.h>

namespace keel {

// Whether an address is one of the public internet: not private, loopback, link-local (where clouds
// tell credentials), shared, reserved, multicast, nor IPv6 that carries IPv4 within.
bool IsPublicAddress(const sockaddr& address);

}  // namespace keel

#endif  // KEEL_CORE_MEDIA_ADDRESS_H_
