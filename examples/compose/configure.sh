#!/bin/sh
# Write what the containers start with into their volumes under /run/mizzen. For the control plane, in mesh/: where the
# workloads are (workloads.yaml with the network that MIZZEN_NETWORK names), and who may call whom. For each proxy, in
# proxies/NAME/: its bootstrap, its token and the root of the mesh. Runs once, before everything else; running again
# writes new tokens.
set -eu

network=${MIZZEN_NETWORK:-10.213.77}
here=$(dirname "$0")
state=/var/lib/mizzen/state
mesh=/run/mizzen/mesh

# The keys of the mesh are the control plane's alone, which runs as this user.
install -d -m 700 -o mizzen -g mizzen "$state"
as_control_plane() {
    setpriv --reuid mizzen --regid mizzen --clear-groups "$@"
}
as_control_plane mizzen ca create --state "$state"

sed "s/10\.213\.77\./$network./" "$here/workloads.yaml" > "$mesh/workloads.yaml"
python3 "$here/security.py" "$mesh"

proxy() { # role, name, last part of the address, service account, labels...
    role=$1 name=$2 address=$network.$3 account=$4
    shift 4
    folder=/run/mizzen/proxies/$name
    install -d -m 700 -o 1337 -g 1337 "$folder"
    mizzen bootstrap "$role" --name "$name" --ip "$address" --service-account "$account" \
        --agent-socket /tmp/mizzen/agent.sock "$@" > "$folder/envoy.yaml"
    install -m 644 "$state/ca/root-cert.pem" "$folder/root-cert.pem"
    # Only the sidecar's user may read its token. By it the agent has its first certificate signed; then it renews both.
    install -m 600 -o 1337 /dev/null "$folder/token.new"
    as_control_plane mizzen token --state "$state" --service-account "$account" --ttl 24h > "$folder/token.new"
    mv "$folder/token.new" "$folder/token"
}

proxy gateway ingress 10 bookinfo-ingress --label istio=ingressgateway
proxy sidecar productpage-v1 11 bookinfo-productpage --label app=productpage --label version=v1
proxy sidecar details-v1 12 bookinfo-details --label app=details --label version=v1
proxy sidecar reviews-v1 13 bookinfo-reviews --label app=reviews --label version=v1
proxy sidecar reviews-v2 14 bookinfo-reviews --label app=reviews --label version=v2
proxy sidecar reviews-v3 15 bookinfo-reviews --label app=reviews --label version=v3
proxy sidecar ratings-v1 16 bookinfo-ratings --label app=ratings --label version=v1
