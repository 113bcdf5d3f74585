#!/bin/sh
# Installs a requirements file into .venv, which it makes with a Python that eland supports (3.10 to 3.13).
# uv installs, which itself comes from pip; pip where uv cannot be had, or cannot install.
set -eu
requirements=$1
torch_index=https://download.pytorch.org/whl/cpu
uv=uv==0.13.9

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    for candidate in "${PYTHON:-python3}" python3 python3.13 python3.12 python3.11 python3.10; do
        if supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    found=$(python3 --version 2>/dev/null || echo "no python3")
    echo "This project needs Python 3.10, 3.11, 3.12 or 3.13 (the range of eland 9.2); found: $found." >&2
    echo "Install one of them, or name it: make run PYTHON=/path/to/python3.12" >&2
    exit 1
}

# pip tries an unreachable extra index again for every single package: leave it out when it does not answer.
cpu_index_answers() {
    .venv/bin/python - "$torch_index" <<'PYTHON'
import sys
import urllib.request

try:
    urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/torch/", method="HEAD"), timeout=5)
except OSError:
    sys.exit(1)
PYTHON
}

if ! [ -x .venv/bin/python ] || ! supported .venv/bin/python; then
    python=$(find_python)
    rm -rf .venv
    echo "Making .venv with $("$python" --version)"
    if ! "$python" -m venv .venv; then
        rm -rf .venv
        echo "$python could not make a virtual environment. On Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    fi
fi

# The lines of a requirements file that name PyTorch's CPU index are left out if that index does not answer.
folder=.
if ! cpu_index_answers; then
    echo "PyTorch's CPU index does not answer: taking its default build, which is larger on Linux"
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    for file in requirements*.txt constraints.txt; do
        grep -v -- '--extra-index-url' "$file" >"$folder/$file"
    done
fi

# uv knows nothing of pip's settings. Both indexes are asked for every package, as pip does: uv would else take the
# first index that has a package of that name, with whatever versions are there.
install_by_uv() {
    index=${PIP_INDEX_URL:-$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || :)}
    [ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
    .venv/bin/uv pip install --python .venv/bin/python --index-strategy unsafe-best-match -r "$folder/$requirements"
}

echo "Installing $requirements (one to two minutes with a fast connection; PyTorch is the large part)"
if ! { .venv/bin/python -m pip install --quiet --disable-pip-version-check "$uv" && install_by_uv; }; then
    echo "uv cannot install it here: pip does, which takes longer"
    .venv/bin/python -m pip install --disable-pip-version-check -r "$folder/$requirements"
fi
.venv/bin/python -m babel.messages.frontend -q compile -d app/translations
