//! Fuzz target: any bytes, cut anyhow, through any framing. Replays its corpus as an ordinary test.

use bytes::Bytes;
use flux_pool::framing::{ByteOrder, Delimited, Framing, LengthPrefixed, Position, Raw, Width};

use crate::framing::decode;

/// The first byte chooses the framing.
fn framing(choice: u8) -> Box<dyn Framing> {
    let width = [Width::One, Width::Two, Width::Four][usize::from(choice >> 2) % 3];
    let order = if choice & 1 == 0 { ByteOrder::Big } else { ByteOrder::Little };
    let position = if choice & 1 == 0 { Position::Suffix } else { Position::Prefix };
    let delimiter = [&b"\n"[..], b"\r\n", b"\x03"][usize::from(choice >> 2) % 3];
    match choice >> 6 {
        0 | 1 => {
            Box::new(LengthPrefixed { width, order, counts_itself: choice & 2 == 0, frame_bytes_max: 64 })
        }
        2 => Box::new(Delimited {
            position,
            keeps_delimiter: choice & 2 == 0,
            trims_carriage_return: choice & 32 == 0,
            ..Delimited::suffixed(Bytes::from_static(delimiter), 64)
        }),
        _ => Box::new(Raw { frame_bytes_max: 64 }),
    }
}

#[test]
fn framing_takes_anything() {
    bolero::check!().for_each(|input: &[u8]| {
        let [choice, size, stream @ ..] = input else { return };
        let framing = framing(*choice);
        let whole = decode(&*framing, stream, &[]);
        assert!(whole.0.iter().all(|frame| frame.len() <= framing.frame_bytes_max()));
        let bytes: usize = whole.0.iter().map(Bytes::len).sum();
        assert!(bytes <= stream.len());
        let pieces = decode(&*framing, stream, &[usize::from(*size)]);
        if choice >> 6 == 3 {
            assert_eq!(whole.0.concat(), pieces.0.concat());
        } else {
            assert_eq!(whole, pieces);
        }
    });
}
