// The same set from keys that arrive in time, over a connection that does not
// last.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/input_tensors.h"
#include "client/cli/stopwatch.h"
#include "client/cli/text_table.h"
#include "client/examples/demo/planted_keys.h"
#include "client/examples/demo/section.h"

namespace steelyard::demo {
namespace {

constexpr int64_t kKeys = 100'000;
constexpr int64_t kChunks[] = {300, 7'777, 50'000};
constexpr int64_t kFlushed = 40'000;  // Surely acknowledged.
constexpr double kEpsilon = 0.1;

struct Trial {
  int64_t sent = 0;  // When the connection went.
  int64_t acknowledged = 0;
  int64_t kept = 0;  // By the server.
  client::UniversalSet set;
};

absl::Status Add(const client::TensorView& keys, int64_t first, int64_t last,
                 int64_t chunk, client::KeyStream* stream) {
  for (int64_t row = first; row < last; row += chunk) {
    absl::Status added =
        stream->Add(keys.Rows(row, std::min(chunk, last - row)));
    if (!added.ok()) return added;
  }
  return absl::OkStatus();
}

// Half of the keys, a cut, and the rest from where the server stands.
absl::StatusOr<Trial> StreamWithACut(const client::Client& client,
                                     const client::TensorView& keys,
                                     int64_t chunk) {
  Trial trial;
  std::string name;
  {
    auto stream = client.OpenKeyStream(
        {.columns = kPlantedColumns, .type = keys.type(), .epsilon = kEpsilon});
    if (!stream.ok()) return stream.status();
    absl::Status added = Add(keys, 0, kFlushed, chunk, &*stream);
    if (added.ok()) added = stream->Flush();
    if (added.ok()) added = Add(keys, kFlushed, kKeys / 2, chunk, &*stream);
    if (!added.ok()) return added;
    name = stream->name();
    trial.sent = stream->next_offset()[0];
    trial.acknowledged = stream->acknowledged()[0];
  }  // The connection goes: what is on its way may be lost.
  auto stream = client.ResumeKeyStream(name);
  if (!stream.ok()) return stream.status();
  trial.kept = stream->next_offset()[0];
  auto added = Add(keys, trial.kept, kKeys, chunk, &*stream);
  if (!added.ok()) return added;
  auto sets = stream->Finish();
  if (!sets.ok()) return sets.status();
  trial.set = std::move(sets->heads[0]);
  if (auto gone = client.DeleteUniversalSet(name); !gone.ok()) return gone;
  return trial;
}

}  // namespace

absl::Status ShowStreamedKeys(Stage* stage) {
  stage->out << "\n3. Keys that arrive in time: " << kKeys
             << " of them in one pass, in chunks, none kept.\n"
                "   Half way the connection goes; the stream goes on where the "
                "server stands.\n\n";
  const PlantedKeys planted = MakePlantedKeys(kKeys, 2026);
  const client::TensorView keys = cli::ViewOf(planted.keys);
  const auto batch =
      stage->client.FindUniversalSet(keys, {.epsilon = kEpsilon});
  if (!batch.ok()) return batch.status();
  const client::UniversalSet& whole = batch->heads[0];

  cli::TextTable table({"keys a chunk", "sent", "acknowledged", "kept", "n",
                        "|U|", "in one message", "streamed in",
                        "the same set"});
  for (const int64_t chunk : kChunks) {
    const cli::Stopwatch stopwatch;
    const auto trial = StreamWithACut(stage->client, keys, chunk);
    if (!trial.ok()) return trial.status();
    const client::UniversalSet& set = trial->set;
    verify::Verdict verdict;
    verdict.Add("the streamed set is that of one message",
                set.indices == whole.indices && set.keys == kKeys,
                absl::StrCat(set.indices.size(), " and ", whole.indices.size(),
                             " keys"));
    verdict.Add(
        "no acknowledged key was lost",
        kFlushed <= trial->acknowledged && trial->acknowledged <= trial->kept,
        absl::StrCat(trial->acknowledged, ", then ", trial->kept));
    stage->verdict.Append(verdict);
    table.AddRow({absl::StrCat(chunk), absl::StrCat(trial->sent),
                  absl::StrCat(trial->acknowledged), absl::StrCat(trial->kept),
                  absl::StrCat(set.keys), absl::StrCat(set.indices.size()),
                  absl::StrCat(whole.indices.size()),
                  cli::BriefSeconds(stopwatch.seconds()),
                  verdict.held() ? "held" : "BROKEN"});
  }
  table.Print(stage->out);
  return absl::OkStatus();
}

}  // namespace steelyard::demo
