#include "core/id_order.h"

#include <new>

namespace deepgemm {
namespace {

// Digits of 11 bits: their counters fill half of the first cache. One thread; of a step of training it is
// the smaller part, because rows that are gathered and updated come from memory.
constexpr int kDigitBits = 11;
constexpr std::int64_t kDigits = std::int64_t{1} << kDigitBits;

struct Item {
  std::int64_t row, place;
};

IndexType type_of(bool wide) { return wide ? IndexType::i64 : IndexType::i32; }

// The row that an id means, or -1 for none.
std::int64_t row_of(const BagArgs& args, std::int64_t place, IdOrder& order) {
  std::int64_t id = index_at(args.ids, type_of(args.wide_ids), place);
  if (id < 0 || id >= args.table.count) {
    if (args.out_of_range == OutOfRange::refuse && order.fault < 0) order.fault = place;
    if (args.out_of_range != OutOfRange::clip) return -1;
    id = id < 0 ? 0 : args.table.count - 1;
  }
  return id == args.padding ? -1 : id;
}

// Stable, so positions stay in ascending order.
void sort_by_row(std::vector<Item>& items, std::int64_t rows) {
  std::vector<Item> other(items.size());
  for (int shift = 0; shift < 63 && (rows - 1) >> shift > 0; shift += kDigitBits) {
    std::vector<std::int64_t> next(kDigits + 1, 0);
    const auto digit = [shift](const Item& item) { return item.row >> shift & (kDigits - 1); };
    for (const Item& item : items) ++next[static_cast<std::size_t>(digit(item) + 1)];
    for (std::size_t d = 0; d < kDigits; ++d) next[d + 1] += next[d];
    for (const Item& item : items)
      other[static_cast<std::size_t>(next[static_cast<std::size_t>(digit(item))]++)] = item;
    items.swap(other);
  }
}

void fill(const BagArgs& args, std::int64_t bags, IdOrder& order) {
  const IndexType where = type_of(args.wide);
  std::vector<std::int64_t> bag_of(static_cast<std::size_t>(args.id_count));
  std::vector<Item> items;
  items.reserve(static_cast<std::size_t>(args.id_count));
  for (std::int64_t bag = 0; bag < bags; ++bag) {
    const std::int64_t begin = index_at(args.offsets, where, bag);
    const std::int64_t end = args.lengths != nullptr ? begin + index_at(args.lengths, where, bag)
                                                     : index_at(args.offsets, where, bag + 1);
    if (begin < 0 || end > args.id_count) {
      if (order.fault < 0) order.fault = args.id_count;
      continue;
    }
    for (std::int64_t place = begin; place < end; ++place) {
      bag_of[static_cast<std::size_t>(place)] = bag;
      const std::int64_t row = row_of(args, place, order);
      if (row >= 0) items.push_back({row, place});
    }
  }
  sort_by_row(items, args.table.count);
  order.places.reserve(items.size());
  order.bags.reserve(items.size());
  for (const Item& item : items) {
    if (order.rows.empty() || order.rows.back() != item.row) {
      order.rows.push_back(item.row);
      order.offsets.push_back(static_cast<std::int64_t>(order.places.size()));
    }
    order.places.push_back(item.place);
    order.bags.push_back(bag_of[static_cast<std::size_t>(item.place)]);
  }
  order.offsets.push_back(static_cast<std::int64_t>(items.size()));
}

}  // namespace

bool order_ids(const BagArgs& args, std::int64_t bags, IdOrder& order) noexcept {
  try {
    fill(args, bags, order);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace deepgemm
