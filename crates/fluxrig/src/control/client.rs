//! The command line's side of the control socket: one question, one answer.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::{Args, ValueHint};
use flux_scenario::{
    limits::FILE_BYTES_MAX,
    load_settings,
    settings::{Base, STATE_DIR},
};
use flux_world::World;
use serde::de::DeserializeOwned;

use super::{ANSWER_BYTES_MAX, ANSWER_TIMEOUT, Answer, CLIENT_TIMEOUT, Request, SOCKET_FILE};
use crate::{input, state_dir, terminal};

/// Which of the racks that run here.
#[derive(Args, Clone)]
pub(crate) struct RackOptions {
    /// The state directory of the rack; else what the settings say, else `./data`
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, env = "FLUXRIG_STATE_DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Settings (`fluxrig.toml`) that name the state directory
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath, env = "FLUXRIG_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

impl RackOptions {
    /// The directory they mean.
    pub(crate) fn state_dir(&self) -> anyhow::Result<PathBuf> {
        Ok(self.place()?.0)
    }

    /// The directory they mean, and the names of what is in it.
    pub(crate) fn place(&self) -> anyhow::Result<(PathBuf, Base)> {
        let mut base = Base::default();
        if let Some(file) = &self.config {
            let text = input::file(&World::real().disk, file, FILE_BYTES_MAX)?;
            let (settings, report) = load_settings(&file.display().to_string(), &text);
            if report.has_errors() {
                bail!("{}", report.render(terminal::has_color()).trim_end());
            }
            base = settings.base;
        }
        let named = self.state_dir.clone().or_else(|| base.state_dir.clone().map(PathBuf::from));
        Ok((named.unwrap_or_else(|| STATE_DIR.into()), base))
    }
}

/// Asks the rack that has this state directory.
///
/// # Errors
/// When there is no such rack, when it does not answer, and when it refuses.
pub(crate) fn ask<T: DeserializeOwned>(state_dir: &Path, request: &Request) -> anyhow::Result<T> {
    let shown = state_dir.display();
    let Some(stream) = connect(state_dir)? else {
        if let Some(holder) = state_dir::holder_of(&World::real().disk, state_dir) {
            bail!(
                "a rack runs with the state directory `{shown}`, {holder}, and its control socket is not there: it looks for \
                 it every two seconds and makes it again, so try again, or look for the alarm `control_socket` in its log"
            )
        }
        bail!(
            "no rack runs with the state directory `{shown}`: name it with --state-dir; a rack has one when it is \
             started with --state-dir or `base.state_dir`, or when it keeps something on disk"
        )
    };
    let line = exchange(stream, request).with_context(|| format!("the rack at `{shown}` did not answer"))?;
    match serde_json::from_str(&line).context("the answer is not understood: is the rack another version?")? {
        Answer::Ok(told) => Ok(told),
        Answer::Error(why) => bail!(why),
    }
}

/// Reaches the rack that has this state directory; `None` when there is none.
///
/// # Errors
/// When it cannot be told.
pub(crate) fn connect(state_dir: &Path) -> anyhow::Result<Option<UnixStream>> {
    match UnixStream::connect(state_dir.join(SOCKET_FILE)) {
        Ok(stream) => Ok(Some(stream)),
        Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(why) => Err(why).with_context(|| format!("cannot reach the rack at `{}`", state_dir.display())),
    }
}

fn exchange(mut stream: UnixStream, request: &Request) -> anyhow::Result<String> {
    stream.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT + Duration::from_secs(1)))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX as u64)).read_line(&mut answer)?;
    if !answer.ends_with('\n') {
        bail!("it hung up");
    }
    Ok(answer)
}
