//! `--spec`: a dialect from a file or by name, and what is wrong with it as a person sees it.

use std::{fmt::Write, path::Path, sync::Arc};

use anyhow::Context;
use clap::{Args, ValueHint};
use flux_iso8583::{Problem, Report, SPEC_BYTES_MAX, Severity, Spec};
use flux_world::Disk;
use serde_json::json;

use crate::{stdout, terminal};

#[derive(Args)]
pub(crate) struct SpecOption {
    /// The dialect: a spec file, or a base layout (iso87ascii, iso87binary, iso87hex)
    #[arg(long, value_name = "SPEC", default_value = "iso87ascii", value_hint = ValueHint::FilePath)]
    spec: String,
}

impl SpecOption {
    /// The spec, or `None` when it has errors. Problems are told: as JSON on standard output, in the form of
    /// `fluxrig check`, or in words on standard error.
    pub(crate) fn load(&self, disk: &Disk, as_json: bool) -> anyhow::Result<Option<Arc<Spec>>> {
        let (spec, report) = match read(disk, &self.spec)? {
            Ok(mut spec) => {
                let warnings = std::mem::take(&mut spec.warnings);
                (Some(Arc::new(spec)), warnings)
            }
            Err(report) => (None, report),
        };
        if as_json && spec.is_none() {
            stdout::line(json!({ "issues": report.problems }))?;
        } else {
            terminal::say(&render(&report, terminal::has_color()));
        }
        Ok(spec)
    }
}

/// A spec by the name of a base layout, or from a file; what it builds on is looked for beside the file.
fn read(disk: &Disk, name: &str) -> anyhow::Result<Result<Spec, Report>> {
    if let Some(spec) = Spec::builtin(name) {
        return Ok(Ok(spec));
    }
    let path = Path::new(name);
    let bytes = disk.read(path, SPEC_BYTES_MAX).with_context(|| {
        let known = Spec::builtin_names().join(", ");
        format!("cannot read the spec `{name}`; it is neither a file nor one of {known}")
    })?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let beside = |base: &str| match disk.read(&directory.join(base), SPEC_BYTES_MAX) {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(why) => Err(why.to_string()),
    };
    Ok(Spec::load(name, &bytes, &beside))
}

/// Each problem with its place and what to do; empty when there is none.
fn render(report: &Report, has_color: bool) -> String {
    let mut text = String::new();
    for Problem { code, severity, file, line, column, message, help } in &report.problems {
        let (word, color) = match severity {
            Severity::Error => ("error", "\x1b[1;31m"),
            Severity::Warning => ("warning", "\x1b[1;33m"),
        };
        let (color, plain) = if has_color { (color, "\x1b[0m") } else { ("", "") };
        let _ = writeln!(text, "{color}{word}[{code}]{plain}: {message}\n --> {file}:{line}:{column}");
        if let Some(help) = help {
            let _ = writeln!(text, "  = help: {help}");
        }
        text.push('\n');
    }
    if report.left_out > 0 {
        let _ = writeln!(text, "and {} more", report.left_out);
    }
    text
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use flux_iso8583::Code;

    use super::*;

    #[test]
    fn problems_have_a_place_and_a_help() {
        let problem = |code: Code, help: Option<&str>| Problem {
            code,
            severity: code.severity(),
            file: "shop.yaml".into(),
            line: 3,
            column: 7,
            message: "something is wrong".into(),
            help: help.map(Into::into),
        };
        let problems =
            vec![problem(Code::UnknownKey, Some("did you mean `length`?")), problem(Code::NoEffect, None)];
        expect![[r#"
            error[FR0804]: something is wrong
             --> shop.yaml:3:7
              = help: did you mean `length`?

            warning[FR0818]: something is wrong
             --> shop.yaml:3:7

            and 2 more
        "#]]
        .assert_eq(&render(&Report { problems, left_out: 2 }, false));
    }
}
