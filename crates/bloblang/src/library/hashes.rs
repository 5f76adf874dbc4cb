//! Digests, and secrets compared with their hashes.

use argon2::{Algorithm, Argon2, Params, Version};
use data_encoding::BASE64_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use twox_hash::XxHash64;

use crate::Value;
use crate::library::call::{bytes, text};
use crate::library::{Call, Default, Param, Spec};
use crate::run::{Failure, Outcome, fail};

pub(crate) const METHODS: &[Spec] = &[
    Spec::method(
        "hash",
        &[
            Param::text("algorithm"),
            Param::text("key").optional(),
            Param::text("polynomial").or(Default::Text("IEEE")),
        ],
        hash,
    ),
    Spec::method("compare_argon2", &[Param::text("hashed_secret")], compare_argon2),
    Spec::method("compare_bcrypt", &[Param::text("hashed_secret")], compare_bcrypt),
];

fn hash(call: &mut Call, target: Value) -> Outcome {
    let data = bytes(&target)?;
    let key = || match call.get(1) {
        Some(_) => call.bytes(1),
        None => fail!("this algorithm needs the argument `key`"),
    };
    let digest = match call.text(0)? {
        "md5" => Md5::digest(data).to_vec(),
        "sha1" => Sha1::digest(data).to_vec(),
        "sha256" => Sha256::digest(data).to_vec(),
        "sha512" => Sha512::digest(data).to_vec(),
        "hmac_sha1" => mac::<Hmac<Sha1>>(key()?, data),
        "hmac_sha256" => mac::<Hmac<Sha256>>(key()?, data),
        "hmac_sha512" => mac::<Hmac<Sha512>>(key()?, data),
        "xxhash64" => XxHash64::oneshot(0, data).to_string().into_bytes(),
        "fnv32" => fnv32(data).to_be_bytes().to_vec(),
        "crc32" => {
            let polynomial = match call.text(2)? {
                "IEEE" => 0xedb8_8320,
                "Castagnoli" => 0x82f6_3b78,
                "Koopman" => 0xeb31_d82e,
                _ => fail!("the argument `polynomial` is one of IEEE, Castagnoli and Koopman"),
            };
            crc32(data, polynomial).to_be_bytes().to_vec()
        }
        _ => fail!(
            "no such algorithm: there are md5, sha1, sha256, sha512, hmac_sha1, hmac_sha256, hmac_sha512, xxhash64, \
             crc32 and fnv32"
        ),
    };
    Ok(Value::bytes(digest))
}

/// A keyed digest.
pub(crate) fn mac<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).expect("a keyed digest takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

/// A cyclic redundancy check by a polynomial whose bits are reversed.
fn crc32(data: &[u8], polynomial: u32) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ polynomial } else { crc >> 1 };
    let table: Vec<u32> = (0..256).map(|byte| (0..8).fold(byte, |crc, _| step(crc))).collect();
    !data.iter().fold(u32::MAX, |crc, byte| crc >> 8 ^ table[usize::from(crc as u8 ^ byte)])
}

fn fnv32(data: &[u8]) -> u32 {
    data.iter().fold(0x811c_9dc5, |hash: u32, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(*byte))
}

/// Whether two byte strings are the same, in a time that says nothing of where they differ.
pub(crate) fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// The costs of a hash that a mapping may be made to pay: more would be an attack.
const ARGON2_KIBIBYTES_MAX: u32 = 64 << 10;
const ARGON2_PASSES_MAX: u32 = 16;
const BCRYPT_COST_MAX: u32 = 14;

/// Steps that such a comparison takes from the budget.
const COMPARISON_STEPS: usize = 1_000_000;

/// `$argon2id$v=19$m=4096,t=3,p=1$salt$hash`
fn compare_argon2(call: &mut Call, target: Value) -> Outcome {
    call.runner.spend(COMPARISON_STEPS)?;
    let invalid = || Failure::new("the argument `hashed_secret` is no hash of Argon2");
    let parts: Vec<&str> = call.text(0)?.split('$').collect();
    let ["", algorithm, version, params, salt, hash] = parts[..] else { return Err(invalid()) };
    let algorithm = Algorithm::new(algorithm).map_err(|_| invalid())?;
    let version = version.strip_prefix("v=").and_then(|version| version.parse::<u32>().ok());
    let version = version.and_then(|version| Version::try_from(version).ok()).ok_or_else(invalid)?;
    let param = |name: &str| -> Option<u32> {
        params.split(',').find_map(|param| param.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    };
    let (Some(memory), Some(passes), Some(lanes)) = (param("m"), param("t"), param("p")) else {
        return Err(invalid());
    };
    if memory > ARGON2_KIBIBYTES_MAX || passes > ARGON2_PASSES_MAX {
        fail!("this hash costs over {ARGON2_KIBIBYTES_MAX} KiB or {ARGON2_PASSES_MAX} passes");
    }
    let decode = |text: &str| BASE64_NOPAD.decode(text.as_bytes()).map_err(|_| invalid());
    let (salt, hash) = (decode(salt)?, decode(hash)?);
    if hash.is_empty() || hash.len() > 64 {
        return Err(invalid());
    }
    let params = Params::new(memory, passes, lanes, Some(hash.len())).map_err(|_| invalid())?;
    let mut computed = vec![0; hash.len()];
    let done =
        Argon2::new(algorithm, version, params).hash_password_into(bytes(&target)?, &salt, &mut computed);
    done.map_err(|_| invalid())?;
    Ok(Value::Bool(is_same(&computed, &hash)))
}

fn compare_bcrypt(call: &mut Call, target: Value) -> Outcome {
    call.runner.spend(COMPARISON_STEPS)?;
    let hash = call.text(0)?;
    let cost = hash.split('$').nth(2).and_then(|cost| cost.parse::<u32>().ok());
    match cost {
        None => fail!("the argument `hashed_secret` is no hash of bcrypt"),
        Some(cost) if cost > BCRYPT_COST_MAX => fail!("this hash costs over {BCRYPT_COST_MAX}"),
        Some(_) => {}
    }
    match bcrypt::verify(text(&target)?, hash) {
        Ok(is) => Ok(Value::Bool(is)),
        Err(_) => fail!("the argument `hashed_secret` is no hash of bcrypt"),
    }
}
