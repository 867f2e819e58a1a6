#!/bin/sh
# Send the traffic of this network namespace through the Envoy in it, by the rules that Istio uses:
# what comes in goes to port 15006, what goes out to port 15001. Whatever Envoy itself sends goes free, told by
# the user that it runs as. Run as root with NET_ADMIN, in the workload's network namespace. It can run again;
# `capture.sh off` takes all of it back.
set -eu

envoy_user=${ENVOY_USER:-1337}
# Envoy's ports for health and metrics are reached directly. A machine that is reached by SSH needs 22 here too.
free_inbound_ports=${FREE_INBOUND_PORTS:-15020 15021 15090}

# Debian's `iptables` programs the kernel by nftables; some kernels only know the older way.
for suffix in "" -legacy; do
    if "iptables$suffix" -t nat -S >/dev/null 2>&1; then
        iptables=iptables$suffix
        break
    fi
done
: "${iptables:?iptables does not work here: is this container root, with the capability NET_ADMIN?}"

if [ "${1:-on}" = off ]; then
    for jump in "PREROUTING -p tcp -j MIZZEN_INBOUND" "OUTPUT -p tcp -j MIZZEN_OUTPUT"; do
        # shellcheck disable=SC2086 # words, as iptables wants them
        while "$iptables" -t nat -D $jump 2>/dev/null; do :; done
    done
    for chain in MIZZEN_OUTPUT MIZZEN_INBOUND MIZZEN_IN_REDIRECT MIZZEN_REDIRECT; do
        "$iptables" -t nat -F "$chain" 2>/dev/null && "$iptables" -t nat -X "$chain"
    done
    echo "not captured any more"
    exit 0
fi

# Chains of our own are emptied and filled; those of others (Docker's DNS has rules here too) stay as they are.
{
    echo '*nat'
    for chain in MIZZEN_INBOUND MIZZEN_IN_REDIRECT MIZZEN_OUTPUT MIZZEN_REDIRECT; do
        echo ":$chain - [0:0]"
    done
    echo '-A MIZZEN_REDIRECT -p tcp -j REDIRECT --to-ports 15001'
    echo '-A MIZZEN_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006'
    for port in $free_inbound_ports; do
        echo "-A MIZZEN_INBOUND -p tcp --dport $port -j RETURN"
    done
    echo '-A MIZZEN_INBOUND -p tcp -j MIZZEN_IN_REDIRECT'
    # 127.0.0.6 is the address from which Envoy passes requests on to its own workload.
    echo '-A MIZZEN_OUTPUT -s 127.0.0.6/32 -o lo -j RETURN'
    # Envoy calls the service that it stands before itself: through the inbound side, as from any other caller.
    echo "-A MIZZEN_OUTPUT ! -d 127.0.0.1/32 -o lo -m owner --uid-owner $envoy_user -j MIZZEN_INBOUND"
    echo "-A MIZZEN_OUTPUT -o lo -m owner ! --uid-owner $envoy_user -j RETURN"
    echo "-A MIZZEN_OUTPUT -m owner --uid-owner $envoy_user -j RETURN"
    # Loopback, and with it Docker's DNS server at 127.0.0.11.
    echo '-A MIZZEN_OUTPUT -d 127.0.0.0/8 -j RETURN'
    echo '-A MIZZEN_OUTPUT -j MIZZEN_REDIRECT'
    echo COMMIT
} | "$iptables-restore" --noflush

jump() { # chain of the kernel, chain of ours
    "$iptables" -t nat -C "$1" -p tcp -j "$2" 2>/dev/null || "$iptables" -t nat -A "$1" -p tcp -j "$2"
}
jump PREROUTING MIZZEN_INBOUND
jump OUTPUT MIZZEN_OUTPUT
echo "captured: inbound to 15006, outbound to 15001, except for user $envoy_user"
