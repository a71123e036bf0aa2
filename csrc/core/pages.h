// Large pages for large memory, where the system has to be asked for them.
#pragma once

#include <cstddef>

namespace deepgemm::pages {

// Bytes from which memory is worth large pages, and where it then should begin. Streams and gathers through
// pages of 4 KB wait for address translations: a product of 690 MB of float64 slices with a vector took 36 to
// 40 ms, and 24 to 25 so (two threads).
constexpr std::size_t kLarge = std::size_t{4} << 20;
constexpr std::size_t kAlignment = std::size_t{2} << 20;

// Asks for large pages behind memory that has not been touched. Nothing happens where there are none.
void prefer_large(void* data, std::size_t bytes);

}  // namespace deepgemm::pages
