#!/usr/bin/env bash
# Pins everything that agio installs, with hashes and without host names, from pyproject.toml.
# Usage: requirements/compile.sh [--upgrade]     (keeps present versions where they still fit)
set -euo pipefail
cd "$(dirname "$0")/.."

uv=$(command -v uv || echo .venv/bin/uv)
compile() {
    output=$1
    shift
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --output-file "$output" "$@"
}

# The development file is a superset of the other, at the same versions.
compile requirements/dev.txt pyproject.toml --group dev "$@"
compile requirements/runtime.txt pyproject.toml --constraints requirements/dev.txt
python3 - <<'PYTHON' | compile requirements/build.txt -
import tomllib

with open("pyproject.toml", "rb") as file:
    requires = tomllib.load(file)["build-system"]["requires"]
# hatchling asks for editables when it builds an editable install.
print("\n".join([*requires, "editables"]))
PYTHON

# ccxt alone: it asks for exact versions of libraries that we pin ourselves, and runs with ours.
echo "ccxt>=4.5,<5" | compile requirements/venues.txt - --no-deps "$@"
