#!/bin/bash
# run_real_data.sh BINARIES: client/examples/digits with the package
# scikit-learn in build/venv-digits. Fails when it is not there and cannot be
# downloaded.
set -euo pipefail

# shellcheck source=scripts/lib/build.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib/build.sh"

make_venv build/venv-digits client/examples/digits/requirements.txt
exec build/venv-digits/bin/python client/examples/digits/digits.py \
  --binaries="$1" --heads=2
