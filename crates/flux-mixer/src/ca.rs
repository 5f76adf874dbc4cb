//! The CA of a fleet: it certifies Racks, which are clients only, and the servers of its Mixer.

use std::fmt;
use std::time::Duration;

use flux_bus::Name;
use flux_identity::fingerprint_of;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedKey, DistinguishedName,
    DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    SanType, SerialNumber,
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use time::OffsetDateTime;

/// How long the certificate of a CA is good.
const CA_LIFETIME: Duration = Duration::from_hours(20 * 365 * 24);
/// How far before now a certificate begins, for clocks that are behind.
const BACKDATED: Duration = Duration::from_hours(1);

/// Why there is no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaError {
    /// What was asked for cannot be certified.
    #[error("the request for a certificate is refused: {0}")]
    Request(&'static str),
    /// What the CA stands on is not usable.
    #[error("the CA is not usable: {0}")]
    Unusable(String),
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Certified {
    /// The certificate, and the one of the CA behind it.
    pub chain: String,
    /// The key: a secret.
    pub key: String,
    /// Until when, in milliseconds since 1970.
    pub expires_unix_ms: u64,
}

/// A request for a certificate, checked: its signature holds, and it names the Rack.
pub struct Csr(CertificateSigningRequestParams);

/// A CA. `Debug` shows its fingerprint.
pub struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    fingerprint: [u8; 32],
}

impl Ca {
    /// A new one, and its key as PEM.
    pub fn generate(fleet: &Name, now_unix_ms: u64) -> Result<(Ca, String), CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(unusable)?;
        let mut params = params(&format!("fluxrig CA of {fleet}"), now_unix_ms, CA_LIFETIME)?.0;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let (pem, secret) = (params.self_signed(&key).map_err(unusable)?.pem(), key.serialize_pem());
        Ok((Ca::read(&pem, &secret)?, secret))
    }

    /// The CA of a certificate and its key, as PEM.
    pub fn read(pem: &str, key: &str) -> Result<Ca, CaError> {
        let key = KeyPair::from_pem(key).map_err(unusable)?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(unusable)?;
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(unusable)?;
        Ok(Ca { pem: pem.to_owned(), issuer, fingerprint: fingerprint_of(&der) })
    }

    /// Its certificate, as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of its certificate.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Certifies a Rack: as a client, under its name, and as nothing else that it may have asked for.
    pub fn certify_rack(
        &self,
        csr: &Csr,
        rack: &Name,
        now_unix_ms: u64,
        lifetime: Duration,
    ) -> Result<(String, u64), CaError> {
        let (mut params, expires_unix_ms) = params(rack.as_str(), now_unix_ms, lifetime)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&csr.0.public_key, &self.issuer).map_err(unusable)?;
        Ok((certificate.pem(), expires_unix_ms))
    }

    /// A new key for a server of the Mixer with a certificate for these names and addresses; the server is a client of the
    /// others too.
    pub fn certify_server(
        &self,
        names: &[String],
        now_unix_ms: u64,
        lifetime: Duration,
    ) -> Result<Certified, CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(unusable)?;
        let (mut params, expires_unix_ms) = params("fluxrig-mixer", now_unix_ms, lifetime)?;
        params.subject_alt_names = names.iter().map(|name| alternative(name)).collect::<Result<_, _>>()?;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let cert = params.signed_by(&key, &self.issuer).map_err(unusable)?;
        let CertifiedKey { cert, signing_key } = CertifiedKey { cert, signing_key: key };
        Ok(Certified {
            chain: format!("{}{}", cert.pem(), self.pem),
            key: signing_key.serialize_pem(),
            expires_unix_ms,
        })
    }
}

impl Csr {
    /// Reads a request for the certificate of a Rack.
    ///
    /// # Errors
    /// When it is none, its signature does not hold, or it names somebody else.
    pub fn read(pem: &str, rack: &Name) -> Result<Csr, CaError> {
        let csr = CertificateSigningRequestParams::from_pem(pem).map_err(|why| {
            CaError::Request(match why {
                rcgen::Error::InvalidCertificationRequestSignature => "its signature does not hold",
                _ => "it is no PKCS #10 request that is known here",
            })
        })?;
        let names: Vec<(&DnType, &DnValue)> = csr.params.distinguished_name.iter().collect();
        let is_named = |value: &DnValue| match value {
            DnValue::Utf8String(name) => name == rack.as_str(),
            DnValue::PrintableString(name) => name.as_str() == rack.as_str(),
            _ => false,
        };
        match names[..] {
            [(DnType::CommonName, value)] if is_named(value) && csr.params.subject_alt_names.is_empty() => {
                Ok(Csr(csr))
            }
            _ => Err(CaError::Request("it is not for the name of the rack and that alone")),
        }
    }
}

