#!/bin/sh
# Installs what the example needs, generates its code from proto/, and runs it with the arguments given.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
venv=$here/.venv

# The copy of requirements.txt says that they are installed: written last, and stale when a pin changes.
if ! cmp -s "$here/requirements.txt" "$venv/requirements.txt"; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/requirements.txt"
fi

(cd "$here/../.." && PATH="$venv/bin:$PATH" node_modules/.bin/buf generate --template examples/python/buf.gen.yaml)

PYTHONPATH="$here/gen" exec "$venv/bin/python" "$here/list_and_watch.py" "$@"
