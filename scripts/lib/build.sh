# shellcheck shell=bash
# The build steps that scripts/test and scripts/demo share. Sourced, not run;
# the caller has set `set -euo pipefail`. Ends with the repository root as the
# working directory, because CMake looks for its presets there.

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit

# Objects compiled in one checkout serve another (a fresh clone in CI): paths
# below the root are hashed relative to it, and debug information is not.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$PWD}
export CCACHE_NOHASHDIR=${CCACHE_NOHASHDIR:-1}
# Without these, nothing that uses a precompiled header is ever found again.
export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS:-pch_defines,time_macros}

say() {
  echo "[${0##*/} $(printf '%d:%02d' $((SECONDS / 60)) $((SECONDS % 60)))] $*"
}

die() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# take_lock FILE: waits until nobody else holds FILE, and holds it as file
# descriptor 9 until the script ends. Build trees are not made for two writers.
take_lock() {
  mkdir -p "$(dirname "$1")"
  exec 9>"$1"
  if ! flock --nonblock 9; then
    say "another run holds $1; waiting for it"
    flock 9
  fi
}

# Lets other readers in: from here on the build tree is only used, not changed.
share_lock() {
  flock --shared 9
}

# configure PRESET: only when the presets changed since; a changed
# CMakeLists.txt is noticed by the build itself.
configure() {
  local ninja_file=build/$1/build.ninja
  if [[ ! -f $ninja_file || CMakePresets.json -nt $ninja_file ]]; then
    say "configure ($1)"
    cmake --preset "$1"
    touch "$ninja_file"
  fi
}

# build PRESET [TARGET...]
build() {
  local preset=$1
  shift
  local -a targets=()
  if (($# > 0)); then targets=(--target "$@"); fi
  say "build ($preset)"
  cmake --build "build/$preset" --parallel "$(nproc)" "${targets[@]}"
}

# make_venv [VENV REQUIREMENTS]: makes VENV (build/venv) with the packages of
# REQUIREMENTS (tests/python/requirements.txt), and makes it anew only when those
# or the interpreter changed.
make_venv() {
  local venv=${1:-build/venv}
  local requirements=${2:-tests/python/requirements.txt} stamp wanted
  stamp=$venv/requirements.sha256
  (
    take_lock "build/.lock-${venv##*/}"
    # The system's python3, because that is the one whose venv module
    # scripts/install-deps installed.
    wanted=$({
      /usr/bin/python3 --version
      echo "$PWD"
      cat "$requirements"
    } | sha256sum)
    if [[ -f $stamp && $(<"$stamp") == "$wanted" ]]; then exit 0; fi
    say "Python packages into $venv"
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --no-input \
      --disable-pip-version-check --only-binary=:all: \
      --requirement "$requirements" ||
      die "could not install $requirements (offline?)"
    echo "$wanted" >"$stamp"
  )
}
