//! AES in four modes: counter, Galois counter, block chaining, output feedback.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256, Block};
use aes_gcm::aead::Aead;
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm};

use crate::Value;
use crate::library::call::bytes;
use crate::library::{Call, Param, Spec};
use crate::run::{Failure, Outcome, fail};

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("encrypt_aes", PARAMS, |call, target| crypt(call, &target, true)),
    Spec::method("decrypt_aes", PARAMS, |call, target| crypt(call, &target, false)),
];

const PARAMS: &[Param] = &[Param::text("scheme"), Param::text("key"), Param::text("iv")];
const BLOCK_BYTES: usize = 16;

/// A block cipher with a key of one of three lengths.
enum Cipher {
    Of128(Box<Aes128>),
    Of192(Box<Aes192>),
    Of256(Box<Aes256>),
}

impl Cipher {
    fn new(key: &[u8]) -> Outcome<Cipher> {
        let wrong = |_| Failure::new("the argument `key` must have 16, 24 or 32 bytes");
        match key.len() {
            16 => Ok(Cipher::Of128(Box::new(Aes128::new_from_slice(key).map_err(wrong)?))),
            24 => Ok(Cipher::Of192(Box::new(Aes192::new_from_slice(key).map_err(wrong)?))),
            _ => Ok(Cipher::Of256(Box::new(Aes256::new_from_slice(key).map_err(wrong)?))),
        }
    }

    fn encrypt(&self, block: [u8; BLOCK_BYTES]) -> [u8; BLOCK_BYTES] {
        let mut block = Block::from(block);
        match self {
            Cipher::Of128(cipher) => cipher.encrypt_block(&mut block),
            Cipher::Of192(cipher) => cipher.encrypt_block(&mut block),
            Cipher::Of256(cipher) => cipher.encrypt_block(&mut block),
        }
        block.into()
    }

    fn decrypt(&self, block: [u8; BLOCK_BYTES]) -> [u8; BLOCK_BYTES] {
        let mut block = Block::from(block);
        match self {
            Cipher::Of128(cipher) => cipher.decrypt_block(&mut block),
            Cipher::Of192(cipher) => cipher.decrypt_block(&mut block),
            Cipher::Of256(cipher) => cipher.decrypt_block(&mut block),
        }
        block.into()
    }
}

fn crypt(call: &mut Call, target: &Value, is_encrypting: bool) -> Outcome {
    let (data, key, iv) = (bytes(target)?, call.bytes(1)?, call.bytes(2)?);
    let scheme = call.text(0)?;
    if scheme == "gcm" {
        return gcm(data, key, iv, is_encrypting).map(Value::bytes);
    }
    let cipher = Cipher::new(key)?;
    let Ok(iv) = <[u8; BLOCK_BYTES]>::try_from(iv) else {
        fail!("the argument `iv` must have {BLOCK_BYTES} bytes")
    };
    let done = match scheme {
        "ctr" => ctr(&cipher, iv, data),
        // What was encrypted so can be read; nothing new is.
        "ofb" if !is_encrypting => ofb(&cipher, iv, data),
        "cbc" => cbc(&cipher, iv, data, is_encrypting)?,
        _ => fail!("no such scheme: there are ctr, gcm and cbc, and ofb to decrypt"),
    };
    Ok(Value::bytes(done))
}

fn xor(data: &[u8], with: &[u8]) -> Vec<u8> {
    data.iter().zip(with).map(|(a, b)| a ^ b).collect()
}

fn ctr(cipher: &Cipher, iv: [u8; BLOCK_BYTES], data: &[u8]) -> Vec<u8> {
    let mut counter = u128::from_be_bytes(iv);
    let block = |chunk: &[u8]| {
        let key = cipher.encrypt(counter.to_be_bytes());
        counter = counter.wrapping_add(1);
        xor(chunk, &key)
    };
    data.chunks(BLOCK_BYTES).flat_map(block).collect()
}

fn ofb(cipher: &Cipher, iv: [u8; BLOCK_BYTES], data: &[u8]) -> Vec<u8> {
    let mut feedback = iv;
    let block = |chunk: &[u8]| {
        feedback = cipher.encrypt(feedback);
        xor(chunk, &feedback)
    };
    data.chunks(BLOCK_BYTES).flat_map(block).collect()
}

fn cbc(cipher: &Cipher, iv: [u8; BLOCK_BYTES], data: &[u8], is_encrypting: bool) -> Outcome<Vec<u8>> {
    let (blocks, rest) = data.as_chunks::<BLOCK_BYTES>();
    if !rest.is_empty() {
        fail!("this scheme takes multiples of {BLOCK_BYTES} bytes");
    }
    let (mut out, mut before) = (Vec::with_capacity(data.len()), iv);
    for block in blocks {
        if is_encrypting {
            let mixed = std::array::from_fn(|n| block[n] ^ before[n]);
            before = cipher.encrypt(mixed);
            out.extend(before);
        } else {
            out.extend(xor(&cipher.decrypt(*block), &before));
            before = *block;
        }
    }
    Ok(out)
}

fn gcm(data: &[u8], key: &[u8], iv: &[u8], is_encrypting: bool) -> Outcome<Vec<u8>> {
    let Ok(nonce) = <[u8; 12]>::try_from(iv) else { fail!("the argument `iv` must have 12 bytes") };
    let nonce = nonce.into();
    let wrong = |_| Failure::new("the argument `key` must have 16, 24 or 32 bytes");
    macro_rules! done {
        ($cipher:ty) => {{
            let cipher = <$cipher>::new_from_slice(key).map_err(wrong)?;
            if is_encrypting { cipher.encrypt(&nonce, data) } else { cipher.decrypt(&nonce, data) }
        }};
    }
    let done = match key.len() {
        16 => done!(Aes128Gcm),
        24 => done!(AesGcm<Aes192, aes_gcm::aead::consts::U12>),
        _ => done!(Aes256Gcm),
    };
    done.map_err(|_| Failure::new("the data is not what this key and `iv` have sealed"))
}
