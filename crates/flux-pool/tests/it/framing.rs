//! Framings: what they cut, what they refuse, and that the cutting of the stream into reads does not matter.

use bytes::{Bytes, BytesMut};
use expect_test::{Expect, expect};
use flux_pool::WriteBatch;
use flux_pool::framing::{ByteOrder, Delimited, Framing, LengthPrefixed, Position, Raw, Width};
use proptest::prelude::*;

/// What a stream decodes to, read in pieces of the given sizes in turn.
pub(crate) fn decode(
    framing: &dyn Framing,
    stream: &[u8],
    pieces: &[usize],
) -> (Vec<Bytes>, Result<(), String>) {
    let (mut decoder, mut buffer, mut frames) = (framing.decoder(), BytesMut::new(), Vec::new());
    let mut rest = stream;
    let mut sizes = pieces.iter().cycle();
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |size| (*size).clamp(1, rest.len()));
        let (piece, later) = rest.split_at(size);
        buffer.extend_from_slice(piece);
        if let Err(error) = decoder.decode(&mut buffer, &mut frames) {
            return (frames, Err(error.to_string()));
        }
        rest = later;
    }
    let end = decoder.finish(&mut buffer, &mut frames);
    (frames, end.map_err(|error| error.to_string()))
}

fn encode(framing: &dyn Framing, frame: &[u8]) -> Result<Vec<u8>, String> {
    let mut batch = WriteBatch::default();
    let encoded = framing.encoder().encode(&Bytes::copy_from_slice(frame), &mut batch);
    encoded.map(|()| batch.to_vec()).map_err(|error| error.to_string())
}

fn check(framing: &dyn Framing, stream: &[u8], expected: Expect) {
    let whole = decode(framing, stream, &[]);
    let (frames, end) = &whole;
    expected.assert_eq(&format!("{frames:?} {}", end.as_ref().err().map_or("", |error| error)));
    assert_eq!(whole, decode(framing, stream, &[1]), "byte by byte");
}

fn length(width: Width, order: ByteOrder, counts_itself: bool) -> LengthPrefixed {
    LengthPrefixed { width, order, counts_itself, frame_bytes_max: 300 }
}

fn delimited(delimiter: &'static [u8], position: Position, keeps: bool) -> Delimited {
    Delimited { position, keeps_delimiter: keeps, ..Delimited::suffixed(Bytes::from_static(delimiter), 20) }
}

