"""The servers of tests/e2e/test_capture.py, run inside a network namespace: `capture_server.py ADDRESS`.

HTTP on 9080 and 8080, which answers with what it was sent and from where; and on 3306 and 7777 a TCP server
that says its port in one line and then sends every line back.
"""

from __future__ import annotations

import json
import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        seen = {
            "path": self.path,
            "port": self.server.server_address[1],
            "from": self.client_address[0],
            "headers": {name.lower(): value for name, value in self.headers.items()},
        }
        body = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


class HttpServer(ThreadingHTTPServer):
    def server_bind(self) -> None:
        # HTTPServer looks its own name up, which takes long where no name server is reached.
        socketserver.TCPServer.server_bind(self)


class Lines(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(f"{self.server.server_address[1]}\n".encode())
        while line := self.rfile.readline():
            self.wfile.write(line)


class LineServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def main(address: str) -> None:
    if ":" in address:
        HttpServer.address_family = LineServer.address_family = socket.AF_INET6
    servers: list[socketserver.BaseServer] = [
        HttpServer((address, 9080), Http),
        HttpServer((address, 8080), Http),
        LineServer((address, 3306), Lines),
        LineServer((address, 7777), Lines),
    ]
    threads = [threading.Thread(target=server.serve_forever) for server in servers]
    for thread in threads:
        thread.start()
    print("listening", flush=True)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(sys.argv[1])
