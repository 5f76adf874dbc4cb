//! Secrets in the place of what refers to them, as a gear is made; and never in what it says of its configuration.

use flux_scenario::reference;
use flux_signal::{Fault, FaultClass};
use serde_json::Value as Json;

use crate::{Files, registry::InitError};

/// What is shown in the place of a secret.
const HIDDEN: &str = "***";

/// The secrets that were put into a configuration.
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// Puts those in that a gear refers to.
    pub(crate) fn put_into(config: &mut Json, files: &dyn Files, gear: &str) -> Result<Secrets, InitError> {
        let mut secrets = Vec::new();
        let mut find = |name: &str| {
            let secret = files.secret(name, gear)?;
            secrets.push(secret.clone());
            Ok(secret)
        };
        reference::resolve(config, &mut find).map_err(Fault::fatal)?;
        secrets.retain(|secret| !secret.is_empty());
        // A secret that is a part of another one leaves nothing of that.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Ok(Secrets(secrets))
    }

    /// Why a gear was not made, without them: a reason may quote what it is about.
    pub(crate) fn hide_in(&self, why: InitError) -> InitError {
        let told = why.to_string();
        let hide = |told: String, secret: &String| {
            let quoted = format!("{secret:?}");
            told.replace(secret.as_str(), HIDDEN).replace(&quoted[1..quoted.len() - 1], HIDDEN)
        };
        let hidden = self.0.iter().fold(told.clone(), hide);
        match why {
            why if hidden == told => why,
            InitError::Refused(fault) => Fault::new(fault.class(), hidden).reason(fault.reason_word()).into(),
            InitError::Config(_) | InitError::UnknownKind(_) => Fault::new(FaultClass::Fatal, hidden).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;

    struct Some(&'static str);

    impl Files for Some {
        fn read(&self, _: &str, _: &str) -> Result<Bytes, String> {
            Err("no file".into())
        }

        fn secret(&self, name: &str, _: &str) -> Result<String, String> {
            match name {
                "none" => Err("there is no secret `none`".into()),
                "short" => Ok("qz".into()),
                _ => Ok(self.0.into()),
            }
        }
    }

    #[test]
    fn what_a_gear_says_of_a_secret_does_not_show_it() {
        for secret in ["tiger", "ti\"g\ner", "***"] {
            let mut config = json!({ "url": "${secret:long}@${secret:short}", "n": 1 });
            let secrets = Secrets::put_into(&mut config, &Some(secret), "a").unwrap();
            assert_eq!(config["url"], format!("{secret}@qz"));
            let told = [format!("no host `{secret}`"), format!("no host {secret:?}")];
            for why in told {
                let shown = secrets.hide_in(Fault::invalid(why).reason("no_host").into());
                assert!(!shown.to_string().contains("er"), "{shown}");
                assert!(matches!(&shown, InitError::Refused(fault) if fault.reason_word() == "no_host"));
            }
            let number: Result<u8, _> = serde_json::from_value(config["url"].clone());
            let shown = secrets.hide_in(number.unwrap_err().into()).to_string();
            assert!(shown.starts_with("bad configuration") && !shown.contains("qz"), "{shown}");
        }
        let secrets = Secrets::put_into(&mut json!({"a": "${secret:long}"}), &Some("x1"), "a").unwrap();
        assert!(matches!(secrets.hide_in(InitError::UnknownKind("b".into())), InitError::UnknownKind(_)));
        let refused = Secrets::put_into(&mut json!({"a": "${secret:none}"}), &Some(""), "a").err().unwrap();
        assert_eq!(refused.to_string(), "there is no secret `none`");
    }
}
