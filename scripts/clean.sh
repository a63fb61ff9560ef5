#!/usr/bin/env bash
# Takes back what `make audit` and `make test` made in this checkout; what lies elsewhere is left, and named.
set -euo pipefail
venv=$1
here=$PWD

own() {  # a folder of the checkout itself, not a link to somewhere else
    [ -d "$here/$1" ] && [ ! -L "$here/$1" ]
}

if [ "$AIIDA_PATH" = "$here/.aiida" ] && [ -f "$AIIDA_PATH/config.json" ] && [ -x "$venv/bin/verdi" ]; then
    if ! "$venv/bin/verdi" -p pcm daemon stop > /dev/null 2>&1; then
        echo 'The daemon of the profile pcm could not be stopped; see: verdi -p pcm daemon status' >&2
        exit 1
    fi
fi
for folder in .venv .aiida audit build dist aiida_pcm.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis; do
    if own "$folder"; then
        rm -rf "${here:?}/$folder"
        echo "removed $folder"
    fi
done
find . -name __pycache__ -type d -prune -exec rm -rf {} +
[ "$venv" = "$here/.venv" ] || echo "left: the environment $venv, which is yours (pip uninstall aiida-pcm takes the package out)"
[ "$AIIDA_PATH" = "$here/.aiida" ] || echo "left: AiiDA's folder $AIIDA_PATH, which is yours"
echo "left: pw.x, if Debian's package was installed (apt-get remove quantum-espresso)"
