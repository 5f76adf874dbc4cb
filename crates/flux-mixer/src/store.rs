//! Releases of one kind: texts by name and tag, found by what they are.
//!
//! ```text
//! bucket   <kind>         <name>.<tag>         a [`Release`]: made once, never changed
//! objects  <kind>-texts   SHA-256 of a text    the text, sealed
//! ```
//!
//! A text is there before a release names it, and every release is an entry of its own that can only be created: two pushes at
//! once cannot lose one another, and no crash leaves an index that is half written. What a crash leaves is a text too many, which
//! goes at the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use flux_bus::{BucketConfig, Bus, Error, Key, Name, Objects, Revision};
use flux_identity::{Page, PushOutcome, Release, Tag};
use flux_scenario::edition::ContentHash;
use parking_lot::RwLock;

use crate::limits::{RELEASES_MAX, TEXTS_BYTES_MAX};
use crate::refusal::Refusal;
use crate::seal::{Unlock, open, seal};
use crate::shelf::Shelf;

/// By name, then by tag.
type Index = BTreeMap<Name, BTreeMap<Tag, (Release, Revision)>>;

/// All releases of a kind.
pub(crate) struct Store {
    /// `scenario` or `spec`, for messages.
    what: &'static str,
    shelf: Shelf<Release>,
    texts: Arc<dyn Objects>,
    /// What texts are sealed with.
    key: Unlock,
    index: RwLock<Index>,
}

impl Store {
    /// Opens the store of a kind, or makes it. Texts that no release names are removed.
    pub(crate) async fn open(bus: &dyn Bus, what: &'static str, key: [u8; 32]) -> Result<Store, Error> {
        let shelf: Shelf<Release> = Shelf::open(bus, &format!("{what}s")).await?;
        let name = Name::new(format!("{what}-texts"))?;
        bus.make_objects(BucketConfig { name: name.clone(), bytes_max: TEXTS_BYTES_MAX }).await?;
        let texts = bus.objects(name).await?;
        let (mut index, mut named) = (Index::new(), BTreeSet::new());
        for (_, release, revision) in shelf.list().await? {
            named.insert(object(release.digest));
            index.entry(release.name.clone()).or_default().insert(release.tag.clone(), (release, revision));
        }
        for (text, _) in texts.list().await? {
            if !named.contains(&text) {
                texts.delete(text).await?;
            }
        }
        Ok(Store { what, shelf, texts, key: Unlock::Key(key), index: RwLock::new(index) })
    }

    /// Keeps a release; the same text under the same name and tag is no change.
    ///
    /// # Errors
    /// [`Refusal::Taken`] when another text is there, with the release it is.
    pub(crate) async fn put(&self, release: Release, text: &[u8]) -> Result<(PushOutcome, Release), Refusal> {
        if let Some(found) = self.find(&release.name, &release.tag) {
            return self.met(found, &release);
        }
        if self.index.read().values().map(BTreeMap::len).sum::<usize>() >= RELEASES_MAX {
            let why = format!("there are {RELEASES_MAX} {}s: remove releases that nobody needs", self.what);
            return Err(Refusal::TooMany(why));
        }
        let sealed = seal(&self.key, text).map_err(|why| Error::Failed(why.to_string()))?;
        self.texts.put(object(release.digest), sealed.into()).await?;
        match self.shelf.put(entry(&release)?, &release, None).await {
            Ok(revision) => {
                let mut index = self.index.write();
                let named = index.entry(release.name.clone()).or_default();
                named.insert(release.tag.clone(), (release.clone(), revision));
                Ok((PushOutcome::Stored, release))
            }
            // Somebody else pushed under that name and tag at the same time.
            Err(Error::Revision(key)) => match self.shelf.get(&key).await? {
                Some((found, _)) => self.met(found, &release),
                None => Err(Refusal::Conflict("it was removed just now; push it again".into())),
            },
            Err(why) => Err(why.into()),
        }
    }

    fn met(&self, found: Release, release: &Release) -> Result<(PushOutcome, Release), Refusal> {
        match found.digest == release.digest {
            true => Ok((PushOutcome::Unchanged, found)),
            false => Err(Refusal::Taken {
                what: format!("{} {}:{}", self.what, found.name, found.tag),
                current: Box::new(serde_json::to_value(found).expect("a release is JSON")),
            }),
        }
    }

