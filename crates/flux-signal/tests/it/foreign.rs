//! Writes canonical CBOR again as a careless foreign writer would: same content, other bytes.

use half::f16;

/// A stream of choices: the same seed chooses alike.
pub(crate) struct Choices(pub(crate) u64);

impl Choices {
    fn below(&mut self, n: usize) -> usize {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ z >> 31) % n as u64) as usize
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// Rewrites one canonical item: keys shuffled, lengths indefinite or longer than needed, floats wider.
pub(crate) fn careless(canonical: &[u8], choices: &mut Choices) -> Vec<u8> {
    let mut rest = canonical;
    let mut out = Vec::new();
    item(&mut rest, &mut out, choices);
    assert!(rest.is_empty());
    out
}

fn item(rest: &mut &[u8], out: &mut Vec<u8>, choices: &mut Choices) {
    let (major, info, number) = take_head(rest);
    match major {
        2 | 3 => {
            let (content, after) = rest.split_at(number as usize);
            *rest = after;
            string(major, content, out, choices);
        }
        4 => {
            let is_open = open(4, number, out, choices);
            (0..number).for_each(|_| item(rest, out, choices));
            out.extend(is_open.then_some(0xFF));
        }
        5 => {
            let mut entries: Vec<Vec<u8>> = (0..number)
                .map(|_| {
                    let mut entry = Vec::new();
                    item(rest, &mut entry, choices);
                    item(rest, &mut entry, choices);
                    entry
                })
                .collect();
            for i in (1..entries.len()).rev() {
                entries.swap(i, choices.below(i + 1));
            }
            let is_open = open(5, number, out, choices);
            out.extend(entries.concat());
            out.extend(is_open.then_some(0xFF));
        }
        6 => {
            head(6, number, out, choices);
            item(rest, out, choices);
        }
        7 => simple(info, number, out, choices),
        _ => head(major, number, out, choices),
    }
}

fn take_head(rest: &mut &[u8]) -> (u8, u8, u64) {
    let (first, info) = (rest[0], rest[0] & 0x1F);
    let width = if info < 24 { 0 } else { 1 << (info - 24) };
    let number = rest[1..=width].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
    *rest = &rest[1 + width..];
    (first >> 5, info, if width == 0 { info.into() } else { number })
}

/// A head of the needed width or any wider one.
fn head(major: u8, number: u64, out: &mut Vec<u8>, choices: &mut Choices) {
    let needed = [24, 0x100, 0x1_0000, 0x1_0000_0000].iter().filter(|bound| number >= **bound).count();
    match needed + choices.below(5 - needed) {
        0 => out.push(major << 5 | number as u8),
        wider => {
            out.push(major << 5 | (23 + wider) as u8);
            out.extend_from_slice(&number.to_be_bytes()[8 - (1 << (wider - 1))..]);
        }
    }
}

/// The head of a list or map; tells whether its length is indefinite.
fn open(major: u8, number: u64, out: &mut Vec<u8>, choices: &mut Choices) -> bool {
    let is_open = choices.coin();
    if is_open {
        out.push(major << 5 | 31);
    } else {
        head(major, number, out, choices);
    }
    is_open
}

/// A string in one piece or in chunks, which for text end where a character does.
fn string(major: u8, content: &[u8], out: &mut Vec<u8>, choices: &mut Choices) {
    if choices.coin() {
        head(major, content.len() as u64, out, choices);
        return out.extend_from_slice(content);
    }
    out.push(major << 5 | 31);
    let mut rest = content;
    while !rest.is_empty() || choices.coin() {
        let mut n = choices.below(rest.len() + 1);
        while major == 3 && std::str::from_utf8(&rest[..n]).is_err() {
            n += 1;
        }
        head(major, n as u64, out, choices);
        out.extend_from_slice(&rest[..n]);
        rest = &rest[n..];
    }
    out.push(0xFF);
}

/// A simple value, or a float as wide or wider.
fn simple(info: u8, number: u64, out: &mut Vec<u8>, choices: &mut Choices) {
    let float = match info {
        25 => f16::from_bits(number as u16).to_f64(),
        26 => f32::from_bits(number as u32).into(),
        27 => f64::from_bits(number),
        24 => return out.extend([0xF8, number as u8]),
        _ => return out.push(0xE0 | info),
    };
    match usize::from(info) - 25 + choices.below(28 - usize::from(info)) {
        0 => out.extend([0xF9].into_iter().chain((number as u16).to_be_bytes())),
        1 => out.extend([0xFA].into_iter().chain((float as f32).to_be_bytes())),
        _ => out.extend([0xFB].into_iter().chain(float.to_be_bytes())),
    }
}
