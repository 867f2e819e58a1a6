#!/bin/sh
# Write what the containers start with into the volume /run/mizzen: a bootstrap for each Envoy, and where the
# workloads are (workloads.yaml with the network that MIZZEN_NETWORK names). Runs once, before everything else.
set -eu

network=${MIZZEN_NETWORK:-10.213.77}
here=$(dirname "$0")
mkdir -p /run/mizzen/workloads
# The authority of the mesh and its key: the control plane's alone.
install -d -m 700 -o mizzen /var/lib/mizzen/state

sed "s/10\.213\.77\./$network./" "$here/workloads.yaml" > /run/mizzen/workloads/workloads.yaml

bootstrap() { # role, name, last part of the address, labels...
    role=$1 name=$2 address=$network.$3
    shift 3
    mizzen bootstrap "$role" --name "$name" --ip "$address" --xds-address control-plane:15010 "$@" \
        > "/run/mizzen/$name.yaml"
}

bootstrap gateway ingress 10 --service-account bookinfo-ingress --label istio=ingressgateway
bootstrap sidecar productpage-v1 11 --service-account bookinfo-productpage --label app=productpage --label version=v1
bootstrap sidecar details-v1 12 --service-account bookinfo-details --label app=details --label version=v1
bootstrap sidecar reviews-v1 13 --service-account bookinfo-reviews --label app=reviews --label version=v1
bootstrap sidecar reviews-v2 14 --service-account bookinfo-reviews --label app=reviews --label version=v2
bootstrap sidecar reviews-v3 15 --service-account bookinfo-reviews --label app=reviews --label version=v3
bootstrap sidecar ratings-v1 16 --service-account bookinfo-ratings --label app=ratings --label version=v1
