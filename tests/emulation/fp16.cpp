// vfmadd231ph for CPUs that have AVX-512 but not AVX512-FP16: a handler of SIGILL does what the instruction
// would have done to the registers of the interrupted thread, and goes on behind it.
//
// Decoded is what csrc/simd/halves.h writes: three 512-bit registers, no mask, rounding to nearest. Anything
// else that is illegal ends the process, as it would have without a handler.
#include <cpuid.h>
#include <ucontext.h>
#include <unistd.h>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <initializer_list>

namespace {

constexpr int kLanes = 32;
constexpr std::uint16_t kInfinity = 0x7c00, kNan = 0x7e00;

// ---- the arithmetic, in integers -----------------------------------------------------------------------

struct Half {
  bool negative, infinite, nan;
  std::int64_t magnitude;  // in units of 2^-24, the smallest subnormal number

  explicit Half(std::uint16_t bits) : negative(bits >> 15), infinite(false), nan(false), magnitude(0) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    if (exponent == 31) {
      nan = fraction != 0;
      infinite = !nan;
    } else {
      magnitude = exponent == 0 ? fraction : std::int64_t{1024 + fraction} << (exponent - 1);
    }
  }
};

std::uint16_t with_sign(std::uint16_t bits, bool negative) {
  return static_cast<std::uint16_t>(bits | (negative ? 0x8000 : 0));
}

// The nearest half of an integer number of 2^-48, ties to even.
std::uint16_t rounded(unsigned __int128 magnitude, bool negative) {
  const auto high = static_cast<std::uint64_t>(magnitude >> 35);  // none is above 2^82
  const int top = high == 0 ? 0 : 35 + 63 - __builtin_clzll(high);
  const int shift = top - 10 > 24 ? top - 10 : 24;  // what is left has 11 bits, or is subnormal
  unsigned __int128 kept = magnitude >> shift;
  const unsigned __int128 rest = magnitude - (kept << shift), half = static_cast<unsigned __int128>(1)
                                                                     << (shift - 1);
  if (rest > half || (rest == half && (kept & 1) != 0)) ++kept;
  // The leading bit of a normal number counts as one in its exponent.
  const auto bits = (static_cast<std::uint64_t>(shift - 24) << 10) + static_cast<std::uint64_t>(kept);
  return with_sign(bits >= kInfinity ? kInfinity : static_cast<std::uint16_t>(bits), negative);
}

std::uint16_t fused(std::uint16_t a_bits, std::uint16_t b_bits, std::uint16_t c_bits) {
  const Half a(a_bits), b(b_bits), c(c_bits);
  const bool negative = a.negative != b.negative;
  if (a.nan || b.nan || c.nan) return kNan;
  if (a.infinite || b.infinite) {
    const bool zero = (!a.infinite && a.magnitude == 0) || (!b.infinite && b.magnitude == 0);
    return zero || (c.infinite && c.negative != negative) ? kNan : with_sign(kInfinity, negative);
  }
  if (c.infinite) return c_bits;
  __int128 product = static_cast<__int128>(a.magnitude) * b.magnitude;
  __int128 addend = static_cast<__int128>(c.magnitude) << 24;
  if (product == 0 && addend == 0) return with_sign(0, negative && c.negative);
  const __int128 sum = (negative ? -product : product) + (c.negative ? -addend : addend);
  return sum < 0 ? rounded(static_cast<unsigned __int128>(-sum), true)
                 : rounded(static_cast<unsigned __int128>(sum), false);
}

// ---- the registers in a signal's frame ---------------------------------------------------------

// Components of the extended state: their bits in XCR0, and where they stand in its standard format.
enum Component { kSse = 1, kYmm = 2, kZmm = 6, kHigh = 7 };
std::uint32_t offset_of[8];

constexpr int kHeader = 512, kXmm = 160;

class Registers {
 public:
  explicit Registers(const ucontext_t& context)
      : area_(reinterpret_cast<unsigned char*>(context.uc_mcontext.fpregs)) {}

  // Four quarters of 16 bytes.
  void load(int number, std::uint16_t (&lanes)[kLanes]) const {
    for (int quarter = 0; quarter < 4; ++quarter) {
      const Place place = place_of(number, quarter);
      if (present() >> place.component & 1) {
        std::memcpy(lanes + 8 * quarter, area_ + place.offset, 16);
      } else {  // in its initial state, whatever the memory holds
        std::memset(lanes + 8 * quarter, 0, 16);
      }
    }
  }

