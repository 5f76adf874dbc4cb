//! The request of a connection, built once; what tells requests apart is written over it in place.

use std::sync::Arc;

use anyhow::Context;
use bytes::{Bytes, BytesMut};
use flux_iso8583::{Encoding, FieldIndex, Message, Probe, Spec};
use flux_signal::Value;

use super::mix::{Identity, PAN_DIGITS};
use crate::cmd::{iso8583::frames::LengthBytes, msg};

/// A purchase, as far as it is the same for everyone: with account number, times, references and chip data a 0200 of 19
/// fields and 321 bytes in the ASCII layout.
const FIELDS: [(u8, &str); 18] = [
    (2, "4000000000000000"),
    (3, "000000"),
    (4, "000000012345"),
    (7, "0101000000"),
    (11, "000000"),
    (12, "000000"),
    (13, "0101"),
    (14, "2812"),
    (18, "5411"),
    (22, "051"),
    (25, "00"),
    (32, "123456"),
    (35, "4000000000000000=28121010000012300000"),
    (37, "000000000000"),
    (41, "TERM0000"),
    (42, "MERCHANT0000001"),
    (43, "FINE FOODS STORE         AMSTERDAM    NL"),
    (49, "978"),
];

/// Field 55: what a chip says of a purchase (EMV Book 3 Annex A).
const CHIP: &str = "9F2608A1B2C3D4E5F607089F2701809F100706011203A000009F3704112233449F360200429505000000800\
                    09A032611059C01009F02060000000123455F2A020978820258009F1A0205289F03060000000000009F3303\
                    E0F8C85F3401019F350122";

/// Where a point in time goes: month, day, hour, minute, second, two digits each (field 7), in UTC.
pub(super) type Time = [u8; 10];

/// A request ready to be sent.
pub(super) struct Template {
    frame: Vec<u8>,
    terminal: [u8; 8],
    pan: Slot,
    stan: Slot,
    reference: Option<Slot>,
    track: Option<Slot>,
    time: Option<Slot>,
    local_time: Option<Slot>,
    local_date: Option<Slot>,
}

/// Digits of a field in the frame.
#[derive(Clone, Copy)]
struct Slot {
    at: usize,
    form: Form,
}

/// How digits are written.
#[derive(Clone, Copy)]
enum Form {
    Ascii,
    Ebcdic,
    /// Two in a byte, the first one after so many fillers.
    Packed(usize),
    /// Each as the two hexadecimal characters of its ASCII code.
    Hex,
}

impl Template {
    /// The request of a terminal, eight characters.
    pub(super) fn new(
        spec: &Arc<Spec>,
        terminal: &str,
        length: LengthBytes,
        tpdu: &[u8],
    ) -> anyhow::Result<Template> {
        let mut message = Message::new(Arc::clone(spec), "0200")?;
        for (field, text) in FIELDS.into_iter().filter(|(field, _)| spec.field(*field).is_some()) {
            message.set_text(field, if field == 41 { terminal } else { text })?;
        }
        if spec.field(55).is_some() {
            let chip = msg::from_hex(CHIP).expect("the constant is hexadecimal");
            message.set("55", &Value::Bytes(Bytes::from(chip)))?;
        }
        let mut frame = BytesMut::new();
        length.put(&mut frame, |out| {
            out.extend_from_slice(tpdu);
            message.build(out);
        })?;
        let head = length.count() + tpdu.len();
        let mut index = FieldIndex::new();
        let probe = Probe::parse(spec, &frame[head..], &mut index)?;
        anyhow::ensure!(probe.raw(41).is_some(), "the spec has no field 41 for the terminal");
        let slot = |field, digits| Slot::find(spec, &probe, &frame, field, digits);
        Ok(Template {
            terminal: terminal.as_bytes().try_into().context("a terminal of eight characters")?,
            pan: slot(2, PAN_DIGITS)?.context("the spec has no field 2 for the account number")?,
            stan: slot(11, 6)?.context("the spec has no field 11 for the trace number")?,
            reference: slot(37, 12)?,
            track: slot(35, PAN_DIGITS)?,
            time: slot(7, 10)?,
            local_time: slot(12, 6)?,
            local_date: slot(13, 4)?,
            frame: frame.to_vec(),
        })
    }

    /// The terminal that sends it (field 41).
    pub(super) fn terminal(&self) -> &[u8; 8] {
        &self.terminal
    }

