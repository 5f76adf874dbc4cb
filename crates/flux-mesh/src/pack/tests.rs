//! Packs there and back, and to the byte.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check(pack: Pack, expected: Expect) {
    let bytes = pack.encode();
    expected.assert_eq(&hex(&bytes));
    assert_eq!(Pack::decode(&bytes.into()), Ok(pack));
}

fn records(epoch: u64, after: u64, first: u64, records: &[&'static [u8]]) -> Pack {
    let records = records.iter().map(|record| Bytes::from_static(record)).collect();
    Pack { epoch, after, first, content: Content::Records(records) }
}

#[test]
fn golden_bytes() {
    check(records(1, 0, 0, &[b"a"]), expect!["86010100008141611add01b033"]);
    check(
        records(0x18_0000_0000, 300, 70_000, &[b"", b"bc"]),
        expect!["86011b000000180000000019012c1a0001117082404262631a8fdadf38"],
    );
    let content = Content::Part { offset: 131_000, total: 3 << 20, bytes: Bytes::from_static(b"part") };
    check(
        Pack { epoch: 7, after: 23, first: 24, content },
        expect!["860107171818831a0001ffb81a0030000044706172741af272c7d9"],
    );
}

#[test]
fn what_is_none_is_refused_in_its_place() {
    let refused = |bytes: &[u8]| Pack::decode(&Bytes::copy_from_slice(bytes)).unwrap_err().to_string();
    let good = records(1, 0, 0, &[b"a"]).encode();
    let mut broken = good.clone();
    let told: Vec<String> = [
        good[..good.len() - 1].to_vec(),
        [&good[..], b"x"].concat(),
        {
            broken[7] ^= 1;
            broken
        },
        vec![0x86, 0x02],
        vec![0x86, 0x01, 0x00, 0x00, 0x00],
        vec![0x86, 0x01, 0x01, 0x18, 0x01],
        vec![0x86, 0x01, 0x01, 0x02, 0x01],
        vec![0x86, 0x01, 0x01, 0x00, 0x00, 0x81, 0x5B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        vec![0x86, 0x01, 0x01, 0x00, 0x00, 0x83, 0x05, 0x02, 0x41, 0x00],
        vec![0x9F],
        vec![],
    ]
    .iter()
    .map(|bytes| refused(bytes))
    .collect();
    expect![[r#"
        a head is cut short (offset 8)
        something follows (offset 13)
        the check does not hold (offset 13)
        a version that this program does not read (offset 2)
        a sequence that no outbox has (offset 5)
        a number is longer than it need be (offset 3)
        a sequence that no outbox has (offset 5)
        a byte string is cut short (offset 15)
        a part that is not within its record (offset 10)
        a length that is not definite (offset 0)
        no list (offset 0)"#]]
    .assert_eq(&told.join("\n"));
}

fn any_pack() -> impl Strategy<Value = Pack> {
    let record = prop::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from);
    let whole = prop::collection::vec(record, 1..20).prop_map(Content::Records);
    let part = (prop::collection::vec(any::<u8>(), 1..300), 0usize..1_000_000, 0usize..1_000_000);
    let part = part.prop_map(|(bytes, offset, more)| Content::Part {
        offset,
        total: offset + bytes.len() + more,
        bytes: bytes.into(),
    });
    let numbers = (1u64.., 0..SEQUENCE_MAX / 2, 0u64..1 << 40);
    (numbers, prop_oneof![whole, part]).prop_map(|((epoch, after, gone), content)| Pack {
        epoch,
        after,
        first: after + gone,
        content,
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(pack in any_pack()) {
        let bytes = Bytes::from(pack.encode());
        prop_assert_eq!(Pack::decode(&bytes), Ok(pack));
    }

    #[test]
    fn a_byte_that_changed_is_seen(pack in any_pack(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let mut bytes = pack.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert!(Pack::decode(&bytes.into()).is_err());
    }

    #[test]
    fn any_bytes_are_refused_or_a_pack_in_its_one_form(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let bytes = Bytes::from(bytes);
        if let Ok(pack) = Pack::decode(&bytes) {
            prop_assert_eq!(pack.encode(), bytes);
        }
    }
}
