#!/bin/bash
# run_in_venv.sh VENV SCRIPT [ARGUMENT...]: runs SCRIPT with the packages of
# requirements.txt, which scripts/test installs into VENV.
set -euo pipefail

python=$1/bin/python
shift
if [[ ! -x $python ]]; then
  echo "run_in_venv: there is no $python; scripts/test makes it" >&2
  exit 1
fi
exec "$python" "$@"
