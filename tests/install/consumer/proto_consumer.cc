// Uses the generated messages alone.
#include "steelyard/v1/tensor.pb.h"

int main() {
  steelyard::v1::Tensor tensor;
  tensor.set_dtype(steelyard::v1::DTYPE_FLOAT16);
  tensor.add_shape(3);
  steelyard::v1::Tensor copy;
  return copy.ParseFromString(tensor.SerializeAsString()) && copy.shape(0) == 3
             ? 0
             : 1;
}
