"""The floor of one send() for each message and subscriber: handshakes, then nothing but blocking sends."""

import base64
import hashlib
import selectors
import socket
import sys

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def main(port: int, lines_port: int) -> None:
    ready = selectors.DefaultSelector()
    door, lines = (socket.create_server(("127.0.0.1", each), backlog=1024) for each in (port, lines_port))
    for listener in (door, lines):
        ready.register(listener, selectors.EVENT_READ)
    clients: list[socket.socket] = []
    rest = b""
    while True:
        for key, _ in ready.select():
            if key.fileobj is door:
                clients.append(accept(door))
            elif key.fileobj is lines:
                ready.register(lines.accept()[0], selectors.EVENT_READ)
            else:
                publisher = key.fileobj
                assert isinstance(publisher, socket.socket)
                data = publisher.recv(65_536)
                if not data:
                    ready.unregister(publisher)
                    publisher.close()
                *messages, rest = (rest + data).split(b"\n")
                for message in messages:
                    tell(clients, message)


def accept(door: socket.socket) -> socket.socket:
    client, _ = door.accept()
    request = b""
    while b"\r\n\r\n" not in request:
        request += client.recv(4_096)
    key = next(line for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    accepted = base64.b64encode(hashlib.sha1(key.split(b":")[1].strip() + _GUID).digest())  # noqa: S324 - RFC 6455
    client.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: %b\r\n\r\n" % accepted
    )
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def tell(clients: list[socket.socket], message: bytes) -> None:
    size = len(message)
    head = bytes((0x81, size)) if size < 126 else bytes((0x81, 126)) + size.to_bytes(2, "big")
    frame = head + message
    for client in clients:
        client.sendall(frame)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
