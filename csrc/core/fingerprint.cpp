#include "core/fingerprint.h"

#include <algorithm>
#include <cstring>

namespace deepgemm {
namespace {

constexpr std::int64_t kComplete = 512;
constexpr std::int64_t kSamples = 16;
constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15ull;

std::uint64_t mix(std::uint64_t state, std::uint64_t word) {
  state = (state ^ word) * kOdd;
  return state ^ state >> 29;
}

// Eight polynomials side by side, because one chain of multiplications waits for itself: half a cycle
// a word. Any single change of a word changes its lane.
std::uint64_t mix_bytes(const unsigned char* p, std::int64_t bytes, std::uint64_t seed) {
  constexpr int kLanes = 8;
  std::uint64_t lane[kLanes] = {seed, 1, 2, 3, 4, 5, 6, 7};
  std::int64_t i = 0;
  for (; i + 8 * kLanes <= bytes; i += 8 * kLanes) {
    std::uint64_t word[kLanes];
    std::memcpy(word, p + i, sizeof word);
    for (int l = 0; l < kLanes; ++l) lane[l] = (lane[l] + word[l]) * kOdd;
  }
  for (int l = 0; i < bytes; i += 8, ++l) {
    std::uint64_t word = 0;
    std::memcpy(&word, p + i, static_cast<std::size_t>(std::min<std::int64_t>(8, bytes - i)));
    lane[l] = (lane[l] + word) * kOdd;
  }
  std::uint64_t state = static_cast<std::uint64_t>(bytes);
  for (const std::uint64_t l : lane) state = mix(state, l);
  return state;
}

}  // namespace

std::uint64_t full_fingerprint(const void* data, std::int64_t items, std::int64_t item_size,
                               std::uint64_t seed) {
  return mix_bytes(static_cast<const unsigned char*>(data), items * item_size, seed);
}

std::uint64_t fingerprint(const void* data, std::int64_t items, std::int64_t item_size, std::uint64_t seed) {
  if (items <= kComplete) return full_fingerprint(data, items, item_size, seed);
  const unsigned char* base = static_cast<const unsigned char*>(data);
  std::uint64_t state = seed;
  for (std::int64_t s = 0; s < kSamples; ++s) {
    const std::int64_t item =
        static_cast<std::int64_t>((static_cast<double>(items - 1) / (kSamples - 1)) * static_cast<double>(s));
    std::uint64_t word[2] = {};
    std::memcpy(word, base + item * item_size,
                static_cast<std::size_t>(std::min<std::int64_t>(item_size, 16)));
    state = mix(mix(state, word[0]), word[1]);
  }
  return state;
}

}  // namespace deepgemm
