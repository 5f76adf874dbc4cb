"""One exchange by pyiso8583: reads a job as JSON, sends its message in a frame, and prints the answer as JSON."""

import json
import socket
import ssl
import struct
import sys

import iso8583
from iso8583.specs import default_ascii

SECONDS = 30
NUMERIC = {*range(2, 28), 32, 33, 53, *range(66, 91), 93, 99, 100} - {65}
TRACKS = {35, 36}
BINARY = {52, 55, 64, 96, 128}
SIGNED = {28, 29, 30, 31, 97}


def ascii_spec():
    """The library's own; only chip data are bytes, not hexadecimal text."""
    spec = {key: dict(field) for key, field in default_ascii.items()}
    spec["55"] |= {"data_enc": "b", "len_enc": "ascii", "max_len": 255}
    return spec


def binary_spec():
    """Numbers and tracks packed and right aligned, signs in front of them, lengths in BCD, the rest as it is."""
    spec = {key: dict(field) for key, field in default_ascii.items()}
    for field in spec.values():
        field["len_enc"] = "bcd"
        field["len_type"] = (field["len_type"] + 1) // 2
    spec["t"] |= {"data_enc": "b", "max_len": 2}
    for key in ("p", "1"):
        spec[key] |= {"data_enc": "b", "max_len": 8}
    for number in NUMERIC | TRACKS:
        spec[str(number)] |= {"data_enc": "b", "len_count": "nibbles", "left_pad": "0"}
    for number in SIGNED:
        spec[str(number)] |= {"data_enc": "b", "max_len": 9 if number == 97 else 5}
    for number in BINARY:
        spec[str(number)] |= {"data_enc": "b", "max_len": 255 if number == 55 else 8}
    return spec


def with_signs(fields, spec_name, turn):
    """The fields with each signed amount turned; in binary the library takes them as bytes in hexadecimal."""
    is_signed = {str(number) for number in SIGNED} if spec_name == "iso87binary" else set()
    return {key: turn(value) if key in is_signed else value for key, value in fields.items()}


def sign_to_hex(amount):
    return amount[0].encode().hex() + amount[1:]


def sign_from_hex(amount):
    return chr(int(amount[:2], 16)) + amount[2:]


def read_exactly(link, size):
    data = b""
    while len(data) < size:
        more = link.recv(size - len(data))
        if not more:
            raise EOFError("the connection ended within a frame")
        data += more
    return data


def connect(job):
    host, port = job["address"].rsplit(":", 1)
    link = socket.create_connection((host, int(port)), timeout=SECONDS)
    if "ca" not in job:
        return link
    context = ssl.create_default_context(cafile=job["ca"])
    return context.wrap_socket(link, server_hostname="localhost")


def main():
    job = json.load(sys.stdin)
    spec = {"iso87ascii": ascii_spec, "iso87binary": binary_spec}[job["spec"]]()
    message = {"t": job["request"]["mti"], **with_signs(job["request"]["fields"], job["spec"], sign_to_hex)}
    encoded, _ = iso8583.encode(message, spec)
    tpdu = bytes.fromhex(job.get("tpdu", ""))
    with connect(job) as link:
        link.sendall(struct.pack(">H", len(tpdu) + len(encoded)) + tpdu + encoded)
        (size,) = struct.unpack(">H", read_exactly(link, 2))
        frame = read_exactly(link, size)
    answer, _ = iso8583.decode(frame[len(tpdu):], spec)
    fields = {key: value for key, value in answer.items() if key not in ("h", "t", "p", "1")}
    print(json.dumps({
        "tpdu": frame[:len(tpdu)].hex(),
        "mti": answer["t"],
        "fields": with_signs(fields, job["spec"], sign_from_hex),
        "same_bytes": frame[len(tpdu):] == encoded,
    }))


main()
