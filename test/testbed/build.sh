#!/usr/bin/env bash
# Builds the real control plane of the test bed from the Go module proxy into DIR (default .cache/testbed/VERSION).
# About 8 minutes cold on 2 cores; a program that is already there is not built again.
# usage: build.sh [DIR]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n 's|^require k8s.io/kubernetes v||p' "$here/kubernetes/go.mod")
bin=${1:-${FAIRLEAD_CACHE:-$here/../../.cache}/testbed/v$version}
mkdir -p "$bin"
export CGO_ENABLED=0

# build DIR LDFLAGS PACKAGE...: builds those packages of the module in DIR whose program is missing.
build() {
  local dir=$1 flags=$2 missing=() package
  shift 2
  for package; do [ -x "$bin/$(basename "$package")" ] || missing+=("$package"); done
  [ ${#missing[@]} = 0 ] && return
  echo "test bed: building ${missing[*]##*/} $version" >&2
  (cd "$dir" && go build -trimpath -ldflags="-s -w $flags" -o "$bin/" "${missing[@]}")
}

# Without these each program reports v0.0.0-master, and `kubectl version` fails.
component=k8s.io/component-base/version
IFS=. read -r major minor _ <<<"$version"
build "$here/kubernetes" "-X $component.gitVersion=v$version -X $component.gitMajor=$major -X $component.gitMinor=$minor" \
  k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kubectl}
build "$here/etcd" "" testbed/etcd
build "$here/kubelet" "" testbed/kubelet
echo "$bin"
