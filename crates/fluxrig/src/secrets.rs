//! Where a rack finds the secrets that its scenario refers to: files, the environment, Vault; the first that has one counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::{Path, PathBuf},
};

use flux_scenario::settings::Secrets;
use flux_world::World;

mod vault;

/// Longest secret.
const BYTES_MAX: usize = 64 << 10;

/// Secrets by name, as they were found; of each that was not, where it was looked for.
pub(crate) type Found = BTreeMap<String, Result<String, Lacking>>;

/// Why there is no secret, and where it could be put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lacking {
    pub(crate) why: String,
    pub(crate) fix: String,
}

/// Looks for secrets. `directory` is what files in the settings are relative to. Blocks.
pub(crate) fn find(world: &World, settings: &Secrets, directory: &Path, names: BTreeSet<String>) -> Found {
    let place = |file: &str| directory.join(file);
    let near =
        Near { world, directory: settings.directory.as_deref().map(place), prefix: &settings.environment };
    let mut vault = None;
    let mut look = |name: &str| {
        let (near, looked) = near.find(name)?;
        if near.is_some() {
            return Ok((near, looked));
        }
        let Some(settings) = &settings.vault else { return Ok((None, looked)) };
        let read = vault.get_or_insert_with(|| vault::read(world, settings, directory));
        let shown = format!("the secret `{}/{}` of Vault", settings.mount, settings.path);
        let told = read.as_ref().map_err(|why| format!("{shown}: {why}"))?;
        Ok::<_, String>((
            told.get(name).cloned(),
            [looked, vec![format!("the key `{name}` of {shown}")]].concat(),
        ))
    };
    let found = names.into_iter().map(|name| {
        let fix = fix(settings, &name);
        let found = match look(&name) {
            Ok((Some(secret), _)) if secret.is_empty() => Err("it is empty".to_owned()),
            Ok((Some(secret), _)) => Ok(secret),
            Ok((None, looked)) if looked.is_empty() => Err("no place for secrets is set".into()),
            Ok((None, looked)) => Err(format!("looked for as {}", looked.join(", "))),
            Err(why) => Err(why),
        };
        (name, found.map_err(|why| Lacking { why, fix }))
    });
    found.collect()
}

/// What is on this machine.
struct Near<'a> {
    world: &'a World,
    directory: Option<PathBuf>,
    prefix: &'a str,
}

impl Near<'_> {
    /// A secret, if there is one, and where it was looked for.
    fn find(&self, name: &str) -> Result<(Option<String>, Vec<String>), String> {
        let mut looked = Vec::new();
        if let Some(directory) = &self.directory {
            let path = directory.join(name);
            let shown = format!("the file `{}`", path.display());
            match self.world.disk.read_input(&path, BYTES_MAX) {
                Ok(bytes) => {
                    let text =
                        String::from_utf8(bytes.to_vec()).map_err(|_| format!("{shown} is no text"))?;
                    let bare = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
                    return Ok((Some(bare.unwrap_or(&text).to_owned()), looked));
                }
                Err(why) if why.kind() == ErrorKind::NotFound => looked.push(shown),
                Err(why) => return Err(format!("{shown}: {why}")),
            }
        }
        if !self.prefix.is_empty() {
            let variable = variable(self.prefix, name);
            match environment(&variable) {
                Some(secret) => return Ok((Some(secret), looked)),
                None => looked.push(format!("the variable `{variable}`")),
            }
        }
        Ok((None, looked))
    }
}

/// What to do about a secret that is not there.
fn fix(settings: &Secrets, name: &str) -> String {
    let (directory, prefix) = (&settings.directory, &settings.environment);
    match (directory, &settings.vault) {
        (Some(directory), _) => format!("put it into the file `{directory}/{name}`"),
        (None, Some(vault)) => format!("`vault kv patch {}/{} {name}=…`", vault.mount, vault.path),
        (None, None) if !prefix.is_empty() => {
            format!("set `{}`, or name a directory with `secrets.directory`", variable(prefix, name))
        }
        (None, None) => "name a directory with `secrets.directory`".into(),
    }
}

fn variable(prefix: &str, name: &str) -> String {
    format!("{prefix}{}", name.replace(['-', '.'], "_"))
}

#[allow(clippy::disallowed_methods, reason = "a binary reads the environment")]
fn environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

#[cfg(test)]
mod tests;
