"""What a board starts in place of its worker: hands everything on to `forking_server.py`, and ends as the worker does.

``forked_worker.py SOCKET ARGUMENT...``; imports next to nothing.
"""

import os
import socket
import sys

with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
    link.connect(sys.argv[1])
    environment = [name + b"=" + value for name, value in os.environb.items()]
    words = [os.fsencode(word) for word in sys.argv[2:]]
    socket.send_fds(link, [b"\0".join(words) + b"\0\0" + b"\0".join(environment)], [0, 1, 2])
    for stream in range(3):  # the worker's alone: who waits for their end waits for the worker
        os.close(stream)
    status = link.recv(16)
os._exit(int(status) if status else 1)
