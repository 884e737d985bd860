"""Sends pairs of SYNs at the same instant, on two processors: race-syns.py DEVICE FROM TO COUNT.

FROM and TO are hardware addresses. Pair i comes from 10.99.0.0 + i, to port 22 of 10.77.0.1, from two ports.
"""
import mmap
import os
import socket
import struct
import sys
import time

device, sender, receiver, count = sys.argv[1], *sys.argv[2:4], int(sys.argv[4])
ethernet = bytes.fromhex((receiver + sender).replace(':', '')) + b'\x08\x00'


def checksum(header):
    total = sum(struct.unpack('!%dH' % (len(header) // 2), header))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(pair, port):
    addresses = struct.pack('!I', (10 << 24) + (99 << 16) + pair) + bytes([10, 77, 0, 1])
    head = struct.pack('!BBHHHBBH', 0x45, 0, 40, 0, 0x4000, 64, 6, 0)
    head = head[:10] + struct.pack('!H', checksum(head + addresses)) + addresses
    return ethernet + head + struct.pack('!HHIIBBHHH', port, 22, 1, 0, 0x50, 2, 1024, 0, 0)


arrived = mmap.mmap(-1, 2 * count)
deadline = time.monotonic() + 20


def send(side):
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[side]})
    frames = [frame(pair, 40000 + side) for pair in range(count)]
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind((device, 0))
        for pair in range(count):
            arrived[2 * pair + side] = 1
            while not arrived[2 * pair + 1 - side]:
                if time.monotonic() > deadline:
                    sys.exit('the other side is late')
            out.send(frames[pair])


child = os.fork()
send(0 if child else 1)
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
