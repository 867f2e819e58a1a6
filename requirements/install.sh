#!/bin/sh
# Make the environment for development: the locked versions of everything, and Mizzen itself as it stands here.
#
#   install.sh PYTHON FOLDER
#
# Says what it is doing, and on a terminal how far it is: it takes a minute or two where nothing is cached.
set -eu
python=$1
folder=$2
cd "$(dirname "$0")/.."
"$python" -m venv "$folder" || { echo "Debian keeps venv in a package of its own: apt install python3-venv" >&2; exit 1; }
packages=$(grep -c '^[a-z].*==' requirements/development.txt)
echo "Making the environment in $folder: $packages packages, once; a minute or two."
log=$folder/install.log
install() {
    "$folder/bin/python" -m pip install --disable-pip-version-check --no-input "$@" >>"$log" 2>&1
}
progress() {
    while kill -0 "$1" 2>/dev/null; do
        seen=$(grep -cE '^Collecting ' "$log" || true)
        printf '\r  %3d of %d packages found, %s' "$seen" "$packages" \
            "$(grep -q '^Installing' "$log" && echo 'installing ' || echo 'downloading')"
        sleep 1
    done
    printf '\r%60s\r' ''
}
: >"$log"
install --require-hashes --requirement requirements/development.txt &
installing=$!
if [ -t 1 ]; then progress "$installing"; fi
wait "$installing" && install --no-deps --no-build-isolation --editable . || {
    tail -n 15 "$log" >&2
    echo "The environment could not be made; all that pip said is in $log" >&2
    exit 1
}
