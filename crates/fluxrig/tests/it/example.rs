//! The example scenarios, moved to where a test wants them.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");

/// The payment switch with other addresses, and a change to its text, in a directory of its own.
pub(crate) fn example(visa: &str, mc: &str, edit: impl Fn(String) -> String) -> (TempDir, PathBuf) {
    placed("payment-switch", |text| {
        edit(text.replace("127.0.0.1:10001", visa).replace("127.0.0.1:10002", mc))
    })
}

/// An example with a change to its text, in a directory of its own. It listens where there is room.
pub(crate) fn placed(name: &str, edit: impl Fn(String) -> String) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(format!("{EXAMPLES}/{name}/scenario.yaml")).unwrap();
    let text = text.replace("127.0.0.1:8583", "127.0.0.1:0");
    for folder in ["specs", name] {
        fs::create_dir(directory.path().join(folder)).unwrap();
    }
    fs::copy(format!("{EXAMPLES}/specs/acquirer.yaml"), directory.path().join("specs/acquirer.yaml"))
        .unwrap();
    let scenario = directory.path().join(name).join("scenario.yaml");
    fs::write(&scenario, edit(text)).unwrap();
    (directory, scenario)
}
