//! The configuration of a `nats-server`, as text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::claims::{Issuer, USER_JWT_BYTES_MAX};
use super::{ServerConfig, ServerTls};

/// The variable by which the server has the key of its store, which is in no file of it.
pub(super) const STORE_KEY: &str = "FLUXRIG_STORE_KEY";

impl ServerConfig {
    pub(super) fn file(&self) -> PathBuf {
        self.directory.join("nats-server.conf")
    }
}

pub(super) fn text(
    config: &ServerConfig,
    issuer: &Issuer,
    revoked: &BTreeMap<String, u64>,
    issued: u64,
) -> String {
    let ServerConfig { directory, name, listen, listen_leaf, store_bytes_max, tls, .. } = config;
    let control_line = USER_JWT_BYTES_MAX + (8 << 10);
    let tls = tls_text(tls);
    let leaf =
        listen_leaf.map(|leaf| format!("leafnodes {{ listen: \"{leaf}\", {tls} }}\n")).unwrap_or_default();
    let (account, account_key) = (issuer.account(revoked, issued), issuer.account_key());
    let (system, system_key) = (issuer.system(issued), issuer.system_key());
    format!(
        "# Written by fluxrig-mixer each time it starts a server: what is changed here is lost.\n\
         server_name: {name}\nlisten: \"{listen}\"\n{tls}\n{leaf}\
         max_control_line: {control_line}\n\
         jetstream {{ store_dir: {store}, max_file_store: {store_bytes_max}, cipher: chachapoly, key: ${STORE_KEY} }}\n\
         operator: {operator}\nsystem_account: {system_key}\n\
         resolver: {{ type: full, dir: {accounts}, allow_delete: false, interval: \"2m\" }}\n\
         resolver_preload: {{ {account_key}: {account}, {system_key}: {system} }}\n",
        name = quoted(name),
        store = quoted_path(&directory.join("streams")),
        operator = issuer.operator(issued),
        accounts = quoted_path(&directory.join("accounts")),
    )
}

fn tls_text(tls: &ServerTls) -> String {
    let [certificate, key, ca] = [&tls.certificate, &tls.key, &tls.ca].map(|path| quoted_path(path));
    format!("tls {{ cert_file: {certificate}, key_file: {key}, ca_file: {ca}, verify: true, timeout: 5 }}")
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

/// In double quotes, where the server knows backslash and quote as JSON does.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
