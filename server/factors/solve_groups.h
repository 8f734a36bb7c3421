// Solves on stored matrices: the factor is computed once, and right-hand sides
// that wait at the same time are solved as one block.
//
// A request joins the group of those that ask for the same (matrix, options)
// and have not begun to solve; else it begins a group. A group is one job of
// the lane, at the place of its first member:
//
//   begins -> in line for the factor      somebody else computes it: no job yet
//          -> in the lane                 the factor is there, or it is ours to
//                                         compute
//          -> computes the factor         still taking members
//          -> solves                      closed: SolveTogether for who is
//          there
//
// Nobody waits for members: a group that meets nobody is a lone request. Each
// answer has the bits that it would have alone (SolveTogether).
//
// Members are admitted one by one, reserve their own memory and leave one by
// one: cancel, deadline and a bad b concern a member alone. The work stops when
// the last one has left. A request with a time limit is a group of its own, and
// so is a kernel: block iterations would give it other bits in company.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/admission/gate.h"
#include "server/factors/factor_cache.h"
#include "server/factors/factor_math.h"
#include "server/request/request_context.h"
#include "steelyard/prepared_matrix.h"

namespace steelyard::server {

// What one caller wants.
struct SharedSolve {
  MatrixIdentity matrix;
  PowerShape shape;
  // CanPrepare.
  RegressionOptions options;
  // Open the numbers, on the thread that computes; what a pointer owns keeps
  // them there. `open_a` is called for the first member of a group only.
  // ERRORS  Cancelled, DeadlineExceeded, Aborted: the stop token.
  std::function<absl::StatusOr<std::shared_ptr<const DenseOrCsr>>(
      const ComputeContext&)>
      open_a;
  std::function<absl::StatusOr<std::shared_ptr<const AnyMatrixView>>(
      const ComputeContext&)>
      open_b;
  // What the request holds beyond the work of core: copies, the answer.
  double other_bytes = 0.0;
  // Without a factor; see least_work.h.
  double least_flops = 0.0;
};

struct SharedAnswer {
  Solution solution;
  // This call did not compute the factor.
  bool factor_cache_hit = false;
};

class SolveGroups {
 public:
  // Columns of a group that are solved together; one request may have more.
  static constexpr Index kColumnsMax = 4096;

  // `cache` must outlive this, and this every gate that it is used with.
  SolveGroups(FactorCache& cache, int workers, FactorMath math = {});
  ~SolveGroups();
  SolveGroups(const SolveGroups&) = delete;
  SolveGroups& operator=(const SolveGroups&) = delete;

  // Admits, waits and returns this caller's answer. Phases beyond those of
  // core: "wait", for a factor that somebody else computes. `look` of the
  // listener is called once before the waiting, too.
  // ERRORS  those of Gate::Enter, and of preparing and solving.
  absl::StatusOr<SharedAnswer> Solve(Gate& gate, RequestContext& context,
                                     SharedSolve request, Listener listener);

 private:
  struct Key;
  struct Member;
  struct Group;
  using Members = std::vector<std::shared_ptr<Member>>;

  absl::StatusOr<AdmissionTicket> Enter(Gate& gate,
                                        const RequestContext& context,
                                        const SharedSolve& request,
                                        Member& member) const;
  std::shared_ptr<Group> JoinOrBegin(const RequestContext& context,
                                     const SharedSolve& request,
                                     const AdmissionTicket& ticket,
                                     const std::shared_ptr<Member>& member);
  std::shared_ptr<Group> Begin(const RequestContext& context,
                               const SharedSolve& request,
                               const AdmissionTicket& ticket);
  void StandInLine(const std::shared_ptr<Group>& group,
                   const SharedSolve& request);
  void Proceed(const std::shared_ptr<Group>& group, FactorCache::Grant grant);
  void Leave(const std::shared_ptr<Group>& group,
             const std::shared_ptr<Member>& member, StopReason reason);
  static Timing TimingOf(const Job& job, const Member& member);
  // With the mutex held: nobody joins any more.
  void TakeNoMore(Group& group);

  // On the thread that computes.
  void Run(Group& group, const ComputeContext& context);
  std::optional<FactorCache::Grant> Start(Group& group);
  absl::StatusOr<FactorCache::Factor> Obtain(FactorCache::Grant grant,
                                             const Group& group,
                                             const DenseOrCsr& a,
                                             const ComputeContext& context);
  void SolveFor(const Members& members, const FactorCache::Factor& factor,
                const DenseOrCsr& a, const RegressionOptions& options,
                const ComputeContext& context);
  Members Close(Group& group);

  FactorCache& cache_;
  const int workers_;
  const FactorMath math_;
  std::mutex mutex_;
  // Those that take members.
  std::map<Key, std::shared_ptr<Group>> open_;
};

}  // namespace steelyard::server