  void store(int number, const std::uint16_t (&lanes)[kLanes]) {
    for (int quarter = 0; quarter < 4; ++quarter) {
      const Place place = place_of(number, quarter);
      if (!(present() >> place.component & 1)) initialise(place.component);
      std::memcpy(area_ + place.offset, lanes + 8 * quarter, 16);
    }
  }

 private:
  struct Place {
    int component;
    std::size_t offset;
  };

  static Place place_of(int number, int quarter) {
    const auto n = static_cast<std::size_t>(number), q = static_cast<std::size_t>(quarter);
    if (number >= 16) return {kHigh, offset_of[kHigh] + 64 * (n - 16) + 16 * q};
    if (quarter == 0) return {kSse, kXmm + 16 * n};
    if (quarter == 1) return {kYmm, offset_of[kYmm] + 16 * n};
    return {kZmm, offset_of[kZmm] + 32 * n + 16 * (q - 2)};
  }

  std::uint64_t present() const {
    std::uint64_t bits;
    std::memcpy(&bits, area_ + kHeader, sizeof bits);
    return bits;
  }

  void initialise(int component) {
    for (int number = component == kHigh ? 16 : 0; number < (component == kHigh ? 32 : 16); ++number) {
      for (int quarter = 0; quarter < 4; ++quarter) {
        const Place place = place_of(number, quarter);
        if (place.component == component) std::memset(area_ + place.offset, 0, 16);
      }
    }
    const std::uint64_t bits = present() | std::uint64_t{1} << component;
    std::memcpy(area_ + kHeader, &bits, sizeof bits);
  }

  unsigned char* area_;
};

// ---- the instruction ---------------------------------------------------------------------------

constexpr int kLength = 6;

struct Operands {
  int sum, left, right;
};

// EVEX.512.66.MAP6.W0 B8 /r between registers: four bytes of prefix, whose register bits are inverted.
bool decode(const unsigned char* code, Operands& operands) {
  if (code[0] != 0x62 || (code[1] & 0x0f) != 0x06 || (code[2] & 0x87) != 0x05) return false;
  if ((code[3] & 0xf7) != 0x40 || code[4] != 0xb8 || code[5] >> 6 != 3) return false;
  const auto inverted = [&](int byte, int bit) { return (~code[byte] >> bit) & 1; };
  operands.sum = (code[5] >> 3 & 7) | inverted(1, 7) << 3 | inverted(1, 4) << 4;
  operands.left = (~code[2] >> 3 & 15) | inverted(3, 3) << 4;
  operands.right = (code[5] & 7) | inverted(1, 5) << 3 | inverted(1, 6) << 4;
  return true;
}

unsigned long long count;

void emulate(int, siginfo_t*, void* raw) {
  auto& context = *static_cast<ucontext_t*>(raw);
  greg_t& next = context.uc_mcontext.gregs[REG_RIP];
  Operands operands;
  if (!decode(reinterpret_cast<const unsigned char*>(next), operands)) {
    constexpr char kWhat[] = "fp16.cpp: an illegal instruction other than vfmadd231ph zmm, zmm, zmm\n";
    if (write(STDERR_FILENO, kWhat, sizeof kWhat - 1) >= 0) std::signal(SIGILL, SIG_DFL);
    return;
  }
  Registers registers(context);
  std::uint16_t sum[kLanes], left[kLanes], right[kLanes];
  registers.load(operands.sum, sum);
  registers.load(operands.left, left);
  registers.load(operands.right, right);
  for (int i = 0; i < kLanes; ++i) sum[i] = fused(left[i], right[i], sum[i]);
  registers.store(operands.sum, sum);
  next += kLength;
  __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);
}

}  // namespace

// Emulates from now on; false where the system keeps no 512-bit registers.
extern "C" bool emulate_fp16() {
  for (const int component : {kYmm, kZmm, kHigh}) {
    std::uint32_t bytes, offset, ecx, edx;
    if (!__get_cpuid_count(0xd, static_cast<unsigned>(component), &bytes, &offset, &ecx, &edx) || bytes == 0)
      return false;
    offset_of[component] = offset;
  }
  struct sigaction action = {};
  action.sa_sigaction = emulate;
  action.sa_flags = SA_SIGINFO;
  return sigaction(SIGILL, &action, nullptr) == 0;
}

// Instructions emulated so far.
extern "C" unsigned long long emulated() { return __atomic_load_n(&count, __ATOMIC_RELAXED); }

// out = a * b + c, for n numbers, as the handler computes it.
extern "C" void fused_halves(const std::uint16_t* a, const std::uint16_t* b, const std::uint16_t* c,
                             std::uint16_t* out, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = fused(a[i], b[i], c[i]);
}
