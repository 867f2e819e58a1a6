"""Look at a network interface: `wire.py INTERFACE PORT` prints, when its input ends, what TCP carried from
and to the port.

A program of its own, since it has to run in the network namespace that it looks at.
"""

from __future__ import annotations

import json
import select
import socket
import sys

_ETHERNET, _TCP, _EVERYTHING = 14, 6, 0x0003


def _payload(frame: bytes) -> bytes:
    packet = frame[_ETHERNET:]
    if not packet or packet[0] >> 4 != 4 or packet[9] != _TCP:
        return b""
    segment = packet[(packet[0] & 15) * 4 : int.from_bytes(packet[2:4], "big")]
    return segment[(segment[12] >> 4) * 4 :]


def main(interface: str, port: int) -> None:
    """Look on until standard input ends."""
    cached = bytearray()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING)) as wire:
        wire.bind((interface, 0))
        print("looking", flush=True)
        while True:
            ready, _, _ = select.select([wire, sys.stdin], [], [])
            if wire in ready:
                frame = wire.recv(65535)
                ports = frame[_ETHERNET + 20 : _ETHERNET + 24]
                if port in (int.from_bytes(ports[:2], "big"), int.from_bytes(ports[2:], "big")):
                    cached += _payload(frame)
            elif sys.stdin in ready:
                print(json.dumps(cached.hex()))
                return


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
