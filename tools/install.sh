#!/bin/sh
# Installs a requirements file into .venv, which it makes with a Python that eland supports (3.10 to 3.13).
set -eu
requirements=$1
torch_index=https://download.pytorch.org/whl/cpu

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

echo "Installing $requirements (about a minute with a fast connection; PyTorch is the large part)"
if cpu_index_answers; then
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$requirements"
else
    echo "PyTorch's CPU index does not answer: taking its default build, which is larger on Linux"
    plain=$(mktemp -d)
    trap 'rm -rf "$plain"' EXIT
    for file in requirements.txt requirements-dev.txt constraints.txt; do
        grep -v -- '--extra-index-url' "$file" >"$plain/$file"
    done
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$plain/$requirements"
fi
.venv/bin/python -m babel.messages.frontend -q compile -d app/translations
