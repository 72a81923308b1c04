# SPDX-License-Identifier: MIT
"""Open a device, as root, and give it to another user's program: examples/receive.py or receive.c.

sudo python give.py 0000:01:00.0 /run/my-device UID
"""

import os
import socket
import sys

import vfiocore

name, path, user = sys.argv[1], sys.argv[2], int(sys.argv[3])
with vfiocore.open(name) as device, socket.socket(socket.AF_UNIX) as listener:
    listener.bind(path)
    os.chown(path, user, -1)
    os.chmod(path, 0o600)
    listener.listen(1)
    print(f"{device.name} waits at {path}", flush=True)
    peer, _ = listener.accept()
    with peer:
        device.send(peer)
        peer.recv(1)  # until the other side has finished; the device may be used here, too
    os.unlink(path)
