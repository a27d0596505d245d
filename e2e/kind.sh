#!/bin/sh
# The end-to-end run on a cluster of its own: bash e2e/kind.sh [CASE...]. Needs docker, kind and kubectl. The cluster and its
# volume are made, and removed again whatever comes out; E2E_KEEP=1 leaves them.
set -eu
cd "$(dirname "$0")/.."
# The server runs as the user of the pods, and only root may give it a volume.
[ "$(id -u)" = 0 ] || exec sudo -E env "PATH=$PATH" sh e2e/kind.sh "$@"

CLUSTER=paperclip-e2e
IMAGE=paperclip-e2e/opencode:local
# As e2e/kind.yaml shares it.
export E2E_DATA_ROOT=/tmp/paperclip-e2e E2E_IMAGE=$IMAGE

clean_up() {
  [ "${E2E_KEEP:-}" = 1 ] && return
  kind delete cluster --name "$CLUSTER" || true
  rm -rf "$E2E_DATA_ROOT" "$E2E_DATA_ROOT.kubeconfig"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

getent passwd 1000 >/dev/null || useradd --uid 1000 --user-group paperclip
mkdir -p "$E2E_DATA_ROOT"
KUBECONFIG=$E2E_DATA_ROOT.kubeconfig
export KUBECONFIG
kind create cluster --name "$CLUSTER" --config e2e/kind.yaml --wait 120s
docker build --tag "$IMAGE" --file e2e/agent.Dockerfile e2e
kind load docker-image "$IMAGE" --name "$CLUSTER"

# Pods reach this machine at the IPv4 gateway of kind's network.
E2E_HOST=$(docker network inspect kind --format '{{range .IPAM.Config}}{{.Gateway}} {{end}}' | tr ' ' '\n' | grep -m1 '\.')
export E2E_HOST E2E_LISTEN=0.0.0.0
npm run e2e -- "$@"
