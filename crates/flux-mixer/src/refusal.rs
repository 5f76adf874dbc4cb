//! Why a Mixer does not do what it is asked: a code with a page, a status, and words that help the honest alone.

use flux_bus::Error;
use flux_identity::{Flaw, Problem};

use crate::audit::AuditError;
use crate::ca::CaError;

/// Where the pages are.
const PAGES: &str = "/docs/errors/";

/// Why it is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What was sent cannot be read, or is not signed.
    #[error("{0}")]
    Invalid(String),
    /// A request to enrol is too old, from the future, or was seen before.
    #[error("the request is not fresh: {why}")]
    Stale {
        /// Which of it.
        why: &'static str,
        /// What the clock here shows.
        now_unix_ms: u64,
    },
    /// The enrolment token is unknown, used, expired, or for another name.
    #[error("the token is not good here: unknown, used, expired, or for another name; ask for a new one")]
    Token,
    /// The Rack is not enrolled under this name: why is for whoever runs the Mixer.
    #[error(
        "this rack is not enrolled under this name; the reason is in the audit log of the Mixer under {reference}"
    )]
    NotEnrolled {
        /// What it is found by.
        reference: String,
    },
    /// It is known, and has no word for now or for ever.
    #[error("{0}")]
    Barred(&'static str),
    /// Nobody knows who asks.
    #[error("a token is needed: `Authorization: Bearer fluxrig-api-…`; `fluxrig login` keeps one")]
    Unauthenticated,
    /// Who asks may not.
    #[error("the token may not do this: it is a {has}'s, and a {needs}'s is needed")]
    Forbidden {
        /// The role that it has.
        has: &'static str,
        /// The role that is needed.
        needs: &'static str,
    },
    /// Who asks may, and not there; whether there is such a thing is not told.
    #[error("the token is for {scope}, and {what}")]
    OutOfScope {
        /// What it is for.
        scope: String,
        /// Why that does not do.
        what: &'static str,
    },
    /// There is none.
    #[error("there is no {0}")]
    Missing(String),
    /// As things stand, that cannot be done.
    #[error("{0}")]
    Conflict(String),
    /// Something else is there already.
    #[error("{what} is there already, with another text: push this one under another tag")]
    Taken {
        /// What is there.
        what: String,
        /// How it stands.
        current: Box<serde_json::Value>,
    },
    /// It is not as whoever asks saw it.
    #[error("it was changed since: it is `{etag}` now; look at it, and say so in `If-Match`")]
    Changed {
        /// What tells how it is now.
        etag: String,
        /// How it stands.
        current: Box<serde_json::Value>,
    },
    /// The text that was sent is wrong, in these places.
    #[error("{0}")]
    Unfit(String, Vec<Flaw>),
    /// What was sent is too long.
    #[error("at most {0} bytes may be sent here")]
    TooLong(usize),
    /// What was sent is of another kind.
    #[error("say `Content-Type: {0}`, and send that")]
    MediaType(&'static str),
    /// The route is not for this method.
    #[error("the route is not for this method; `Allow` says for which")]
    Method,
    /// The key was used for another request.
    #[error("this `Idempotency-Key` was used for another request: take a new one for each")]
    KeyReused,
    /// There are as many as there may be, or it comes too often.
    #[error("{0}")]
    TooMany(String),
    /// Something here does not work now.
    #[error("{0}")]
    Unavailable(String),
}

impl Refusal {
    /// Status, code and title.
    const fn kind(&self) -> (u16, &'static str, &'static str) {
        match self {
            Refusal::Invalid(_) => (400, "FR0901", "the request cannot be read"),
            Refusal::Stale { .. } => (409, "FR0902", "the request is not fresh"),
            Refusal::Token => (403, "FR0903", "the token is not good"),
            Refusal::NotEnrolled { .. } => (403, "FR0904", "the rack is not enrolled"),
            Refusal::Barred(_) => (403, "FR0905", "the rack has no word"),
            Refusal::Unauthenticated => (401, "FR0906", "nobody knows who asks"),
            Refusal::Forbidden { .. } => (403, "FR0907", "the role does not allow it"),
            Refusal::Missing(_) => (404, "FR0908", "there is no such thing"),
            Refusal::Conflict(_) => (409, "FR0909", "that cannot be done now"),
            Refusal::TooMany(_) => (429, "FR0910", "there are too many"),
            Refusal::Unavailable(_) => (503, "FR0911", "something does not work"),
            Refusal::Taken { .. } => (409, "FR0912", "something else is there"),
            Refusal::Changed { .. } => (412, "FR0913", "it was changed since"),
            Refusal::Unfit(..) => (422, "FR0914", "the text is wrong"),
            Refusal::TooLong(_) => (413, "FR0915", "the request is too long"),
            Refusal::MediaType(_) => (415, "FR0916", "the request is of another kind"),
            Refusal::Method => (405, "FR0917", "the route is not for this method"),
            Refusal::KeyReused => (409, "FR0918", "the key was used for another request"),
            Refusal::OutOfScope { .. } => (403, "FR0919", "the scope does not allow it"),
        }
    }

    /// As it is answered.
    pub fn problem(&self) -> Problem {
        let (status, code, title) = self.kind();
        let mut problem = Problem {
            kind: format!("{PAGES}{code}"),
            title: title.into(),
            status,
            detail: self.to_string(),
            code: code.into(),
            now_unix_ms: None,
            errors: Vec::new(),
            current: None,
        };
        match self {
            Refusal::Stale { now_unix_ms, .. } => problem.now_unix_ms = Some(*now_unix_ms),
            Refusal::Taken { current, .. } | Refusal::Changed { current, .. } => {
                problem.current = Some((**current).clone());
            }
            Refusal::Unfit(_, errors) => problem.errors.clone_from(errors),
            Refusal::Invalid(_)
            | Refusal::Token
            | Refusal::NotEnrolled { .. }
            | Refusal::Barred(_)
            | Refusal::Unauthenticated
            | Refusal::Forbidden { .. }
            | Refusal::OutOfScope { .. }
            | Refusal::Missing(_)
            | Refusal::Conflict(_)
            | Refusal::TooLong(_)
            | Refusal::MediaType(_)
            | Refusal::Method
            | Refusal::KeyReused
            | Refusal::TooMany(_)
            | Refusal::Unavailable(_) => {}
        }
        problem
    }

    /// Its code.
    pub fn code(&self) -> &'static str {
        self.kind().1
    }
}

