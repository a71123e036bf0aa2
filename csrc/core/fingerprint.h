// A cheap check that shared memory still holds what it held: complete for small arrays, sampled for
// large ones.
#pragma once

#include <cstdint>

namespace deepgemm {

// Mixes `bytes` bytes at `data` into `seed`. Arrays of up to 512 items are read whole, larger ones at
// 16 evenly spaced items, the first and the last among them.
std::uint64_t fingerprint(const void* data, std::int64_t items, std::int64_t item_size, std::uint64_t seed);
// The same over every byte.
std::uint64_t full_fingerprint(const void* data, std::int64_t items, std::int64_t item_size,
                               std::uint64_t seed);

}  // namespace deepgemm
