//! JSON Web Tokens: claims signed, and signed claims read. Claims are not judged, signatures are.

use data_encoding::BASE64URL_NOPAD;
use hmac::Hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, RsaEncoding, RsaKeyPair, VerificationAlgorithm,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use sha2::{Sha256, Sha384, Sha512};

use crate::Value;
use crate::library::call::{expected, text};
use crate::library::hashes::{is_same, mac};
use crate::library::{Call, Param, Spec};
use crate::run::{Failure, Outcome, fail};

const SECRET: &[Param] = &[Param::text("signing_secret")];

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("sign_jwt_hs256", SECRET, |call, claims| sign(call, &claims, Algorithm::Hs256)),
    Spec::method("sign_jwt_hs384", SECRET, |call, claims| sign(call, &claims, Algorithm::Hs384)),
    Spec::method("sign_jwt_hs512", SECRET, |call, claims| sign(call, &claims, Algorithm::Hs512)),
    Spec::method("sign_jwt_rs256", SECRET, |call, claims| sign(call, &claims, Algorithm::Rs256)),
    Spec::method("sign_jwt_rs384", SECRET, |call, claims| sign(call, &claims, Algorithm::Rs384)),
    Spec::method("sign_jwt_rs512", SECRET, |call, claims| sign(call, &claims, Algorithm::Rs512)),
    Spec::method("sign_jwt_es256", SECRET, |call, claims| sign(call, &claims, Algorithm::Es256)),
    Spec::method("sign_jwt_es384", SECRET, |call, claims| sign(call, &claims, Algorithm::Es384)),
    Spec::method("parse_jwt_hs256", SECRET, |call, token| parse(call, &token, Algorithm::Hs256)),
    Spec::method("parse_jwt_hs384", SECRET, |call, token| parse(call, &token, Algorithm::Hs384)),
    Spec::method("parse_jwt_hs512", SECRET, |call, token| parse(call, &token, Algorithm::Hs512)),
    Spec::method("parse_jwt_rs256", SECRET, |call, token| parse(call, &token, Algorithm::Rs256)),
    Spec::method("parse_jwt_rs384", SECRET, |call, token| parse(call, &token, Algorithm::Rs384)),
    Spec::method("parse_jwt_rs512", SECRET, |call, token| parse(call, &token, Algorithm::Rs512)),
    Spec::method("parse_jwt_es256", SECRET, |call, token| parse(call, &token, Algorithm::Es256)),
    Spec::method("parse_jwt_es384", SECRET, |call, token| parse(call, &token, Algorithm::Es384)),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Es256,
    Es384,
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
        }
    }

    fn sign(self, secret: &[u8], message: &[u8]) -> Outcome<Vec<u8>> {
        match self {
            Algorithm::Hs256 => Ok(mac::<Hmac<Sha256>>(secret, message)),
            Algorithm::Hs384 => Ok(mac::<Hmac<Sha384>>(secret, message)),
            Algorithm::Hs512 => Ok(mac::<Hmac<Sha512>>(secret, message)),
            Algorithm::Rs256 => rsa(secret, &signature::RSA_PKCS1_SHA256, message),
            Algorithm::Rs384 => rsa(secret, &signature::RSA_PKCS1_SHA384, message),
            Algorithm::Rs512 => rsa(secret, &signature::RSA_PKCS1_SHA512, message),
            Algorithm::Es256 => ecdsa(secret, &signature::ECDSA_P256_SHA256_FIXED_SIGNING, message),
            Algorithm::Es384 => ecdsa(secret, &signature::ECDSA_P384_SHA384_FIXED_SIGNING, message),
        }
    }

    fn verify(self, secret: &[u8], message: &[u8], signature: &[u8]) -> Outcome<bool> {
        let public = |algorithm: &'static dyn VerificationAlgorithm| {
            let key = public_key(secret).ok_or_else(|| wrong_key("a public key"))?;
            Ok(signature::UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok())
        };
        match self {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                Ok(is_same(&self.sign(secret, message)?, signature))
            }
            Algorithm::Rs256 => public(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Rs384 => public(&signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::Rs512 => public(&signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::Es256 => public(&signature::ECDSA_P256_SHA256_FIXED),
            Algorithm::Es384 => public(&signature::ECDSA_P384_SHA384_FIXED),
        }
    }
}

