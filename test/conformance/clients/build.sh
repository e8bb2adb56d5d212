#!/usr/bin/env bash
# Makes a client in another language ready in the cache, and prints the words of its command, one a line.
# usage: build.sh python|rust
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${FAIRLEAD_CACHE:-$here/../../../.cache}/clients

case ${1:-} in
python)
  venv=$cache/python
  # The copy of requirements.txt says that they are installed: written last, and stale when a pin changes.
  if ! cmp -s "$here/python/requirements.txt" "$venv/requirements.txt"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/python/requirements.txt" >&2
    cp "$here/python/requirements.txt" "$venv/requirements.txt"
  fi
  printf '%s\n' "$venv/bin/python" "$here/python/client.py"
  ;;
rust)
  # By what it is built from: a program that is there needs no cargo.
  program=$cache/rust/client-$(cat "$here"/rust/Cargo.* "$here/rust/src/main.rs" | sha256sum | cut -c 1-12)
  if [ ! -x "$program" ]; then
    if [ -z "${FAIRLEAD_RUST:-}" ]; then
      echo "it is not in the cache, and takes minutes to build: set FAIRLEAD_RUST=1 to have it built by cargo" >&2
      exit 3
    fi
    CARGO_TARGET_DIR=$cache/rust cargo build --quiet --release --locked --manifest-path "$here/rust/Cargo.toml" >&2
    cp "$cache/rust/release/fairlead-client-in-rust" "$program"
  fi
  echo "$program"
  ;;
*)
  echo "usage: build.sh python|rust" >&2
  exit 2
  ;;
esac
