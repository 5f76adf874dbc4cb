//! Any change of what was written is found, and so is anything that is missing from between.

use super::*;
use crate::keyring::UnlockBy;

struct Ground {
    directory: tempfile::TempDir,
    world: World,
    keyring: Arc<Keyring>,
}

impl Ground {
    fn new() -> Ground {
        let (directory, world) = (tempfile::tempdir().unwrap(), World::real());
        let fleet = "lab".parse().unwrap();
        let keyring =
            Keyring::open(&world, &directory.path().join("keys"), &fleet, &UnlockBy::KeyBeside).unwrap().0;
        Ground { directory, world, keyring: Arc::new(keyring) }
    }

    fn open(&self) -> Result<Audit, AuditError> {
        Audit::open(&self.world, &self.directory.path().join("audit"), Keys::none(), self.keyring.clone())
    }

    /// A log with three entries.
    async fn three(&self) -> Head {
        let audit = self.open().unwrap();
        for about in ["north", "south", "east"] {
            audit.note(note(about)).await.unwrap();
        }
        let head = audit.verify().await.unwrap();
        audit.close().await;
        head
    }

    /// A log of these texts, as if somebody had written it with the same tools.
    async fn forged(&self, texts: &[String]) -> Result<Head, AuditError> {
        let directory = tempfile::tempdir().unwrap();
        let journal =
            Journal::open(&self.world, directory.path(), Config::default(), Keys::none()).unwrap().0;
        for text in texts {
            journal.append(text.as_bytes()).await.unwrap().wait().await.unwrap();
        }
        journal.close().await.unwrap();
        let key = self.keyring.cluster.public_key();
        Place { world: self.world.clone(), directory: directory.path().into(), keys: Keys::none(), key }
            .verify()
    }

    fn texts(&self) -> Vec<String> {
        let mut texts = Vec::new();
        let directory = self.directory.path().join("audit");
        walk(&self.world, &directory, &Keys::none(), 0, &mut |record| {
            texts.push(String::from_utf8(record.body.to_vec()).unwrap());
            ControlFlow::Continue(())
        })
        .unwrap();
        texts
    }
}

fn note(about: &str) -> Note<'_> {
    Note { who: "token 01", what: "rack.approve", about, outcome: Outcome::Done, detail: "a\nb" }
}

#[tokio::test]
async fn it_goes_on_where_it_stood() {
    let ground = Ground::new();
    let head = ground.three().await;
    assert_eq!(head.entries, 3);
    let audit = ground.open().unwrap();
    assert_eq!(audit.head(), head);
    audit.note(note("west")).await.unwrap();
    let entries = audit.entries(2, 10).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.about.as_str()).collect::<Vec<_>>(), ["east", "west"]);
    assert_eq!(entries[1].before, head.hash);
    assert_eq!(entries[1].detail, "a b", "an entry is one line");
}

#[tokio::test]
async fn what_was_changed_moved_or_taken_out_is_found() {
    let ground = Ground::new();
    let head = ground.three().await;
    let texts = ground.texts();
    assert_eq!(ground.forged(&texts).await.unwrap(), head);
    let at = async |texts: &[String]| match ground.forged(texts).await {
        Err(AuditError::Tampered { number, .. }) => number,
        other => panic!("{other:?}"),
    };
    let changed = [texts[0].clone(), texts[1].replace("south", "north"), texts[2].clone()];
    assert_eq!(at(&changed).await, 2, "changed");
    assert_eq!(at(&[texts[0].clone(), texts[2].clone(), texts[1].clone()]).await, 2, "moved");
    assert_eq!(at(&[texts[0].clone(), texts[2].clone()]).await, 2, "taken out");
    assert_eq!(at(&texts[1..]).await, 1, "the first is gone");
    assert_eq!(at(&[texts.clone(), vec![texts[2].clone()]].concat()).await, 4, "there twice");
    // Signed again by somebody else, hashes and all.
    let other = flux_scenario::passport::Passport::from_seed([9; 32]);
    let entry = Entry::verify(texts[1].as_bytes(), &ground.keyring.cluster.public_key()).unwrap();
    let forged = Entry { about: "north".into(), ..entry }.sign(&other);
    assert_eq!(at(&[texts[0].clone(), forged, texts[2].clone()]).await, 2, "by another key");
    // The end is cut off: the chain holds, and the head is another.
    assert_ne!(ground.forged(&texts[..2]).await.unwrap(), head);
}

#[tokio::test]
async fn nothing_is_added_to_a_log_that_was_tampered_with() {
    let ground = Ground::new();
    ground.three().await;
    let directory = ground.directory.path().join("audit");
    let file = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let file = file.filter(|path| std::fs::read(path).unwrap().windows(5).any(|window| window == b"south"));
    for path in file {
        let bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(5).position(|window| window == b"south").unwrap();
        let mut bytes = bytes;
        bytes[at..at + 5].copy_from_slice(b"SOUTH");
        std::fs::write(&path, bytes).unwrap();
    }
    assert!(matches!(ground.open().map(drop), Err(AuditError::Tampered { .. })));
}
