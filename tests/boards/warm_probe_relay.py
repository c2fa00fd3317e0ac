"""What a probe board starts in place of its worker: hands everything on to `warm_probe_server.py`, and ends as it does.

``warm_probe_relay.py SOCKET ARGUMENT...``; imports next to nothing.
"""

import os
import socket
import sys

with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
    link.connect(sys.argv[1])
    environment = [name + b"=" + value for name, value in os.environb.items()]
    words = [os.fsencode(word) for word in sys.argv[2:]]
    socket.send_fds(link, [b"\0".join(words) + b"\0\0" + b"\0".join(environment)], [2])
    status = link.recv(16)
sys.exit(int(status) if status else 1)