#[test]
fn lengths() {
    use ByteOrder::{Big, Little};
    use Width::{Four, One, Two};
    check(&length(One, Big, false), b"\x02ab\x00\x01c", expect![[r#"[b"ab", b"", b"c"] "#]]);
    check(&length(Two, Big, false), b"\x00\x02ab\x00\x01c", expect![[r#"[b"ab", b"c"] "#]]);
    check(&length(Two, Little, false), b"\x02\x00ab\x01\x00c", expect![[r#"[b"ab", b"c"] "#]]);
    check(&length(Four, Little, true), b"\x06\x00\x00\x00ab\x04\x00\x00\x00", expect![[r#"[b"ab", b""] "#]]);
    check(
        &length(Two, Big, true),
        b"\x00\x04ab\x00\x01",
        expect![[r#"[b"ab"] the length is smaller than itself"#]],
    );
    check(
        &length(Four, Big, false),
        b"\x00\x00\x00\x01a\xff\xff\xff\xff",
        expect![[r#"[b"a"] a frame exceeds the limit of 300 bytes"#]],
    );
    check(
        &length(Two, Big, false),
        b"\x00\x05abc",
        expect!["[] the stream ended within a frame, after 5 bytes of it"],
    );
}

#[test]
fn delimiters() {
    use Position::{Prefix, Suffix};
    check(
        &Delimited::lines(20),
        b"one\r\n\ntwo\nthree",
        expect![[r#"[b"one", b"", b"two"] the stream ended within a frame, after 5 bytes of it"#]],
    );
    check(
        &delimited(b"||", Suffix, false),
        b"a|b||||c",
        expect![[r#"[b"a|b", b""] the stream ended within a frame, after 1 bytes of it"#]],
    );
    check(&delimited(b"||", Suffix, true), b"a||b||", expect![[r#"[b"a||", b"b||"] "#]]);
    check(&delimited(b"\x02", Prefix, false), b"\x02a\x02\x02bc", expect![[r#"[b"a", b"", b"bc"] "#]]);
    check(&delimited(b"##", Prefix, true), b"##a##b#", expect![[r###"[b"##a", b"##b#"] "###]]);
    check(
        &delimited(b"##", Prefix, false),
        b"a##b",
        expect!["[] the stream does not begin with the delimiter"],
    );
    check(&delimited(b"##", Prefix, false), b"##a#", expect![[r###"[b"a#"] "###]]);
    check(
        &delimited(b"##", Prefix, false),
        b"#",
        expect!["[] the stream ended within a frame, after 1 bytes of it"],
    );
    check(
        &delimited(b"\n", Suffix, false),
        b"ok\n12345678901234567890\n",
        expect![[r#"[b"ok"] a frame exceeds the limit of 20 bytes"#]],
    );
    check(
        &delimited(b"\n", Suffix, false),
        b"1234567890123456789\n1234567890123456789x",
        expect![[r#"[b"1234567890123456789"] the stream ended within a frame, after 20 bytes of it"#]],
    );
}

#[test]
fn raw_is_whatever_a_read_returns_cut_to_the_limit() {
    let raw = Raw { frame_bytes_max: 4 };
    assert_eq!(decode(&raw, b"abcdefghij", &[6]).0, ["abcd", "ef", "ghij"]);
    assert_eq!(encode(&raw, b"abcd").unwrap(), b"abcd");
    assert!(encode(&raw, b"abcde").is_err());
}

#[test]
fn frames_go_out_as_they_come_in() {
    let big = LengthPrefixed::big_endian(Width::Two, 300);
    assert_eq!(encode(&big, b"ab").unwrap(), b"\x00\x02ab");
    assert_eq!(encode(&length(Width::Four, ByteOrder::Little, true), b"ab").unwrap(), b"\x06\x00\x00\x00ab");
    assert_eq!(encode(&delimited(b"\x03", Position::Suffix, false), b"ab").unwrap(), b"ab\x03");
    assert_eq!(encode(&delimited(b"\x02", Position::Prefix, false), b"ab").unwrap(), b"\x02ab");
    let as_is = Delimited { adds_delimiter: false, ..Delimited::lines(20) };
    assert_eq!(encode(&as_is, b"ab\n").unwrap(), b"ab\n");
    assert!(encode(&Delimited::lines(20), &[b'x'; 20]).is_err(), "the delimiter counts");
}

#[test]
fn a_width_bounds_the_frame_whatever_the_limit() {
    let one = LengthPrefixed {
        width: Width::One,
        order: ByteOrder::Big,
        counts_itself: true,
        frame_bytes_max: 9999,
    };
    assert_eq!(one.frame_bytes_max(), 254);
    assert_eq!(encode(&one, &[0; 254]).unwrap()[0], 255);
    assert!(encode(&one, &[0; 255]).is_err());
}

/// Any framing, its delimiter and limits small enough to be hit by chance.
fn framings() -> impl Strategy<Value = Box<dyn Framing>> {
    let widths = prop_oneof![Just(Width::One), Just(Width::Two), Just(Width::Four)];
    let orders = prop_oneof![Just(ByteOrder::Big), Just(ByteOrder::Little)];
    let lengths =
        (widths, orders, any::<bool>(), 1_usize..300).prop_map(|(width, order, itself, frame_bytes_max)| {
            Box::new(LengthPrefixed { width, order, counts_itself: itself, frame_bytes_max })
                as Box<dyn Framing>
        });
    let delimiters = prop_oneof![Just(&b"\n"[..]), Just(&b"ab"[..]), Just(&b"aab"[..])];
    let positions = prop_oneof![Just(Position::Suffix), Just(Position::Prefix)];
    let delimited = (delimiters, positions, any::<bool>(), any::<bool>(), 4_usize..30).prop_map(
        |(delimiter, position, keeps_delimiter, trims_carriage_return, frame_bytes_max)| {
            Box::new(Delimited {
                position,
                keeps_delimiter,
                trims_carriage_return,
                ..Delimited::suffixed(Bytes::from_static(delimiter), frame_bytes_max)
            }) as Box<dyn Framing>
        },
    );
    prop_oneof![lengths, delimited]
}

/// Bytes of which many mean something to one of the framings.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..200).prop_map(|mut stream| {
        stream.iter_mut().for_each(|byte| {
            *byte = *b"aaabbb\n\n\r\0\0\x01\x02\x03\x09\xff".get(*byte as usize % 20).unwrap_or(byte)
        });
        stream
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_split_of_a_stream_gives_the_same_frames(
        framing in framings(),
        stream in streams(),
        pieces in proptest::collection::vec(1_usize..20, 1..10),
    ) {
        prop_assert_eq!(decode(&*framing, &stream, &[]), decode(&*framing, &stream, &pieces));
    }

    #[test]
    fn no_frame_exceeds_the_limit(framing in framings(), stream in streams()) {
        let (frames, _) = decode(&*framing, &stream, &[]);
        prop_assert!(frames.iter().all(|frame| frame.len() <= framing.frame_bytes_max()));
    }

    #[test]
    fn what_goes_out_comes_in(
        framing in framings(),
        // Nothing a delimiter is made of, and no carriage return to be trimmed.
        frames in proptest::collection::vec(proptest::collection::vec(b'c'..=b'z', 0..40), 0..10),
        pieces in proptest::collection::vec(1_usize..20, 1..10),
    ) {
        let mut stream = Vec::new();
        let mut sent = Vec::new();
        for frame in frames {
            if let Ok(bytes) = encode(&*framing, &frame) {
                stream.extend(bytes);
                sent.push(frame);
            }
        }
        let (received, end) = decode(&*framing, &stream, &pieces);
        prop_assert_eq!(end, Ok(()));
        prop_assert_eq!(received.len(), sent.len());
        for (received, sent) in received.iter().zip(&sent) {
            // A framing that keeps its delimiter hands it out around what was sent.
            prop_assert!(received.windows(sent.len().max(1)).any(|part| part == &sent[..]) || sent.is_empty());
        }
    }
}