fn params(name: &str, now_unix_ms: u64, lifetime: Duration) -> Result<(CertificateParams, u64), CaError> {
    let mut serial = [0; 16];
    SystemRandom::new()
        .fill(&mut serial)
        .map_err(|_| CaError::Unusable("the system gave no random serial".into()))?;
    // Positive, and never shorter.
    serial[0] = serial[0] & 0x3f | 0x40;
    let expires_unix_ms = now_unix_ms.saturating_add(lifetime.as_millis() as u64);
    let mut params = CertificateParams::default();
    params.not_before = at(now_unix_ms.saturating_sub(BACKDATED.as_millis() as u64))?;
    params.not_after = at(expires_unix_ms)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok((params, expires_unix_ms))
}

fn at(unix_ms: u64) -> Result<OffsetDateTime, CaError> {
    OffsetDateTime::from_unix_timestamp((unix_ms / 1_000).cast_signed())
        .map_err(|_| CaError::Unusable("the clock is out of range".into()))
}

fn alternative(name: &str) -> Result<SanType, CaError> {
    match name.parse() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => {
            let name = name.to_owned().try_into();
            Ok(SanType::DnsName(name.map_err(|_| CaError::Request("a name of the server is no host name"))?))
        }
    }
}

fn unusable(why: impl fmt::Display) -> CaError {
    CaError::Unusable(why.to_string())
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ca({})", flux_scenario::hex::Hex(&self.fingerprint))
    }
}

impl fmt::Debug for Csr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Csr")
    }
}

impl fmt::Debug for Certified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certified").field("expires_unix_ms", &self.expires_unix_ms).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 1_795_242_117_000;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn csr(common_name: &str, change: fn(&mut CertificateParams)) -> String {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        change(&mut params);
        params.serialize_request(&KeyPair::generate().unwrap()).unwrap().pem().unwrap()
    }

    #[test]
    fn a_rack_is_a_client_under_its_name_and_nothing_it_asked_for() {
        let (ca, key) = Ca::generate(&name("lab"), NOW).unwrap();
        let ca = Ca::read(ca.pem(), &key).unwrap();
        let asked = csr("north", |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        });
        let csr = Csr::read(&asked, &name("north")).unwrap();
        let (pem, expires) = ca.certify_rack(&csr, &name("north"), NOW, Duration::from_secs(60)).unwrap();
        assert_eq!(expires, NOW + 60_000);
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let as_ca = Issuer::from_ca_cert_der(&der, KeyPair::generate().unwrap()).unwrap();
        assert_eq!(as_ca.key_usages(), [KeyUsagePurpose::DigitalSignature], "it signs no certificate");
    }

    #[test]
    fn requests_for_others_are_refused() {
        let refused = |pem: &str| Csr::read(pem, &name("north")).unwrap_err().to_string();
        assert!(refused(&csr("south", |_| {})).contains("not for the name"));
        let also = csr("north", |params| params.subject_alt_names = vec![alternative("mixer").unwrap()]);
        assert!(refused(&also).contains("not for the name"));
        let also = csr("north", |params| params.distinguished_name.push(DnType::OrganizationName, "x"));
        assert!(refused(&also).contains("not for the name"));
        assert!(refused("x").contains("no PKCS #10"));
        // Somebody else's key in the place of the one that signed.
        let other = csr("north", |_| {});
        let [one, two] =
            [csr("north", |_| {}), other].map(|pem| pem.lines().map(str::to_owned).collect::<Vec<_>>());
        let mixed: Vec<String> = one.iter().take(3).chain(two.iter().skip(3)).cloned().collect();
        assert!(Csr::read(&mixed.join("\n"), &name("north")).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// What its signature does not cover may change; key and name may not.
        #[test]
        fn no_change_of_a_request_changes_whom_it_is_for(at: prop::sample::Index, to: u8) {
            let pem = csr("north", |_| {});
            let mut der = rustls_pki_types::CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec();
            let was = CertificateSigningRequestParams::from_der(&der.clone().into()).unwrap();
            let at = at.index(der.len());
            der[at] = to;
            if let Ok(changed) = CertificateSigningRequestParams::from_der(&der.into()) {
                prop_assert_eq!(changed.public_key, was.public_key);
                prop_assert_eq!(changed.params.distinguished_name, was.params.distinguished_name);
            }
        }

        #[test]
        fn any_text_is_no_request(text in "(-----BEGIN CERTIFICATE REQUEST-----\n)?[A-Za-z0-9+/=\n]{0,80}(\n-----END CERTIFICATE REQUEST-----)?") {
            prop_assert!(Csr::read(&text, &name("north")).is_err());
        }
    }
}