impl From<Error> for Refusal {
    fn from(why: Error) -> Refusal {
        match why {
            Error::Invalid(why) => Refusal::Invalid(why),
            Error::Full(why) => {
                tracing::error!(why, "there is no room");
                Refusal::TooMany("the Mixer has no room for it; its log says where".into())
            }
            why => {
                tracing::error!(%why, "the store or the bus fails");
                Refusal::Unavailable("the Mixer cannot keep or send that now; its log says why".into())
            }
        }
    }
}

impl From<AuditError> for Refusal {
    fn from(why: AuditError) -> Refusal {
        tracing::error!(%why, "nothing is done that cannot be written down");
        Refusal::Unavailable(
            "the audit log cannot be written, so nothing is done; the log of the Mixer says why".into(),
        )
    }
}

impl From<CaError> for Refusal {
    fn from(why: CaError) -> Refusal {
        match why {
            CaError::Request(why) => {
                Refusal::Invalid(format!("the request for a certificate is refused: {why}"))
            }
            CaError::Unusable(why) => {
                tracing::error!(why, "the CA fails");
                Refusal::Unavailable("the Mixer cannot certify now; its log says why".into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_refusal_has_a_page_and_every_page_a_refusal() {
        let text = String::new;
        let all = [
            Refusal::Invalid(text()),
            Refusal::Stale { why: "", now_unix_ms: 0 },
            Refusal::Token,
            Refusal::NotEnrolled { reference: text() },
            Refusal::Barred(""),
            Refusal::Unauthenticated,
            Refusal::Forbidden { has: "", needs: "" },
            Refusal::Missing(text()),
            Refusal::Conflict(text()),
            Refusal::TooMany(text()),
            Refusal::Unavailable(text()),
            Refusal::Taken { what: text(), current: Box::default() },
            Refusal::Changed { etag: text(), current: Box::default() },
            Refusal::Unfit(text(), Vec::new()),
            Refusal::TooLong(0),
            Refusal::MediaType(""),
            Refusal::Method,
            Refusal::KeyReused,
            Refusal::OutOfScope { scope: text(), what: "" },
        ];
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
        for refusal in &all {
            let page = std::fs::read_to_string(directory.join(format!("{}.md", refusal.code()))).unwrap();
            assert!(page.starts_with(&format!("# {}: {}\n", refusal.code(), refusal.problem().title)));
            assert!(page.contains("\n## Usual cause\n") && page.contains("\n## What to do\n"));
        }
        let codes: BTreeSet<String> = all.iter().map(|refusal| format!("{}.md", refusal.code())).collect();
        let names = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let pages: BTreeSet<String> = names.filter(|name| name.starts_with("FR09")).collect();
        assert_eq!(codes, pages);
    }
}