    fn find(&self, name: &Name, tag: &Tag) -> Option<Release> {
        self.index.read().get(name)?.get(tag).map(|(release, _)| release.clone())
    }

    /// The release under a name and a tag, or under the name and `latest`: the last one that is final, or, where none is, the
    /// last one.
    pub(crate) fn get(&self, name: &Name, tag: &str) -> Result<Release, Refusal> {
        let missing = || Refusal::Missing(format!("{} {name}:{tag}", self.what));
        if tag != "latest" {
            let tag = tag.parse().map_err(Refusal::Invalid)?;
            return self.find(name, &tag).ok_or_else(missing);
        }
        let index = self.index.read();
        let tags = index.get(name).ok_or_else(missing)?;
        latest(tags).cloned().ok_or_else(missing)
    }

    /// Its text.
    pub(crate) async fn text(&self, release: &Release) -> Result<Vec<u8>, Refusal> {
        let sealed = self.texts.get(object(release.digest)).await?;
        let opened = sealed.and_then(|sealed| open(&self.key, &sealed).ok().map(|text| text.to_vec()));
        let whole = opened.filter(|text| ContentHash::of(text) == release.digest);
        whole.ok_or_else(|| {
            tracing::error!(release = %release.digest, "the text of a release is missing or damaged");
            let Release { name, tag, .. } = release;
            Refusal::Unavailable(format!(
                "the text of {name}:{tag} is missing or damaged: push it again under another tag"
            ))
        })
    }

    /// Forgets a release; its text goes when the Mixer starts.
    pub(crate) async fn remove(&self, name: &Name, tag: &Tag) -> Result<(), Refusal> {
        let found = self.index.read().get(name).and_then(|tags| tags.get(tag)).cloned();
        let missing = || Refusal::Missing(format!("{} {name}:{tag}", self.what));
        let (release, revision) = found.ok_or_else(missing)?;
        match self.shelf.remove(entry(&release)?, revision).await {
            Ok(()) => {
                let mut index = self.index.write();
                if let Some(tags) = index.get_mut(name) {
                    tags.remove(tag);
                }
                index.retain(|_, tags| !tags.is_empty());
                Ok(())
            }
            Err(Error::Revision(_) | Error::Missing(_)) => Err(missing()),
            Err(why) => Err(why.into()),
        }
    }

    /// The latest release of each name, behind a name.
    pub(crate) fn names(&self, after: Option<&Name>, limit: usize) -> Page<Release> {
        let index = self.index.read();
        let behind = index.iter().filter(|(name, _)| after.is_none_or(|after| *name > after));
        let mut found = behind.filter_map(|(_, tags)| latest(tags).cloned());
        let items: Vec<Release> = found.by_ref().take(limit).collect();
        let next = found.next().and_then(|_| items.last()).map(|last| last.name.to_string());
        Page { items, next }
    }

    /// The releases of a name, the last first, before a tag.
    pub(crate) fn history(
        &self,
        name: &Name,
        before: Option<&Tag>,
        limit: usize,
    ) -> Result<Page<Release>, Refusal> {
        let index = self.index.read();
        let tags = index.get(name).ok_or_else(|| Refusal::Missing(format!("{} {name}", self.what)))?;
        let mut found = tags.iter().rev().filter(|(tag, _)| before.is_none_or(|before| *tag < before));
        let items: Vec<Release> =
            found.by_ref().take(limit).map(|(_, (release, _))| release.clone()).collect();
        let next = found.next().and_then(|_| items.last()).map(|last| last.tag.to_string());
        Ok(Page { items, next })
    }
}

fn latest(tags: &BTreeMap<Tag, (Release, Revision)>) -> Option<&Release> {
    let last = tags.iter().rev().find(|(tag, _)| tag.is_final()).or_else(|| tags.iter().next_back());
    last.map(|(_, (release, _))| release)
}

fn entry(release: &Release) -> Result<Key, Error> {
    Key::new(format!("{}.{}", release.name, release.tag))
}

fn object(digest: ContentHash) -> Key {
    Key::new(digest.to_string()).expect("digits make a key")
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({}s)", self.what)
    }
}

#[cfg(test)]
mod tests;
