#!/usr/bin/env bash
# Packs the images of a node's own pods into BIN/images: pause, busybox (Debian's busybox-static), CoreDNS.
# usage: images.sh BIN
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$1
root=$here/../../..
case $(uname -m) in
x86_64) architecture=amd64 ;;
aarch64) architecture=arm64 ;;
*) echo "images.sh: no node on $(uname -m)" >&2; exit 1 ;;
esac
mkdir -p "$bin/images"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pack() { "$root/node_modules/.bin/node" "$root/deploy/images/src/pack.ts" "$@"; }

# image NAME CONFIG: packs the folder of that name, unless the image is there.
image() { [ -f "$bin/images/$1.tar" ] || pack "$work/$1" "$bin/images/$1.tar" "docker.io/local/$1:1" "$architecture" "$2"; }

mkdir "$work"/{pause,coredns}
cp "$bin/pause" "$work/pause/"
cp "$bin/coredns" "$work/coredns/"
image pause '{"Entrypoint":["/pause"],"User":"65535:65535"}'
image coredns '{"Entrypoint":["/coredns"]}'

busybox=$work/busybox
mkdir -p "$busybox"/{bin,sbin,usr/bin,usr/sbin,etc,root,tmp,proc,sys,dev}
chmod 1777 "$busybox/tmp"
cp /bin/busybox "$busybox/bin/"
for applet in $(/bin/busybox --list-full); do
  mkdir -p "$busybox/$(dirname "$applet")"
  [ -e "$busybox/$applet" ] || ln -s /bin/busybox "$busybox/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$busybox/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$busybox/etc/group"
image busybox '{"Cmd":["sh"],"Env":["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]}'
