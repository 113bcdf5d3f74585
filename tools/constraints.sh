#!/bin/sh
# Resolves all requirements*.txt for Python 3.10 to 3.13 on every platform into constraints.txt.
set -eu
command -v uv >/dev/null || { echo "uv is needed: pip install uv" >&2; exit 1; }
inputs=$(mktemp)
trap 'rm -f "$inputs"' EXIT
cat requirements*.txt | grep -vE '^(-|#)' >"$inputs"
{
    echo "# Every version that the files requirements*.txt lead to, for Python 3.10 to 3.13. Made by: make constraints"
    uv pip compile --universal --python-version 3.10 --upgrade --quiet --no-annotate --no-header "$inputs"
} >constraints.txt.new
mv constraints.txt.new constraints.txt
