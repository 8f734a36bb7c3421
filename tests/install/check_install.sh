#!/bin/bash
# check_install.sh BUILD_TREE WORK_FOLDER SOURCE_FOLDER CXX_COMPILER
#
# Installs the build tree into a fresh prefix, and builds and runs programs
# that know nothing but that prefix.
set -euo pipefail

build_tree=$1
work=$2
source_folder=$3
compiler=$4

die() {
  echo "check_install: $*" >&2
  exit 1
}

server_pid=
stop_server() {
  if [[ -n $server_pid ]]; then
    kill "$server_pid" 2>/dev/null || true
    wait "$server_pid" 2>/dev/null || true
  fi
}
trap stop_server EXIT

rm -rf "$work"
mkdir -p "$work"
prefix=$work/prefix
# Nothing may be found through the build tree: it is not moved away, but no
# file of the prefix may name it.
cmake --install "$build_tree" --prefix "$prefix" >"$work/install.log"
if grep -rIl -e "$build_tree" "$prefix"; then
  die "the files above name the build tree"
fi

configure() {
  cmake -S "$source_folder/consumer" -B "$1" -G Ninja \
    -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_PREFIX_PATH="$prefix" -DWANTED_VERSION="$2" >"$1.log" 2>&1
}

configure "$work/build" 0.1 || {
  cat "$work/build.log" >&2
  die "find_package(steelyard 0.1) failed"
}
if configure "$work/other_version" 99; then
  die "find_package(steelyard 99) succeeded"
fi
cmake --build "$work/build"

"$work/build/proto_consumer" || die "the messages do not work"

protoc "-I$prefix/share/steelyard/proto" --descriptor_set_out=/dev/null \
  "$prefix"/share/steelyard/proto/steelyard/v1/*.proto ||
  die "the installed .proto files do not compile"

"$prefix/bin/steelyard-server" --listen=127.0.0.1:0 \
  --port-file="$work/port" >"$work/server.log" 2>&1 &
server_pid=$!
for ((tries = 0; tries < 200; ++tries)); do
  if [[ -s $work/port ]]; then break; fi
  kill -0 "$server_pid" 2>/dev/null || break
  sleep 0.05
done
if [[ ! -s $work/port ]]; then
  cat "$work/server.log" >&2
  die "the installed server did not start"
fi
"$work/build/consumer" "127.0.0.1:$(<"$work/port")" ||
  die "the consumer failed"
