#!/bin/sh
# Writes requirements.lock and requirements-torch.lock for the Docker image: every version of constraints.txt that
# requirements.txt leads to with Python 3.12, with the SHA-256 of its files on PyPI. PyTorch, and what only its build for
# CUDA needs, are in a file of their own, because the image usually takes PyTorch from another index.
set -eu
command -v uv >/dev/null || { echo "uv is needed: pip install uv" >&2; exit 1; }
inputs=$(mktemp)
trap 'rm -f "$inputs"' EXIT
grep -vE '^(-|#)' requirements.txt >"$inputs"
uv pip compile --universal --python-version 3.12 --constraints constraints.txt --generate-hashes \
    --quiet --no-annotate --no-header "$inputs" >requirements.lock.new
{
    echo "# Made by: make constraints. PyTorch as it is on PyPI, with CUDA on x86-64."
    awk '/^[^ ]/ { torch = /^(torch|triton|nvidia-[^ ]*)==/ } torch' requirements.lock.new
} >requirements-torch.lock
{
    echo "# Made by: make constraints. All that requirements.txt leads to, without PyTorch: requirements-torch.lock."
    awk '/^[^ ]/ { torch = /^(torch|triton|nvidia-[^ ]*)==/ } !torch' requirements.lock.new
} >requirements.lock
rm requirements.lock.new
