//! Tokens: for one enrolment, or for the API of a Mixer; each names the CA of the Mixer it is for.
//!
//! ```text
//! fluxrig-enrol-<id, 16 digits>-<secret, 64 digits>-<fingerprint of the CA, 64 digits>
//! fluxrig-api-…
//! ```

use std::{fmt, str::FromStr};

use flux_scenario::hex::{Hex, from_hex};
use ring::digest::{Context, SHA256, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use subtle::ConstantTimeEq;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// To enrol one Rack, once.
    Enrolment,
    /// To ask the API, with a role.
    Access,
}

impl TokenKind {
    const fn prefix(self) -> &'static str {
        match self {
            TokenKind::Enrolment => "fluxrig-enrol-",
            TokenKind::Access => "fluxrig-api-",
        }
    }
}

/// A token. `Debug` shows which one, and no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is good for.
    pub kind: TokenKind,
    /// Which one it is.
    pub id: [u8; 8],
    secret: [u8; 32],
    /// SHA-256 of the certificate of the CA, in DER.
    pub fingerprint: [u8; 32],
}

/// What is kept of a token where it is accepted: SHA-256 of all of it. Its secret is 256 bits of chance, so no slow hash is
/// needed to hide it.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl Token {
    /// The token of these bytes of chance.
    pub fn new(kind: TokenKind, id: [u8; 8], secret: [u8; 32], fingerprint: [u8; 32]) -> Token {
        Token { kind, id, secret, fingerprint }
    }

    /// The text to give to whoever is to have it: a secret.
    pub fn expose(&self) -> String {
        let [id, secret, fingerprint] = [&self.id[..], &self.secret, &self.fingerprint].map(Hex);
        format!("{}{id}-{secret}-{fingerprint}", self.kind.prefix())
    }

    /// Its id as text.
    pub fn id(&self) -> String {
        Hex(&self.id).to_string()
    }

    /// What is kept of it.
    pub fn hash(&self) -> TokenHash {
        let mut context = Context::new(&SHA256);
        context.update(self.kind.prefix().as_bytes());
        context.update(&self.id);
        context.update(&self.secret);
        TokenHash(context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

impl TokenHash {
    /// Whether it is that of this token; takes the same time wherever they differ.
    pub fn is_of(&self, token: &Token) -> bool {
        self.0.ct_eq(&token.hash().0).into()
    }
}

impl FromStr for Token {
    type Err = &'static str;

    /// Reads a token. The error quotes nothing of it.
    fn from_str(text: &str) -> Result<Token, &'static str> {
        let text = text.trim();
        let kinds = [TokenKind::Enrolment, TokenKind::Access];
        let found = kinds.iter().find_map(|kind| Some((*kind, text.strip_prefix(kind.prefix())?)));
        let (kind, rest) = found.ok_or("a token begins with `fluxrig-enrol-` or `fluxrig-api-`")?;
        let token = || {
            let mut parts = rest.split('-');
            let token = Token {
                kind,
                id: from_hex(parts.next()?)?,
                secret: from_hex(parts.next()?)?,
                fingerprint: from_hex(parts.next()?)?,
            };
            parts.next().is_none().then_some(token)
        };
        token().ok_or("the token is not whole: copy all of it, 16, 64 and 64 digits between `-`")
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}{})", self.kind.prefix(), self.id())
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash")
    }
}

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TokenHash, D::Error> {
        let digits = String::deserialize(deserializer)?;
        from_hex(&digits).map(TokenHash).ok_or_else(|| de::Error::custom("a hash has 64 hexadecimal digits"))
    }
}

/// The fingerprint of a certificate: SHA-256 of its DER.
pub fn fingerprint_of(der: &[u8]) -> [u8; 32] {
    digest(&SHA256, der).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Reads a fingerprint: 64 hexadecimal digits, with or without colons, as other tools print them.
pub fn parse_fingerprint(text: &str) -> Result<[u8; 32], &'static str> {
    let digits = text.trim().replace(':', "").to_ascii_lowercase();
    from_hex(&digits).ok_or("a fingerprint is SHA-256: 64 hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(kind: TokenKind) -> Token {
        Token::new(kind, [1; 8], [2; 32], [3; 32])
    }

    #[test]
    fn what_is_kept_tells_nothing_and_fits_one_token_only() {
        let (enrol, access) = (token(TokenKind::Enrolment), token(TokenKind::Access));
        let kept = serde_json::to_string(&enrol.hash()).unwrap();
        assert!(!kept.contains("0202") && !format!("{enrol:?}").contains("0202"));
        let kept: TokenHash = serde_json::from_str(&kept).unwrap();
        assert!(kept.is_of(&enrol));
        assert!(!kept.is_of(&access), "a token for one thing is none for the other");
        assert!(!kept.is_of(&Token::new(TokenKind::Enrolment, [1; 8], [9; 32], [3; 32])));
    }

    #[test]
    fn what_is_no_token_is_told_without_quoting_it() {
        let good = token(TokenKind::Access).expose();
        assert_eq!(good.parse::<Token>(), Ok(token(TokenKind::Access)));
        for bad in
            ["", "x", "fluxrig-api-", "fluxrig-enrol-01-02-03", &good[..good.len() - 1], &format!("{good}-0")]
        {
            assert!(bad.parse::<Token>().is_err(), "{bad}");
        }
        assert_eq!(parse_fingerprint(&"AB:".repeat(32)), Ok([0xab; 32]));
        assert!(parse_fingerprint("ab").is_err());
    }

    proptest! {
        #[test]
        fn tokens_come_back(id: [u8; 8], secret: [u8; 32], fingerprint: [u8; 32]) {
            let token = Token::new(TokenKind::Enrolment, id, secret, fingerprint);
            prop_assert_eq!(token.expose().parse::<Token>(), Ok(token));
        }

        #[test]
        fn any_text_is_a_token_or_none(text in "(fluxrig-(api|enrol)-)?[0-9a-g-]{0,40}") {
            prop_assert!(text.parse::<Token>().is_err());
        }
    }
}
