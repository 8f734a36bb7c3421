// The file of a finished matrix, as somebody uses it.
//
// It is open from the first moment, so its bytes stay when the name is deleted
// and the file removed: the kernel frees them when the last descriptor and the
// last mapping are gone, also after a kill.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "absl/status/status.h"
#include "server/storage/file_system.h"
#include "server/storage/matrix_memory.h"
#include "server/storage/matrix_store.h"

namespace steelyard::server {

class MatrixFile final : public StoredMatrix {
 public:
  struct Parts {
    FileSystem* files = nullptr;
    std::shared_ptr<MatrixMemory> memory;
    MatrixInfo info;
    std::uint64_t serial = 0;
    std::string name;  // in messages
    OwnedFile file;
    // Of the matrix, not of this use: its bytes were found to be right.
    std::shared_ptr<std::atomic<bool>> verified;
  };
  explicit MatrixFile(Parts parts);

  const MatrixInfo& info() const override { return parts_.info; }
  absl::Status Load(const StopToken& stop) const override;
  const std::byte* data() const override;
  std::uint64_t serial() const override { return parts_.serial; }
  // After Load.
  bool mapped() const;

 private:
  absl::Status Read(const StopToken& stop,
                    std::shared_ptr<const MatrixBytes>& bytes) const;
  // All bytes of the file pass through `sink`, or, if null, through a buffer.
  absl::Status ReadAndCompare(const StopToken& stop, std::byte* sink) const;

  const Parts parts_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  mutable bool loading_ = false;
  mutable std::shared_ptr<const MatrixBytes> bytes_;
};

}  // namespace steelyard::server
