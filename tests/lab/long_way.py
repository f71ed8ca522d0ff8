"""Takes each packet out of a TUN interface and puts it back after a while."""

import collections
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001

interface, seconds = sys.argv[1], float(sys.argv[2])
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", interface.encode(), IFF_TUN_NO_PI))
held = collections.deque()
while True:
    wait = max(0, held[0][0] - time.monotonic()) if held else None
    if select.select([tun], [], [], wait)[0]:
        held.append((time.monotonic() + seconds, os.read(tun, 65536)))
    while held and held[0][0] <= time.monotonic():
        os.write(tun, held.popleft()[1])
