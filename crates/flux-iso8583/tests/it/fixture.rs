//! The message that tests and benchmarks share: a 0200 of 321 bytes with 19 fields, chip data included.

use std::sync::Arc;

use flux_iso8583::Spec;

/// Fields 2 to 49 as text.
pub(crate) const FIELDS: [(u8, &str); 18] = [
    (2, "4111111111111111"),
    (3, "000000"),
    (4, "000000012345"),
    (7, "1105143015"),
    (11, "000042"),
    (12, "143015"),
    (13, "1105"),
    (14, "2812"),
    (18, "5411"),
    (22, "051"),
    (25, "00"),
    (32, "123456"),
    (35, "4111111111111111=28121010000012300000"),
    (37, "630914000042"),
    (41, "TERM0001"),
    (42, "MERCHANT0000001"),
    (43, "FINE FOODS STORE         AMSTERDAM    NL"),
    (49, "978"),
];

/// Field 55: 98 bytes of BER-TLV in an order of their own.
pub(crate) const CHIP: &str = concat!(
    "9F2608A1B2C3D4E5F60708",
    "9F270180",
    "9F100706011203A00000",
    "9F370411223344",
    "9F36020042",
    "95050000008000",
    "9A03261105",
    "9C0100",
    "9F0206000000012345",
    "5F2A020978",
    "82025800",
    "9F1A020528",
    "9F0306000000000000",
    "9F3303E0F8C8",
    "5F340101",
    "9F350122",
);

/// The message in ASCII, bitmap as hexadecimal text.
pub(crate) fn ascii() -> Vec<u8> {
    let mut frame = b"0200723C448128E08200".to_vec();
    for (number, text) in FIELDS {
        if matches!(number, 2 | 32 | 35) {
            frame.extend(format!("{:02}", text.len()).bytes());
        }
        frame.extend(text.bytes());
    }
    frame.extend(b"098");
    frame.extend(unhex(CHIP));
    frame
}

/// An example spec of the repository.
pub(crate) fn example(name: &str) -> Arc<Spec> {
    let path = format!("{}/../../examples/specs/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read(&path).unwrap();
    Arc::new(Spec::load(&path, &text, &|name| Err(format!("{name} is not there"))).unwrap())
}

/// A base layout.
pub(crate) fn builtin(name: &str) -> Arc<Spec> {
    Arc::new(Spec::builtin(name).unwrap())
}

/// The bytes of hexadecimal text; white space is ignored.
pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// Upper-case hexadecimal text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// A spec written out in a test: what comes after its id, name and version.
pub(crate) fn inline(rest: &str) -> Arc<Spec> {
    let text = format!("id: test\nname: Test\nversion: 1.0.0\n{rest}");
    let spec = Spec::load("test.yaml", text.as_bytes(), &|name| Err(format!("{name} is not there")));
    Arc::new(spec.unwrap_or_else(|report| panic!("{report}")))
}
