// Numbers that are stored narrower than they are computed with, as their bits.
#pragma once

#include <cstdint>

namespace deepgemm {

struct Float16 {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};
struct Float8E4M3 {  // the "fn" kind: no infinities, 0x7f and 0xff are nan
  std::uint8_t bits;
};
struct Float8E5M2 {
  std::uint8_t bits;
};

}  // namespace deepgemm
