"""A scan of all TCP ports by connecting, and of some UDP ports by asking; says what it found as JSON."""

import errno
import json
import resource
import select
import socket
import sys
import time

AT_ONCE = 3000
# Longer than a second: by then the kernel has asked a second time, for a packet may be lost.
TCP_WAIT = 1.3
TCP_ROUNDS = 5
# More silence than lost packets can be, even on a machine that is busy: a firewall.
FIREWALL = 60000
UDP_WAIT = 1.05
UDP_ROUNDS = 3
# A DNS question, an NTP question, an SSDP one and an empty line: something that a usual server answers.
PROBES = {
    53: bytes.fromhex("123401000001000000000000076578616d706c6504746573740000010001"),
    123: b"\x1b" + 47 * b"\0",
    323: b"\x1b" + 47 * b"\0",
    1900: b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n",
}


def scan_tcp(family, target, ports):
    """Open ports, and how many gave no answer at all, however often they were asked."""
    opened, silent = ask_tcp(family, target, ports)
    for _ in range(TCP_ROUNDS):
        if not silent or len(silent) > FIREWALL:
            break
        before = len(silent)
        more, silent = ask_tcp(family, target, silent)
        opened += more
        if len(silent) == before:
            break
    return sorted(opened), len(silent)


def ask_tcp(family, target, ports):
    opened, silent = [], []
    waiting, poller = {}, select.epoll()
    left = iter(ports)
    more = True
    while more or waiting:
        while more and len(waiting) < AT_ONCE:
            port = next(left, None)
            if port is None:
                more = False
                break
            # Queues on the way are short.
            if port % 250 == 0:
                time.sleep(0.002)
            one = socket.socket(family, socket.SOCK_STREAM)
            one.setblocking(False)
            result = one.connect_ex((target[0], port, *target[2:]))
            if result == errno.EINPROGRESS:
                waiting[one.fileno()] = (one, port, time.monotonic() + TCP_WAIT)
                poller.register(one.fileno(), select.EPOLLOUT)
                continue
            if result == 0:
                opened.append(port)
            one.close()
        for number, _ in poller.poll(0.1):
            one, port, _ = waiting.pop(number)
            poller.unregister(number)
            failure = one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failure == 0:
                opened.append(port)
            elif failure != errno.ECONNREFUSED:
                silent.append(port)
            one.close()
        now = time.monotonic()
        # They were asked in order: the first that may still wait ends the search.
        for number, (one, port, until) in list(waiting.items()):
            if until > now:
                break
            waiting.pop(number)
            poller.unregister(number)
            one.close()
            silent.append(port)
    return opened, silent


def scan_udp(family, target, ports):
    answered, left = [], {}
    for port in ports:
        one = socket.socket(family, socket.SOCK_DGRAM)
        one.setblocking(False)
        one.connect((target[0], port, *target[2:]))
        left[port] = one
    # A refusal is told by ICMP, of which the other side sends six at once and then one a second: asked until no more come.
    without_news = 0
    while left and without_news < UDP_ROUNDS:
        before = len(left)
        for port, one in list(left.items()):
            try:
                one.send(PROBES.get(port, b"\r\n"))
            except OSError as error:
                if error.errno == errno.ECONNREFUSED:
                    left.pop(port).close()
        until = time.monotonic() + UDP_WAIT
        while left and time.monotonic() < until:
            ready, _, _ = select.select(list(left.values()), [], [], 0.1)
            for port, one in list(left.items()):
                if one not in ready:
                    continue
                try:
                    one.recv(4096)
                    answered.append(port)
                except OSError:
                    pass
                left.pop(port).close()
        without_news = without_news + 1 if len(left) == before else 0
    return sorted(answered), sorted(left)


def main():
    asked = json.load(sys.stdin)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, AT_ONCE + 500) if most > 0 else AT_ONCE + 500, most))
    family, _, _, _, target = socket.getaddrinfo(asked["address"], 1, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]
    tcp, silent = scan_tcp(family, target, asked["tcp"] or range(1, 65536))
    udp, udp_silent = scan_udp(family, target, asked["udp"])
    print(json.dumps({"tcp": tcp, "tcpSilent": silent, "udp": udp, "udpSilent": udp_silent}))


main()
