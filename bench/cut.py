"""One site sends to another while the line between them is cut and the sending site is killed: what arrives of what was accepted.

Sites are processes on this machine, the line is a proxy. A message counts as accepted when whoever sends was told so: by the
acknowledgement of `io_tcp`, by the PUBACK of MQTT, by the PONG that follows it on NATS, which acknowledges nothing itself.
"""
import signal, socket, struct, threading, time

RATE, SECONDS, CUT, KILL, MEND = 2_000, 9, 3.0, 5.0, 7.0
# What has not arrived so long after the last one that did is lost.
PATIENCE = 12.0


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def connect(port, seconds=15):
    deadline = time.monotonic() + seconds
    while True:
        try:
            s = socket.create_connection(("127.0.0.1", port), 2)
            s.settimeout(None)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return s
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


class Line:
    """A proxy that can be cut: what is under way is gone, and nobody connects."""

    def __init__(self, target):
        self.target, self.port, self.pairs, self.server = target, free_port(), [], None
        self.mend()

    def mend(self):
        self.server = socket.socket()
        self.server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.server.bind(("127.0.0.1", self.port))
        self.server.listen()
        threading.Thread(target=self.accept, args=(self.server,), daemon=True).start()

    def accept(self, server):
        while True:
            try:
                near, _ = server.accept()
                far = connect(self.target)
            except OSError:
                return
            self.pairs.append((near, far))
            for one, two in ((near, far), (far, near)):
                threading.Thread(target=pump, args=(one, two), daemon=True).start()

    def cut(self):
        # `shutdown` wakes whoever waits in `accept`, and closes what it would have accepted.
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for pair in self.pairs:
            for s in pair:
                close(s)
        self.pairs = []


def close(s):
    try:
        s.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    s.close()


def pump(one, two):
    try:
        while data := one.recv(65536):
            two.sendall(data)
    except OSError:
        pass
    close(one)
    close(two)


def exactly(s, count):
    data = b""
    while len(data) < count:
        more = s.recv(count - len(data))
        if not more:
            raise OSError("hung up")
        data += more
    return data


def mqtt_packet(head, body):
    length, out = len(body), bytearray([head])
    while True:
        length, digit = divmod(length, 128)
        out.append(digit | (128 if length else 0))
        if not length:
            return bytes(out) + body


def mqtt_read(s):
    head, length, shift = exactly(s, 1)[0], 0, 0
    while True:
        digit = exactly(s, 1)[0]
        length |= (digit & 127) << shift
        shift += 7
        if not digit & 128:
            return head, exactly(s, length)


def mqtt_connect(port, client):
    s = connect(port)
    name = client.encode()
    # Not a clean session: what it misses is kept for it.
    s.sendall(mqtt_packet(0x10, b"\x00\x04MQTT\x04\x00\x00\x3c" + struct.pack(">H", len(name)) + name))
    assert mqtt_read(s)[0] == 0x20
    return s


class Mqtt:
    def publisher(self, port):
        self.s = mqtt_connect(port, "till")

    def publish(self, numbers):
        body = lambda n: b"\x00\x01x" + struct.pack(">H", n % 65_535 + 1) + str(n).encode()
        self.s.sendall(b"".join(mqtt_packet(0x32, body(n)) for n in numbers))
        for n in numbers:
            head, _ = mqtt_read(self.s)
            assert head == 0x40
            yield n

    @staticmethod
    def subscribe(port, arrive):
        s = mqtt_connect(port, "ledger")
        s.sendall(mqtt_packet(0x82, b"\x00\x01\x00\x01x\x01"))
        while True:
            head, body = mqtt_read(s)
            if head >> 4 == 3:
                arrive(int(body[5:]))
                s.sendall(mqtt_packet(0x40, body[3:5]))


class Nats:
    def publisher(self, port):
        self.s = connect(port)
        self.lines = self.s.makefile("rb")
        assert self.lines.readline().startswith(b"INFO")
        self.s.sendall(b'CONNECT {"verbose":false}\r\n')

    def publish(self, numbers):
        text = b"".join(b"PUB x %d\r\n%s\r\n" % (len(str(n)), str(n).encode()) for n in numbers)
        self.s.sendall(text + b"PING\r\n")
        while (line := self.lines.readline()) != b"PONG\r\n":
            if not line:
                raise OSError("hung up")
            if line == b"PING\r\n":
                self.s.sendall(b"PONG\r\n")
        yield from numbers

    @staticmethod
    def subscribe(port, arrive):
        s = connect(port)
        lines = s.makefile("rb")
        lines.readline()
        s.sendall(b'CONNECT {"verbose":false}\r\nSUB x 1\r\n')
        while line := lines.readline():
            if line.startswith(b"MSG"):
                arrive(int(lines.readline()))
            elif line == b"PING\r\n":
                s.sendall(b"PONG\r\n")


class Lines:
    def publisher(self, port):
        self.s = connect(port)

    def publish(self, numbers):
        self.s.sendall(b"".join(b"%d\n" % n for n in numbers))
        for n in numbers:
            assert exactly(self.s, 3) == b"ok\n"
            yield n

    @staticmethod
    def subscribe(server, arrive):
        while True:
            s, _ = server.accept()
            threading.Thread(target=Lines.read, args=(s, arrive), daemon=True).start()

    @staticmethod
    def read(s, arrive):
        for line in s.makefile("rb"):
            arrive(int(line))


def measure(protocol, port, subscribed, begin, line):
    """Sends at a pace, cuts, kills, mends; what was accepted, arrived, was lost, came twice."""
    arrived, last = {}, [time.monotonic()]

    def arrive(n):
        arrived[n] = arrived.get(n, 0) + 1
        last[0] = time.monotonic()

    threading.Thread(target=protocol.subscribe, args=(subscribed, arrive), daemon=True).start()
    site = begin()
    publisher = protocol()
    publisher.publisher(port)
    time.sleep(1)
    accepted, sent, began, is_cut, is_killed, is_mended = set(), 0, time.monotonic(), False, False, False
    while (now := time.monotonic() - began) < SECONDS:
        if now > CUT and not is_cut:
            is_cut = True
            line.cut()
        if now > KILL and not is_killed:
            is_killed = True
            site.send_signal(signal.SIGKILL)
            site.wait()
            site = begin()
            publisher.publisher(port)
        if now > MEND and not is_mended:
            is_mended = True
            line.mend()
        due = int(now * RATE)
        if sent < due:
            numbers = list(range(sent, min(due, sent + 200)))
            sent = numbers[-1] + 1
            accepted.update(publisher.publish(numbers))
        else:
            time.sleep(0.002)
    while len(arrived) < sent and time.monotonic() - last[0] < PATIENCE:
        time.sleep(0.05)
    site.terminate()
    site.wait()
    lost = [n for n in accepted if n not in arrived]
    return {"accepted": len(accepted), "lost": len(lost), "twice": sum(count - 1 for count in arrived.values()),
            "until_all_s": last[0] - began - SECONDS}
