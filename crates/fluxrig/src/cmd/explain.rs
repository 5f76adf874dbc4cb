//! `fluxrig explain`: the page of a problem, without a browser.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use crate::stdout;

macro_rules! pages {
    ($($code:ident)+) => {
        [$((stringify!($code), include_str!(concat!("../../../../docs/errors/", stringify!($code), ".md")))),+]
    };
}

/// The pages of `docs/errors`, by code.
const PAGES: &[(&str, &str)] = &pages! {
    FR0101 FR0102 FR0103 FR0104 FR0105 FR0106 FR0107 FR0201 FR0202 FR0203 FR0204 FR0205
    FR0206 FR0207 FR0208 FR0209 FR0210 FR0211 FR0212 FR0213 FR0214 FR0301 FR0302 FR0303
    FR0304 FR0305 FR0306 FR0307 FR0308 FR0309 FR0310 FR0311 FR0401 FR0402 FR0403 FR0404 FR0405
    FR0406 FR0407 FR0501 FR0502 FR0503 FR0601 FR0602 FR0604 FR0605 FR0606 FR0701 FR0702 FR0801 FR0802
    FR0803 FR0804 FR0805 FR0806 FR0807 FR0808 FR0809 FR0810 FR0811 FR0812 FR0813 FR0814
    FR0815 FR0816 FR0817 FR0818 FR0901 FR0902 FR0903 FR0904 FR0905 FR0906 FR0907 FR0908 FR0909
    FR0910 FR0911 FR0912 FR0913 FR0914 FR0915 FR0916 FR0917 FR0918 FR0919
};

/// Explain a problem that `check` found: what happened, the usual cause, what to do
///
/// Example: fluxrig explain FR0201
#[derive(Args)]
pub(crate) struct Explain {
    /// The code of the problem
    code: String,
}

impl Explain {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let page = PAGES.iter().find(|(code, _)| code.eq_ignore_ascii_case(&self.code));
        let (first, last) = (PAGES[0].0, PAGES[PAGES.len() - 1].0);
        let (_, page) =
            page.with_context(|| format!("no code `{}`; they go from {first} to {last}", self.code))?;
        stdout::print(page)?;
        Ok(ExitCode::SUCCESS)
    }
}
