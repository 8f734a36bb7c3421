# What `cmake --install` puts where, and what find_package(steelyard) finds.

include(CMakePackageConfigHelpers)

set(STEELYARD_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/steelyard")
set(STEELYARD_PROTO_DIR "${CMAKE_INSTALL_DATADIR}/steelyard/proto")

# steelyard::client, steelyard::proto; steelyard::grpc holds the stubs that the
# client links.
set_target_properties(steelyard_client PROPERTIES EXPORT_NAME client)
set_target_properties(steelyard_proto PROPERTIES EXPORT_NAME proto)
set_target_properties(steelyard_grpc PROPERTIES EXPORT_NAME grpc)
install(TARGETS steelyard_client steelyard_proto steelyard_grpc
  EXPORT steelyard-targets
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development
  INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT steelyard-targets
  NAMESPACE steelyard::
  DESTINATION "${STEELYARD_PACKAGE_DIR}" COMPONENT development)

install(DIRECTORY "${PROJECT_SOURCE_DIR}/client/include/"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT development)
install(DIRECTORY "${PROJECT_BINARY_DIR}/proto/steelyard"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT development
  FILES_MATCHING PATTERN "*.pb.h"
  PATTERN "CMakeFiles" EXCLUDE)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/proto/steelyard"
  DESTINATION "${STEELYARD_PROTO_DIR}" COMPONENT development
  FILES_MATCHING PATTERN "*.proto")

configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/steelyard-config.cmake.in"
  "${PROJECT_BINARY_DIR}/steelyard-config.cmake"
  INSTALL_DESTINATION "${STEELYARD_PACKAGE_DIR}"
  PATH_VARS STEELYARD_PROTO_DIR)
# Below 1.0 a minor version may change the interface.
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/steelyard-config-version.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES
  "${PROJECT_BINARY_DIR}/steelyard-config.cmake"
  "${PROJECT_BINARY_DIR}/steelyard-config-version.cmake"
  DESTINATION "${STEELYARD_PACKAGE_DIR}" COMPONENT development)
