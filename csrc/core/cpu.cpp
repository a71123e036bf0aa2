#include "core/cpu.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>

#if defined(__linux__)
#include <unistd.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(_M_X64)
#include <intrin.h>
#endif

namespace deepgemm::cpu {
namespace {

constexpr std::array<const char*, 6> kNames = {"scalar", "avx2", "avx512", "neon", "sve", "rvv"};

#if defined(__x86_64__) || defined(_M_X64)

struct Registers {
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf = 0) {
  Registers r;
#if defined(_M_X64)
  int out[4];
  __cpuidex(out, static_cast<int>(leaf), static_cast<int>(subleaf));
  std::memcpy(&r, out, sizeof out);
#else
  if (!__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx)) return {};
#endif
  return r;
}

// Which register files the operating system saves; without this an instruction that the CPU has
// still faults.
std::uint64_t enabled_state() {
#if defined(_M_X64)
  return _xgetbv(0);
#else
  std::uint32_t low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<std::uint64_t>(high) << 32 | low;
#endif
}

bool bit(std::uint32_t word, int position) { return (word >> position & 1u) != 0; }

void detect_x86(Info& info) {
  const Registers one = cpuid(1), seven = cpuid(7), seven_one = cpuid(7, 1);
  constexpr std::uint64_t kYmm = 0x6, kZmm = 0xe6, kTiles = 0x60000;
  const std::uint64_t state = bit(one.ecx, 27) ? enabled_state() : 0;

  const bool ymm = (state & kYmm) == kYmm, zmm = (state & kZmm) == kZmm;
  const bool avx2 = ymm && bit(one.ecx, 28) /*avx*/ && bit(one.ecx, 12) /*fma*/ &&
                    bit(one.ecx, 29) /*f16c*/ && bit(seven.ebx, 5) /*avx2*/ && bit(seven.ebx, 8) /*bmi2*/;
  const bool avx512 = avx2 && zmm && bit(seven.ebx, 16) /*f*/ && bit(seven.ebx, 17) /*dq*/ &&
                      bit(seven.ebx, 28) /*cd*/ && bit(seven.ebx, 30) /*bw*/ && bit(seven.ebx, 31) /*vl*/;
  if (avx512) info.isas.push_back(Isa::avx512);
  if (avx2) info.isas.push_back(Isa::avx2);

  if (avx512 && bit(seven.ecx, 11)) info.features.emplace_back("vnni");
  if (avx512 && bit(seven_one.eax, 5)) info.features.emplace_back("bf16");
  if (avx512 && bit(seven.edx, 23)) info.features.emplace_back("fp16");
  if (avx512 && bit(seven.edx, 24) && (state & kTiles) == kTiles) info.features.emplace_back("amx");

  char brand[49] = {};
  for (std::uint32_t part = 0; part < 3; ++part) {
    const Registers r = cpuid(0x80000002u + part);
    std::memcpy(brand + 16 * part, &r, 16);
  }
  info.name = brand;
}
#endif

#if defined(__linux__)
std::int64_t read_size(const std::string& path) {
  std::ifstream file(path);
  std::int64_t value = 0;
  char unit = 0;
  if (!(file >> value)) return 0;
  file >> unit;
  return unit == 'K' ? value << 10 : unit == 'M' ? value << 20 : value;
}

std::string read_word(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

void detect_caches(Info& info) {
  for (int index = 0; index < 8; ++index) {
    const std::string base = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    const std::string level = read_word(base + "level"), type = read_word(base + "type");
    if (level.empty() || type == "Instruction") continue;
    std::int64_t& slot = level == "1" ? info.l1d : level == "2" ? info.l2 : info.l3;
    slot = read_size(base + "size");
  }
}

std::string name_from_cpuinfo() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    for (const char* key : {"model name", "CPU part", "uarch"}) {
      const std::size_t colon = line.find(": ");
      if (line.rfind(key, 0) == 0 && colon != std::string::npos) return line.substr(colon + 2);
    }
  }
  return "";
}
#endif

Info detect() {
  Info info;
#if defined(__x86_64__) || defined(_M_X64)
  detect_x86(info);
#endif
#if defined(__linux__)
  detect_caches(info);
  if (info.name.empty()) info.name = name_from_cpuinfo();
#endif
  if (info.name.empty()) info.name = "unknown";
  while (!info.name.empty() && info.name.back() == ' ') info.name.pop_back();
  info.isas.push_back(Isa::scalar);
  return info;
}

Info& detected() {
  static Info info = detect();
  return info;
}

}  // namespace

const Info& info() { return detected(); }

bool has(const std::string& feature) {
  const std::vector<std::string>& features = info().features;
  return std::find(features.begin(), features.end(), feature) != features.end();
}

void assume(const std::string& feature) {
  if (!has(feature)) detected().features.push_back(feature);
}

const char* name_of(Isa isa) { return kNames[static_cast<std::size_t>(isa)]; }

bool parse(const std::string& text, Isa& isa) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (text == kNames[i]) {
      isa = static_cast<Isa>(i);
      return true;
    }
  }
  return false;
}

}  // namespace deepgemm::cpu
