// The bandwidth of random rows as a plain loop has it: every row named is asked for ahead and read once.
#include <stdint.h>

typedef uint64_t line __attribute__((vector_size(64), aligned(8)));

static inline __attribute__((always_inline)) uint64_t read_rows(const char* table, int64_t row_bytes,
                                                                const int64_t* ids, int64_t count,
                                                                int64_t ahead) {
  line sums = {0};
  for (int64_t i = 0; i < count; ++i) {
    const char* next = table + ids[i + ahead < count ? i + ahead : i] * row_bytes;
    const char* row = table + ids[i] * row_bytes;
    for (int64_t at = 0; at < row_bytes; at += 64) {
      __builtin_prefetch(next + at);
      sums += *(const line*)(row + at);
    }
  }
  return sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
}

uint64_t random_rows(const char* table, int64_t row_bytes, const int64_t* ids, int64_t count, int64_t ahead) {
  switch (row_bytes) {  // known to the compiler, which unrolls what it knows
    case 64:
      return read_rows(table, 64, ids, count, ahead);
    case 128:
      return read_rows(table, 128, ids, count, ahead);
    case 256:
      return read_rows(table, 256, ids, count, ahead);
    default:
      return read_rows(table, row_bytes, ids, count, ahead);
  }
}
