// Matrices out of files, for the examples; what goes wrong ends the program.
#pragma once

#include <Eigen/Core>
#include <cstdlib>
#include <iostream>
#include <string>
#include <utility>

#include "client/tensor_files/tensor_file.h"
#include "steelyard/client/client.h"

namespace steelyard::examples {

template <typename T>
T OrExit(absl::StatusOr<T> result) {
  if (result.ok()) return *std::move(result);
  std::cerr << result.status() << "\n";
  std::exit(1);
}

// "keys.npy", "model.safetensors:layer0.keys[3]".
inline client::RowMajorMatrix MatrixOf(const std::string& name) {
  const auto tensor =
      OrExit(tensor_files::Load(OrExit(tensor_files::ParseTensorSpec(name))));
  const auto& shape = tensor.shape();
  if (shape.size() != 2) {
    std::cerr << name << ": " << tensor.info().text() << " is no matrix\n";
    std::exit(1);
  }
  const auto numbers = tensor.Doubles();
  return Eigen::Map<const client::RowMajorMatrix>(numbers.data(), shape[0],
                                                  shape[1]);
}

}  // namespace steelyard::examples
