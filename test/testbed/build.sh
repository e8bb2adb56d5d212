#!/usr/bin/env bash
# Builds a part of the test bed from the Go module proxy into the cache, and prints the folder: 8 minutes cold on 2 cores for
# the control plane, 6 more for the node, 1 for helm, 1 for the examples in Go. A program that is already there is not built
# again.
# usage: build.sh [control-plane|node|helm|examples]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${FAIRLEAD_CACHE:-$here/../../.cache}
# required MODULE DIR: its version in the go.mod of DIR.
required() { sed -n "s|^require $1 v||p" "$here/$2/go.mod"; }
version=$(required k8s.io/kubernetes kubernetes)
control_plane=$cache/testbed/v$version
export CGO_ENABLED=0

# build OUT DIR LDFLAGS PACKAGE...: builds those packages of the module in DIR whose program is missing in OUT.
build() {
  local out=$1 dir=$2 flags=$3 missing=() package
  shift 3
  mkdir -p "$out"
  for package; do [ -x "$out/$(basename "$package")" ] || missing+=("$package"); done
  [ ${#missing[@]} = 0 ] && return
  echo "test bed: building ${missing[*]##*/}" >&2
  (cd "$here/$dir" && go build -trimpath -ldflags="-s -w $flags" -o "$out/" "${missing[@]}")
}

# kubernetes OUT PROGRAM...: without the flags each program reports v0.0.0-master, and `kubectl version` fails.
kubernetes() {
  local out=$1 component=k8s.io/component-base/version major minor
  shift
  IFS=. read -r major minor _ <<<"$version"
  build "$out" kubernetes \
    "-X $component.gitVersion=v$version -X $component.gitMajor=$major -X $component.gitMinor=$minor" \
    "${@/#/k8s.io/kubernetes/cmd/}"
}

case ${1:-control-plane} in
control-plane)
  kubernetes "$control_plane" kube-apiserver kube-controller-manager kubectl
  build "$control_plane" etcd "" testbed/etcd
  build "$control_plane" kubelet "" testbed/kubelet
  echo "$control_plane"
  ;;
node)
  # A folder of its own: the control plane's has a test kubelet.
  kubernetes "$control_plane/node" kubelet kube-scheduler kube-proxy
  build "$control_plane/node" coredns "" testbed/coredns
  build "$control_plane/node" pause "" testbed/pause
  "$here/node/images.sh" "$control_plane/node" >&2
  echo "$control_plane/node"
  ;;
helm)
  helm_version=$(required helm.sh/helm/v3 helm)
  # What `helm template` takes the cluster for, which it does not ask.
  IFS=. read -r major minor _ <<<"$version"
  capabilities="-X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=$major -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=$minor"
  build "$cache/helm/v$helm_version" helm \
    "-X helm.sh/helm/v3/internal/version.version=v$helm_version $capabilities" helm.sh/helm/v3/cmd/helm
  echo "$cache/helm/v$helm_version"
  ;;
examples)
  # By what it is made of: the examples have no version, and one that has changed is to be built.
  sources=$(find "$here/../../examples/go" -name '*.go' -o -name 'go.*' | sort | xargs cat | sha256sum | cut -c 1-16)
  build "$cache/examples/$sources" ../../examples/go "" ./client ./inventory
  echo "$cache/examples/$sources"
  ;;
*)
  echo "usage: build.sh [control-plane|node|helm|examples]" >&2
  exit 2
  ;;
esac
