#include "one_pass/candidate_buffer.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <variant>

namespace steelyard {
namespace {

void AppendRange(const CandidateList& from, CandidateList& to) {
  to.indices.insert(to.indices.end(), from.indices.begin(), from.indices.end());
  AppendBytes(from.rows.data(), from.rows.size(), to.rows);
  to.scores.insert(to.scores.end(), from.scores.begin(), from.scores.end());
  to.errors.insert(to.errors.end(), from.errors.begin(), from.errors.end());
}

}  // namespace

AnyMatrixView SubView(const AnyMatrixView& matrix, Index first, Index count) {
  return std::visit(
      [&](const auto& view) -> AnyMatrixView {
        using View = std::decay_t<decltype(view)>;
        return View(view.row(first), count, view.cols());
      },
      matrix);
}

StorageType StorageOf(const AnyMatrixView& matrix) {
  return static_cast<StorageType>(matrix.index());
}

std::size_t BytesPerNumber(StorageType storage) {
  switch (storage) {
    case StorageType::kFloat64:
      return 8;
    case StorageType::kFloat32:
      return 4;
    case StorageType::kFloat16:
    case StorageType::kBFloat16:
      return 2;
  }
  return 8;
}

AnyMatrixView ViewOfBytes(StorageType storage, const std::byte* data,
                          Index rows, Index cols) {
  switch (storage) {
    case StorageType::kFloat64:
      break;
    case StorageType::kFloat32:
      return MatrixView<float>(reinterpret_cast<const float*>(data), rows,
                               cols);
    case StorageType::kFloat16:
      return MatrixView<Half>(reinterpret_cast<const Half*>(data), rows, cols);
    case StorageType::kBFloat16:
      return MatrixView<BFloat16>(reinterpret_cast<const BFloat16*>(data), rows,
                                  cols);
  }
  return MatrixView<double>(reinterpret_cast<const double*>(data), rows, cols);
}

const std::byte* BytesOf(const AnyMatrixView& matrix) {
  return std::visit(
      [](const auto& view) {
        return reinterpret_cast<const std::byte*>(view.data());
      },
      matrix);
}

void AppendBytes(const std::byte* from, std::size_t count, RowBytes& to) {
  if (count == 0) return;
  const std::size_t before = to.size();
  to.resize(before + count);
  std::memcpy(to.data() + before, from, count);
}

void CandidateList::Take(const CandidateList& from, Index i,
                         std::size_t row_bytes) {
  const auto at = static_cast<std::size_t>(i);
  indices.push_back(from.indices[at]);
  AppendBytes(from.rows.data() + at * row_bytes, row_bytes, rows);
  if (from.scores.empty()) return;
  scores.push_back(from.scores[at]);
  errors.push_back(from.errors[at]);
}

double CandidateBuffer::bytes() const {
  double sum = 0.0;
  for (const auto& list : lists_) {
    sum += static_cast<double>(list->rows.capacity() +
                               8 * (list->indices.capacity() +
                                    list->scores.capacity() +
                                    list->errors.capacity()));
  }
  return sum;
}

void CandidateBuffer::Append(CandidateList list) {
  if (list.size() == 0) return;
  size_ += list.size();
  std::size_t last = lists_.size();
  Index joined_size = list.size();
  while (last > 0 && lists_[last - 1]->size() <= joined_size) {
    joined_size += lists_[--last]->size();
  }
  CandidateList joined;
  if (last == lists_.size()) {
    joined = std::move(list);
  } else {
    // Not a byte more: buffers are held for long.
    joined.indices.reserve(static_cast<std::size_t>(joined_size));
    joined.rows.reserve(static_cast<std::size_t>(joined_size) * row_bytes());
    for (std::size_t k = last; k < lists_.size(); ++k) {
      AppendRange(*lists_[k], joined);
    }
    AppendRange(list, joined);
  }
  lists_.resize(last);
  lists_.push_back(std::make_shared<const CandidateList>(std::move(joined)));
}

void CandidateBuffer::Keep(const std::vector<unsigned char>& keep) {
  CandidateList kept;
  const auto count = static_cast<std::size_t>(
      std::count_if(keep.begin(), keep.end(), [](auto k) { return k != 0; }));
  kept.indices.reserve(count);
  kept.rows.reserve(count * row_bytes());
  std::size_t position = 0;
  for (const auto& list : lists_) {
    for (Index i = 0; i < list->size(); ++i, ++position) {
      if (keep[position] != 0) kept.Take(*list, i, row_bytes());
    }
  }
  lists_.clear();
  size_ = 0;
  Append(std::move(kept));
}

void CandidateBuffer::MergeFrom(const CandidateBuffer& other) {
  const CandidateList mine = Joined();
  const CandidateList theirs = other.Joined();
  CandidateList merged;
  merged.indices.reserve(static_cast<std::size_t>(size_ + other.size_));
  merged.rows.reserve(static_cast<std::size_t>(size_ + other.size_) *
                      row_bytes());
  Index i = 0;
  Index j = 0;
  while (i < mine.size() || j < theirs.size()) {
    const bool take_mine =
        j == theirs.size() ||
        (i < mine.size() && mine.indices[static_cast<std::size_t>(i)] <
                                theirs.indices[static_cast<std::size_t>(j)]);
    if (take_mine) {
      merged.Take(mine, i++, row_bytes());
    } else {
      merged.Take(theirs, j++, row_bytes());
    }
  }
  lists_.clear();
  size_ = 0;
  Append(std::move(merged));
}

CandidateList CandidateBuffer::Joined() const {
  CandidateList joined;
  joined.indices.reserve(static_cast<std::size_t>(size_));
  joined.rows.reserve(static_cast<std::size_t>(size_) * row_bytes());
  for (const auto& list : lists_) AppendRange(*list, joined);
  return joined;
}

}  // namespace steelyard