fn wrong_key(kind: &str) -> Box<Failure> {
    Failure::new(format!("the argument `signing_secret` is not {kind} in PEM of this algorithm"))
}

fn rsa(secret: &[u8], encoding: &'static dyn RsaEncoding, message: &[u8]) -> Outcome<Vec<u8>> {
    let wrong = || wrong_key("a private key");
    let pair = match PrivateKeyDer::from_pem_slice(secret) {
        Ok(PrivateKeyDer::Pkcs1(key)) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
        Ok(PrivateKeyDer::Pkcs8(key)) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
        _ => return Err(wrong()),
    };
    let pair = pair.map_err(|_| wrong())?;
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(encoding, &SystemRandom::new(), message, &mut signature).map_err(|_| wrong())?;
    Ok(signature)
}

fn ecdsa(secret: &[u8], algorithm: &'static EcdsaSigningAlgorithm, message: &[u8]) -> Outcome<Vec<u8>> {
    let (wrong, random) = (|| wrong_key("a private key"), SystemRandom::new());
    let pair = match PrivateKeyDer::from_pem_slice(secret) {
        Ok(PrivateKeyDer::Pkcs8(key)) => EcdsaKeyPair::from_pkcs8(algorithm, key.secret_pkcs8_der(), &random),
        Ok(PrivateKeyDer::Sec1(key)) => {
            let (private, public) = sec1(key.secret_sec1_der()).ok_or_else(wrong)?;
            EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public, &random)
        }
        _ => return Err(wrong()),
    };
    let signature = pair.map_err(|_| wrong())?.sign(&random, message).map_err(|_| wrong())?;
    Ok(signature.as_ref().to_vec())
}

/// One element of DER: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if length > 0x80 {
        let (bytes, after) = rest.split_at_checked(length - 0x80).filter(|(bytes, _)| bytes.len() <= 4)?;
        length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// The private and the public key of a key of SEC 1: both are in it as openssl writes it.
fn sec1(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, sequence, _) = element(der)?;
    let (_, _, rest) = element(sequence)?;
    let (_, private, mut rest) = element(rest)?;
    while let Some((tag, content, after)) = element(rest) {
        if tag == 0xa1 {
            let (_, bits, _) = element(content)?;
            return Some((private, bits.get(1..)?));
        }
        rest = after;
    }
    None
}

/// The key within a public key of X.509.
fn public_key(pem: &[u8]) -> Option<Vec<u8>> {
    let info = SubjectPublicKeyInfoDer::from_pem_slice(pem).ok()?;
    let (_, sequence, _) = element(&info)?;
    let (_, _, rest) = element(sequence)?;
    let (_, bits, _) = element(rest)?;
    bits.get(1..).map(<[u8]>::to_vec)
}

/// Steps that a signature takes from the budget.
const SIGNATURE_STEPS: usize = 10_000;

fn sign(call: &mut Call, claims: &Value, algorithm: Algorithm) -> Outcome {
    call.runner.spend(SIGNATURE_STEPS)?;
    call.runner.reserve(claims.weight())?;
    let Value::Object(_) = claims else { return Err(expected("object", claims)) };
    let header = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, algorithm.name());
    let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let message = format!("{}.{}", part(&header), part(&claims.to_json()));
    let signature = algorithm.sign(call.bytes(0)?, message.as_bytes())?;
    Ok(Value::from(format!("{message}.{}", BASE64URL_NOPAD.encode(&signature))))
}

fn parse(call: &mut Call, token: &Value, algorithm: Algorithm) -> Outcome {
    call.runner.spend(SIGNATURE_STEPS)?;
    let token = text(token)?;
    let invalid = || Failure::new("no JSON Web Token");
    let (message, signature) = token.rsplit_once('.').ok_or_else(invalid)?;
    let (header, claims) = message.split_once('.').ok_or_else(invalid)?;
    let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| invalid());
    let header = Value::from_json(&decode(header)?).map_err(|_| invalid())?;
    if header.get("alg").and_then(Value::as_str) != Some(algorithm.name()) {
        fail!("the token is not signed with {}", algorithm.name());
    }
    if !algorithm.verify(call.bytes(0)?, message.as_bytes(), &decode(signature)?)? {
        fail!("the signature of the token is not that of this key");
    }
    Value::from_json(&decode(claims)?).map_err(|_| invalid())
}
