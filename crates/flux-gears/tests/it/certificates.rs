//! Certificates made for one test.

use flux_gear::mock::Mock;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority and what it issued, as PEM.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: String,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Named otherwise than what it issues, which would seem to have issued itself.
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    /// A certificate for `name` and its key.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.into()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// A gear that finds a certificate for `name` in `own.pem` and `own.key`, and the authority in `ca.pem`.
    pub(crate) fn equip(&self, mock: Mock, name: &str) -> Mock {
        let (certificate, key) = self.issue(name);
        mock.file("own.pem", certificate).file("own.key", key).file("ca.pem", self.certificate.clone())
    }
}
