//! A certificate made for one test.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{CertifiedKey, generate_simple_self_signed};

/// Writes a certificate for `localhost` and its key; the certificate vouches for itself.
pub(crate) fn issue(dir: &Path) -> [PathBuf; 2] {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".into()]).unwrap();
    let files = ["own.pem", "own.key"].map(|name| dir.join(name));
    fs::write(&files[0], cert.pem()).unwrap();
    fs::write(&files[1], signing_key.serialize_pem()).unwrap();
    files
}
