#include "tests/support/allocation_peak.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace steelyard::test {
namespace {

std::atomic<std::int64_t> held{0};
std::atomic<std::int64_t> most{0};

void* Count(void* memory) {
  if (memory == nullptr) return nullptr;
  const auto size = static_cast<std::int64_t>(malloc_usable_size(memory));
  const std::int64_t now = held.fetch_add(size) + size;
  std::int64_t seen = most.load();
  while (now > seen && !most.compare_exchange_weak(seen, now)) {
  }
  return memory;
}

void* CountOrThrow(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return Count(memory);
}

void Release(void* memory) {
  held.fetch_sub(static_cast<std::int64_t>(malloc_usable_size(memory)));
  std::free(memory);
}

}  // namespace

AllocationPeak::AllocationPeak() : start_(held.load()) { most.store(start_); }

std::int64_t AllocationPeak::bytes() const { return most.load() - start_; }

}  // namespace steelyard::test

using steelyard::test::Count;
using steelyard::test::CountOrThrow;
using steelyard::test::Release;

// The array forms of the standard library end in these. So does its nothrow
// form (std::stable_sort takes it), but not that of a sanitizer.
void* operator new(std::size_t size) { return CountOrThrow(std::malloc(size)); }

void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return Count(std::malloc(size));
}

void* operator new(std::size_t size, std::align_val_t alignment) {
  const auto unit = static_cast<std::size_t>(alignment);
  return CountOrThrow(
      std::aligned_alloc(unit, (size + unit - 1) / unit * unit));
}

void operator delete(void* memory) noexcept { Release(memory); }

void operator delete(void* memory, std::size_t) noexcept { Release(memory); }

void operator delete(void* memory, std::align_val_t) noexcept {
  Release(memory);
}

void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  Release(memory);
}
