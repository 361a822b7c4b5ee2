"""Tells of every process of this machine that starts a program: one JSON line each, with its arguments and environment."""

import hashlib
import json
import os
import socket
import struct
import sys
import time

# Of linux/connector.h and linux/cn_proc.h.
NETLINK_CONNECTOR = 11
CN_PROC = 1
LISTEN = 1
EXEC = 2
told = set()


def read(pid, name):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""


def tell(pid):
    arguments, environment = read(pid, "cmdline"), read(pid, "environ")
    # Most of them have the environment of the one before.
    key = hashlib.sha256(environment).digest()
    known = key in told
    told.add(key)
    print(
        json.dumps(
            {
                "pid": pid,
                "name": read(pid, "comm").decode("latin1").strip(),
                "cmdline": arguments.decode("latin1"),
                "environ": "" if known else environment.decode("latin1"),
            }
        ),
        flush=True,
    )


def listen():
    events = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_CONNECTOR)
    events.bind((os.getpid(), CN_PROC))
    try:
        # SO_RCVBUFFORCE: a busy moment overflows nothing.
        events.setsockopt(socket.SOL_SOCKET, 33, 16 * 1024 * 1024)
    except OSError:
        pass
    wish = struct.pack("=IIIIHHI", CN_PROC, 1, 0, 0, 4, 0, LISTEN)
    events.send(struct.pack("=IHHII", 16 + len(wish), 3, 0, 0, os.getpid()) + wish)
    return events


def main():
    events = listen()
    print(json.dumps({"ready": True}), flush=True)
    while True:
        message = events.recv(4096)
        (what,) = struct.unpack_from("=I", message, 36)
        if what == EXEC:
            (pid,) = struct.unpack_from("=I", message, 52)
            tell(pid)


try:
    os.nice(-10)
except OSError:
    pass
main()
