#!/usr/bin/env bash
# The first process of a node, in namespaces of its own; test/support/real-node.ts starts it in $RUN and sets the variables.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
hostname "$NODE"
mkdir -p kubelet pods-log containers-log cni containerd log sysctl
. "$here/configure.sh"

# Pods may share mounts with the node; nothing of them reaches the machine.
mount --make-rshared /
mount --bind kubelet /var/lib/kubelet
mount --make-rshared /var/lib/kubelet
mount --bind pods-log /var/log/pods
mount --bind containers-log /var/log/containers
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/containerd

# The kubelet insists on writing these, which are the whole machine's: let it write copies.
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_max{keys,bytes}; do
  copy=sysctl/${setting//\//.}
  cat "/proc/sys/$setting" >"$copy"
  mount --bind "$copy" "/proc/sys/$setting"
done

ip link set lo up
# The machine's side hands the link in after this process has started.
until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
ip addr add "$NODE_IP/24" dev eth0
ip link set eth0 up
ip route add default via "$HOST_IP"
echo 1 >/proc/sys/net/ipv4/ip_forward

# The folder of the pods, in each hierarchy of cgroup v1 or in the only one of v2. A cpuset of v1 starts with no CPU.
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  mkdir -p "/sys/fs/cgroup/$NODE"
else
  for hierarchy in /sys/fs/cgroup/*/; do
    case $hierarchy in */unified/) continue ;; esac
    mkdir -p "$hierarchy$NODE"
    for set in cpuset.cpus cpuset.mems; do
      [ ! -f "$hierarchy$set" ] || cat "$hierarchy$set" >"$hierarchy$NODE/$set"
    done
  done
fi

# start NAME COMMAND...: in the background, with a log of its own.
start() {
  local name=$1
  shift
  "$@" >"log/$name.log" 2>&1 &
  echo "$name: $!"
}

start etcd "$CONTROL_PLANE/etcd" --data-dir=etcd --unsafe-no-fsync --log-level=warn
start containerd containerd --config containerd.toml
start kube-apiserver "$CONTROL_PLANE/kube-apiserver" \
  --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 --advertise-address="$NODE_IP" \
  --tls-cert-file=pki/apiserver.crt --tls-private-key-file=pki/apiserver.key --client-ca-file=pki/ca.crt \
  --kubelet-certificate-authority=pki/ca.crt --kubelet-client-certificate=pki/apiserver-to-kubelet.crt \
  --kubelet-client-key=pki/apiserver-to-kubelet.key --kubelet-preferred-address-types=InternalIP \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
  --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=pki/service-account.pub \
  --service-account-signing-key-file=pki/service-account.key --service-cluster-ip-range="$SERVICES"
until ctr version >/dev/null 2>&1; do sleep 0.05; done
for image in "$BIN"/images/*.tar; do ctr --namespace k8s.io images import "$image"; done
until "$CONTROL_PLANE/kubectl" --kubeconfig=admin.kubeconfig get --raw /readyz >/dev/null 2>&1; do sleep 0.1; done

# component NAME PROGRAM FLAG...: one that calls the apiserver under its own name only.
component() {
  local name=$1 program=$2
  shift 2
  start "$name" "$program" --kubeconfig="$name.kubeconfig" --authentication-kubeconfig="$name.kubeconfig" \
    --authorization-kubeconfig="$name.kubeconfig" --leader-elect=false --bind-address=127.0.0.1 "$@"
}
component kube-controller-manager "$CONTROL_PLANE/kube-controller-manager" \
  --service-account-private-key-file=pki/service-account.key --root-ca-file=pki/ca.crt \
  --cluster-signing-cert-file=pki/ca.crt --cluster-signing-key-file=pki/ca.key --use-service-account-credentials=true
component kube-scheduler "$BIN/kube-scheduler"
start kubelet "$BIN/kubelet" --config=kubelet.yaml --kubeconfig=kubelet.kubeconfig --hostname-override="$NODE" \
  --node-ip="$NODE_IP"
start kube-proxy "$BIN/kube-proxy" --config=proxy.yaml

# Stay: bash as the first process also reaps what containers leave. A part that ends is told.
while :; do
  code=0
  wait -n -p gone || code=$?
  echo "ended: ${gone:-?} ($code)"
  [ -n "${gone:-}" ] || sleep 1
done
