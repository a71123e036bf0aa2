// The bandwidth of random rows as a plain loop has it: every row named is asked for ahead and read once.
#include <stdint.h>

uint64_t random_rows(const char* table, int64_t row_bytes, const int64_t* ids, int64_t count, int64_t ahead) {
  uint64_t sums[8] = {0};
  for (int64_t i = 0; i < count; ++i) {
    if (i + ahead < count) {
      const char* next = table + ids[i + ahead] * row_bytes;
      for (int64_t at = 0; at < row_bytes; at += 64) __builtin_prefetch(next + at);
    }
    const uint64_t* row = (const uint64_t*)(table + ids[i] * row_bytes);
    for (int64_t at = 0; at < row_bytes / 8; at += 8) {
      for (int lane = 0; lane < 8; ++lane) sums[lane] += row[at + lane];
    }
  }
  uint64_t all = 0;
  for (int lane = 0; lane < 8; ++lane) all += sums[lane];
  return all;
}
