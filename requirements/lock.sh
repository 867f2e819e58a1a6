#!/bin/sh
# Lock every package that is installed: its version and the hashes of its files, for each Python and platform.
#
#   lock.sh UV        UV: the program uv, which finds the versions (make lock)
#
# development.txt has everything. runtime.txt and build.txt are parts of it, in the same versions: what the image
# installs, and what builds the package in it.
set -eu
uv=$1
cd "$(dirname "$0")/.."
compile() {
    "$uv" pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
        --custom-compile-command "make lock" --output-file "$@"
}
compile requirements/development.txt --upgrade pyproject.toml --extra dev --group build
compile requirements/runtime.txt pyproject.toml --constraint requirements/development.txt
compile requirements/build.txt --group build --constraint requirements/development.txt
