// All handlers: one an RPC, shared by every call.
#pragma once

#include "server/handlers/attend_handler.h"
#include "server/handlers/export_state_handler.h"
#include "server/handlers/find_universal_set_handler.h"
#include "server/handlers/get_server_info_handler.h"
#include "server/handlers/merge_states_handler.h"
#include "server/handlers/predict_handler.h"
#include "server/handlers/query_heavy_handler.h"
#include "server/handlers/solve_handler.h"
#include "server/handlers/stored_matrix_handlers.h"
#include "server/handlers/stored_set_handlers.h"
#include "server/handlers/stream_attend_handler.h"
#include "server/handlers/stream_keys_handler.h"
#include "server/handlers/stream_query_heavy_handler.h"
#include "server/handlers/stream_solve_handler.h"
#include "server/handlers/upload_matrix_handler.h"

namespace steelyard::server {

struct Handlers {
  GetServerInfoHandler get_server_info;
  FindUniversalSetHandler find_universal_set;
  StreamFindUniversalSetHandler stream_find_universal_set;
  StreamKeysHandler stream_keys;
  ExportStateHandler export_state;
  MergeStatesHandler merge_states;
  GetUniversalSetHandler get_universal_set;
  ReadUniversalSetHandler read_universal_set;
  ListUniversalSetsHandler list_universal_sets;
  DeleteUniversalSetHandler delete_universal_set;
  AttendHandler attend;
  StreamAttendHandler stream_attend;
  QueryHeavyHandler query_heavy;
  StreamQueryHeavyHandler stream_query_heavy;
  SolveHandler solve;
  StreamSolveHandler stream_solve;
  PredictHandler predict;
  UploadMatrixHandler upload_matrix;
  GetUploadStatusHandler get_upload_status;
  GetMatrixHandler get_matrix;
  ListMatricesHandler list_matrices;
  DeleteMatrixHandler delete_matrix;
};

}  // namespace steelyard::server
