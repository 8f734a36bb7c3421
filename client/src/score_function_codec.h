// Score functions to the wire and back.
#pragma once

#include <optional>

#include "steelyard/client/score_function.h"
#include "steelyard/v1/score_function.pb.h"

namespace steelyard::client {

void ToProto(const ScoreFunction& function, v1::ScoreFunction* wire);

// nullopt: unset, or a function of a newer server.
std::optional<ScoreFunction> FromProto(const v1::ScoreFunction& wire);

}  // namespace steelyard::client
