# Every library that is not ours. scripts/install-deps installs them.

find_package(Threads REQUIRED)
find_package(Protobuf REQUIRED)  # Debian ships no config for it: module mode.
find_package(PkgConfig REQUIRED)  # gRPC's config file needs it.
find_package(gRPC CONFIG REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(Eigen3 CONFIG REQUIRED)
find_package(TBB CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(SQLite3 REQUIRED)

pkg_check_modules(LIBHWY REQUIRED IMPORTED_TARGET libhwy)
pkg_check_modules(LIBISAL REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(LIBZIP REQUIRED IMPORTED_TARGET libzip)

# The pthread flavour of OpenBLAS: the serial one has no lock around its
# buffers and returns wrong numbers when two threads call it.
find_library(OPENBLAS_LIBRARY openblas
  PATH_SUFFIXES openblas-pthread REQUIRED)
find_path(OPENBLAS_INCLUDE_DIR openblas_config.h
  PATH_SUFFIXES openblas-pthread ${CMAKE_LIBRARY_ARCHITECTURE}/openblas-pthread
  REQUIRED)
find_library(LAPACKE_LIBRARY lapacke REQUIRED)
add_library(steelyard_blas INTERFACE)
target_include_directories(steelyard_blas SYSTEM INTERFACE
  "${OPENBLAS_INCLUDE_DIR}")
target_link_libraries(steelyard_blas INTERFACE
  "${LAPACKE_LIBRARY}" "${OPENBLAS_LIBRARY}")