    /// Makes it later.
    pub(super) fn set_time(&mut self, time: &Time) {
        let places = [(self.time, &time[..]), (self.local_time, &time[4..]), (self.local_date, &time[..4])];
        for (slot, digits) in places {
            if let Some(slot) = slot {
                slot.write(&mut self.frame, digits);
            }
        }
    }

    /// The frame of one request.
    pub(super) fn request(&mut self, identity: &Identity) -> &[u8] {
        self.pan.write(&mut self.frame, &identity.pan);
        self.stan.write(&mut self.frame, &identity.stan);
        for (slot, digits) in [(self.track, &identity.pan[..]), (self.reference, &identity.reference)] {
            if let Some(slot) = slot {
                slot.write(&mut self.frame, digits);
            }
        }
        &self.frame
    }
}

impl Slot {
    /// Where the first `digits` of a field are; `None` when the message does not have it.
    fn find(
        spec: &Spec,
        probe: &Probe<'_>,
        frame: &[u8],
        field: u8,
        digits: usize,
    ) -> anyhow::Result<Option<Slot>> {
        let Some((known, raw)) = spec.field(field).zip(probe.raw(field)) else { return Ok(None) };
        let is_odd = probe.characters(field).is_some_and(|characters| characters.len() % 2 == 1);
        let (form, bytes) = match known.encoding {
            Encoding::Ascii => (Form::Ascii, digits),
            Encoding::Ebcdic => (Form::Ebcdic, digits),
            Encoding::Bcd if is_odd => (Form::Packed(1), digits / 2 + 1),
            Encoding::Bcd | Encoding::Lbcd => (Form::Packed(0), digits / 2),
            Encoding::HexToAscii => (Form::Hex, digits * 2),
            Encoding::SignedBcd | Encoding::Binary | Encoding::AsciiToHex | Encoding::BerTlvTag => {
                anyhow::bail!("field {field} is not written as digits, which the load driver needs")
            }
        };
        anyhow::ensure!(raw.len() >= bytes, "field {field} is too short for {digits} digits");
        Ok(Some(Slot { at: raw.as_ptr().addr() - frame.as_ptr().addr(), form }))
    }

    #[inline]
    fn write(self, frame: &mut [u8], digits: &[u8]) {
        let place = &mut frame[self.at..];
        match self.form {
            Form::Ascii => place[..digits.len()].copy_from_slice(digits),
            Form::Ebcdic => place.iter_mut().zip(digits).for_each(|(byte, digit)| *byte = 0xf0 | digit & 15),
            Form::Packed(fillers) => {
                for (nibble, digit) in (fillers..).zip(digits) {
                    let byte = &mut place[nibble / 2];
                    *byte =
                        if nibble % 2 == 0 { *byte & 0x0f | digit << 4 } else { *byte & 0xf0 | digit & 0x0f };
                }
            }
            Form::Hex => place
                .as_chunks_mut::<2>()
                .0
                .iter_mut()
                .zip(digits)
                .for_each(|(pair, digit)| *pair = [b'3', *digit]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::mix::Mix;
    use super::*;

    #[track_caller]
    fn check(spec: &str, bytes: usize) {
        let spec = Arc::new(Spec::builtin(spec).unwrap());
        let mix: Mix = "4".parse().unwrap();
        let mut template = Template::new(&spec, "TERM0007", LengthBytes::Two, &[]).unwrap();
        template.set_time(b"1105143015");
        let identity = mix.identity(7, 41);
        let frame = template.request(&identity).to_vec();
        assert_eq!(frame.len(), 2 + bytes);
        let message = Message::decode(spec, Bytes::from(frame).slice(2..)).unwrap();
        let text = |field| String::from_utf8(message.characters(field).unwrap().into_owned()).unwrap();
        assert_eq!(message.fields().count(), 19);
        assert_eq!(text(2).as_bytes(), identity.pan);
        assert_eq!(text(35)[..16], text(2));
        assert_eq!([text(7), text(12), text(13)], ["1105143015", "143015", "1105"]);
        assert_eq!([text(11), text(37), text(41)], ["000042", "000700000041", "TERM0007"]);
    }

    #[test]
    fn requests_read_back_in_every_layout() {
        check("iso87ascii", 321);
        check("iso87hex", 626);
        check("iso87binary", 250);
    }
}
