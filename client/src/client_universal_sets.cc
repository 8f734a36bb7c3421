// The calls of Client that find, keep and read universal sets.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "connection.h"
#include "heavy_codec.h"
#include "key_session.h"
#include "regression_codec.h"
#include "set_parts.h"
#include "set_registry_codec.h"
#include "state_chunks.h"
#include "steelyard/client/client.h"
#include "universal_set_codec.h"

namespace steelyard::client {
namespace {

// Progress, and sets in parts, into one answer.
class SetEvents {
 public:
  SetEvents(const ProgressCallback& on_progress, int attempt)
      : on_progress_(on_progress), attempt_(attempt) {}

  absl::Status Add(const v1::FindUniversalSetEvent& event) {
    if (event.has_set()) return parts_.Add(event.set());
    if (event.has_progress() && on_progress_) {
      on_progress_(FromProto(event.progress(), attempt_));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<UniversalSets> Finish() { return parts_.Finish(); }

 private:
  const ProgressCallback& on_progress_;
  const int attempt_;
  SetParts parts_;
};

// Every request of one MergeStates: the opening, then the shards.
class MergeRequests {
 public:
  MergeRequests(const std::string& set_id, const std::optional<Seconds>& ttl,
                const MergeInputs& inputs)
      : set_id_(set_id), ttl_(ttl), inputs_(inputs) {}

  bool Next(v1::MergeStatesRequest* request) {
    if (!opened_) {
      opened_ = true;
      ToProto(set_id_, inputs_, ttl_, request->mutable_open());
      return true;
    }
    for (; shard_ < inputs_.states.size(); ++shard_, cutter_.reset()) {
      if (!cutter_.has_value()) cutter_.emplace(inputs_.states[shard_]);
      v1::ShardChunk* chunk = request->mutable_shard();
      chunk->set_shard(static_cast<std::int32_t>(shard_));
      if (cutter_->Next(chunk->mutable_chunk())) return true;
    }
    return false;
  }

 private:
  const std::string& set_id_;
  const std::optional<Seconds>& ttl_;
  const MergeInputs& inputs_;
  bool opened_ = false;
  std::size_t shard_ = 0;
  std::optional<StateCutter> cutter_;
};

}  // namespace

absl::StatusOr<UniversalSets> Client::FindUniversalSet(
    const DenseSource& keys, const UniversalSetOptions& options,
    const CallOptions& call) const {
  v1::FindUniversalSetRequest request;
  absl::Status status =
      ToProto(keys, options, connection_->options(), &request);
  if (!status.ok()) return status;
  v1::FindUniversalSetResponse response;
  status = connection_->FindUniversalSet(request, call, &response);
  if (!status.ok()) return status;
  return FromProto(response);
}

absl::StatusOr<UniversalSets> Client::StreamFindUniversalSet(
    const DenseSource& keys, const UniversalSetOptions& options,
    const ProgressCallback& on_progress, const CallOptions& call) const {
  v1::FindUniversalSetRequest request;
  absl::Status status =
      ToProto(keys, options, connection_->options(), &request);
  if (!status.ok()) return status;
  request.clear_max_response_bytes();
  std::optional<SetEvents> events;  // Of the last attempt.
  status = connection_->StreamFindUniversalSet(request, call, [&](int attempt) {
    events.emplace(on_progress, attempt);
    return [&events](v1::FindUniversalSetEvent* event) {
      return events->Add(*event);
    };
  });
  if (!status.ok()) return status;
  return events->Finish();
}

absl::StatusOr<KeyStream> Client::OpenKeyStream(const KeyStreamOptions& options,
                                                const CallOptions& call) const {
  auto session = KeySession::Open(connection_, options, call);
  if (!session.ok()) return session.status();
  return KeyStream(*std::move(session));
}

absl::StatusOr<KeyStream> Client::ResumeKeyStream(
    const std::string& name, const KeyStreamFlow& flow,
    const CallOptions& call) const {
  auto session = KeySession::Resume(connection_, name, flow, call);
  if (!session.ok()) return session.status();
  return KeyStream(*std::move(session));
}

absl::StatusOr<KeyStream> Client::ImportKeyStream(
    std::string_view state, const KeyStreamOptions& options,
    const CallOptions& call) const {
  auto session = KeySession::Import(connection_, state, options, call);
  if (!session.ok()) return session.status();
  return KeyStream(*std::move(session));
}

absl::StatusOr<SetInfo> Client::GetUniversalSet(const std::string& name,
                                                const CallOptions& call) const {
  v1::GetUniversalSetRequest request;
  request.set_name(SetName(name));
  v1::UniversalSetInfo info;
  absl::Status status = connection_->GetUniversalSet(request, call, &info);
  if (!status.ok()) return status;
  return FromProto(info);
}

absl::StatusOr<UniversalSets> Client::ReadUniversalSet(
    const std::string& name, const std::vector<std::int64_t>& heads,
    const CallOptions& call) const {
  return ReadSets(*connection_, name, heads, call);
}

absl::StatusOr<std::vector<SetInfo>> Client::ListUniversalSets(
    const CallOptions& call) const {
  constexpr int kPageSize = 1000;
  v1::ListUniversalSetsRequest request;
  request.set_page_size(kPageSize);
  std::vector<SetInfo> sets;
  while (true) {
    v1::ListUniversalSetsResponse page;
    absl::Status status = connection_->ListUniversalSets(request, call, &page);
    if (!status.ok()) return status;
    for (const v1::UniversalSetInfo& info : page.sets()) {
      sets.push_back(FromProto(info));
    }
    if (page.next_page_token().empty()) return sets;
    request.set_page_token(page.next_page_token());
  }
}

absl::Status Client::DeleteUniversalSet(const std::string& name,
                                        const CallOptions& call) const {
  v1::DeleteUniversalSetRequest request;
  request.set_name(SetName(name));
  return connection_->DeleteUniversalSet(request, call);
}

absl::StatusOr<std::string> Client::ExportState(const std::string& name,
                                                const CallOptions& call) const {
  v1::ExportStateRequest request;
  request.set_name(SetName(name));
  std::optional<StateJoiner> joiner;  // Of the last attempt.
  absl::Status status =
      connection_->ExportState(request, call, [&](int /*attempt*/) {
        joiner.emplace();
        return [&joiner](v1::StateChunk* chunk) { return joiner->Add(*chunk); };
      });
  if (!status.ok()) return status;
  return joiner->Finish();
}

absl::StatusOr<SetInfo> Client::MergeStates(const MergeInputs& inputs,
                                            const Keeping& keep,
                                            const CallOptions& call) const {
  std::optional<MergeRequests> requests;  // Of the last attempt.
  v1::MergeStatesResponse response;
  absl::Status status = connection_->MergeStates(
      [&](int /*attempt*/) {
        requests.emplace(keep.set_id, keep.ttl, inputs);
        return [&requests](v1::MergeStatesRequest* request) {
          return absl::StatusOr<bool>(requests->Next(request));
        };
      },
      call, &response);
  if (!status.ok()) return status;
  return FromProto(response.info());
}

}  // namespace steelyard::client
