#!/usr/bin/env bash
# Packs a folder as an image of one layer, without a container engine: `ctr images import`, `docker load` and `podman load`
# read it. Times, owners and order are fixed, so that the same folder gives the same image.
# usage: pack.sh ROOT OUT.tar NAME:TAG ARCHITECTURE CONFIG
#   ARCHITECTURE  amd64 or arm64
#   CONFIG        JSON: Entrypoint, Cmd, User, Env and so on (OCI image specification, config.md)
set -euo pipefail
[ $# = 5 ] || { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
root=$1 out=$2 name=$3 architecture=$4 config=$5
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pack() { # pack FOLDER OUT MEMBER...
  local folder=$1 tar=$2
  shift 2
  LC_ALL=C tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu -C "$folder" -cf "$tar" "$@"
}

pack "$root" "$work/layer.tar" .
layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
printf '{"architecture":"%s","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
  "$architecture" "$config" "$layer" >"$work/config.json"
id=$(sha256sum "$work/config.json" | cut -d' ' -f1)
mv "$work/config.json" "$work/$id.json"
printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$id" "$name" >"$work/manifest.json"
pack "$work" "$out" layer.tar "$id.json" manifest.json
echo "$name $architecture sha256:$id $(($(stat -c %s "$out") >> 20)) MiB"
