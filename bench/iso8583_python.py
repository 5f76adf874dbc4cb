"""What the message of the benchmarks costs pyiso8583: prints nanoseconds per operation as JSON."""

import json
import time

import iso8583
from iso8583.specs import default_ascii

SECONDS = 0.5
# The 0200 of 321 bytes with 19 fields that crates/flux-iso8583/tests/it/fixture.rs makes.
FRAME = bytes.fromhex(
    "30323030373233433434383132384530383230303136343131313131313131313131313131313030303030303030303030303031"
    "32333435313130353134333031353030303034323134333031353131303532383132353431313035313030303631323334353633"
    "37343131313131313131313131313131313d32383132313031303030303031323330303030303633303931343030303034325445"
    "524d303030314d45524348414e543030303030303146494e4520464f4f44532053544f5245202020202020202020414d53544552"
    "44414d202020204e4c3937383039389f2608a1b2c3d4e5f607089f2701809f100706011203a000009f3704112233449f36020042"
    "950500000080009a032611059c01009f02060000000123455f2a020978820258009f1a0205289f03060000000000009f3303e0f8"
    "c85f3401019f350122"
)


def nanoseconds(operation):
    """Of one call, over as many as fit the time."""
    calls, began = 0, time.perf_counter_ns()
    while True:
        for _ in range(20):
            operation()
        calls += 20
        elapsed = time.perf_counter_ns() - began
        if elapsed > SECONDS * 1e9:
            return elapsed / calls


def main():
    spec = {key: dict(field) for key, field in default_ascii.items()}
    spec["55"] |= {"data_enc": "b", "len_enc": "ascii", "max_len": 255}
    message, _ = iso8583.decode(FRAME, spec)
    encoded, _ = iso8583.encode(message, spec)
    assert encoded == FRAME, "it reads and writes another message"

    def edit():
        edited, _ = iso8583.decode(FRAME, spec)
        edited["t"], edited["38"], edited["39"] = "0210", "123456", "00"
        iso8583.encode(edited, spec)

    print(json.dumps({
        "parse": nanoseconds(lambda: iso8583.decode(FRAME, spec)),
        "build": nanoseconds(lambda: iso8583.encode(message, spec)),
        "parse_set_two_build": nanoseconds(edit),
    }))


main()
