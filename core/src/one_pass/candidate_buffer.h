// The keys that may still be in the set, as they were sent.
//
// Copies share what they hold: a copy is a transaction that costs next to
// nothing. Lists of keys are never changed once they are in a buffer.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "steelyard/matrix.h"
#include "steelyard/one_pass.h"

namespace steelyard {

// Rows of `matrix`, without a copy.
AnyMatrixView SubView(const AnyMatrixView& matrix, Index first, Index count);

StorageType StorageOf(const AnyMatrixView& matrix);
std::size_t BytesPerNumber(StorageType storage);

// `rows` x `cols` numbers at `data`, which is aligned for them.
AnyMatrixView ViewOfBytes(StorageType storage, const std::byte* data,
                          Index rows, Index cols);

const std::byte* BytesOf(const AnyMatrixView& matrix);

// Stored numbers as bytes, aligned for any of them, not zeroed.
using RowBytes = std::vector<std::byte, UnsetAllocator<std::byte>>;

void AppendBytes(const std::byte* from, std::size_t count, RowBytes& to);

struct CandidateList {
  std::vector<Index> indices;  // global, ascending
  RowBytes rows;               // row-major
  std::vector<double> scores;  // causal only: on arrival
  std::vector<double> errors;  // of these, relative

  Index size() const { return static_cast<Index>(indices.size()); }
  // Takes row `i` of `from`; causal also its score.
  void Take(const CandidateList& from, Index i, std::size_t row_bytes);
};

class CandidateBuffer {
 public:
  CandidateBuffer(StorageType storage, Index columns)
      : storage_(storage), columns_(columns) {}

  Index size() const { return size_; }
  double bytes() const;
  std::size_t row_bytes() const {
    return BytesPerNumber(storage_) * static_cast<std::size_t>(columns_);
  }
  const std::vector<std::shared_ptr<const CandidateList>>& lists() const {
    return lists_;
  }
  AnyMatrixView View(const CandidateList& list) const {
    return ViewOfBytes(storage_, list.rows.data(), list.size(), columns_);
  }

  // Indices above all that are held. Short lists are joined, so that there are
  // at most about log2(size) of them and each key moves as often.
  void Append(CandidateList list);

  // Only candidates with keep[position] != 0 stay, positions counted through
  // all lists.
  void Keep(const std::vector<unsigned char>& keep);

  // All in one list, ascending, those of `other` between them.
  void MergeFrom(const CandidateBuffer& other);

  CandidateList Joined() const;

 private:
  StorageType storage_;
  Index columns_;
  Index size_ = 0;
  std::vector<std::shared_ptr<const CandidateList>> lists_;
};

}  // namespace steelyard
