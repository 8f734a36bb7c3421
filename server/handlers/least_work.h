// The least that a request can take, for refusing deadlines that nobody can
// meet.
//
// Cost says the most: it adds up roads of which one is taken and counts
// iterations that may not be needed. A refusal that rests on it would be wrong.
// Here stands what every road does: each number is read, each pair of columns
// (rows, for the kernel) is multiplied once.
#pragma once

#include "server/convert/attend.h"
#include "server/convert/heavy_query.h"
#include "server/convert/prediction.h"
#include "server/convert/regression.h"
#include "server/convert/universal_set.h"

namespace steelyard::server {

// Floating-point operations.
double LeastFlops(const UniversalSetProblem& problem);
double LeastFlops(const HeavyProblem& problem);
double LeastFlops(const HeavyTerms& terms);
// Of a block whose keys are ready.
double LeastFlopsOfBlock(const HeavyProblem& problem);
double LeastFlops(const AttendProblem& problem);
double LeastFlops(const AttendTerms& terms);
double LeastFlopsOfBlock(const AttendProblem& problem);
double LeastFlops(const SolveProblem& problem);
double LeastFlops(const PredictProblem& problem);

}  // namespace steelyard::server
