//! What is kept is kept once, whole, and found again.

use flux_bus::EmbeddedBus;
use flux_journal::Keys;
use flux_world::World;

use super::*;

async fn bus(directory: &std::path::Path) -> EmbeddedBus {
    EmbeddedBus::open(&World::real(), directory, flux_bus::Settings::default(), Keys::none()).await.unwrap()
}

fn release(name: &str, tag: &str, text: &str) -> Release {
    Release {
        name: Name::new(name).unwrap(),
        tag: tag.parse().unwrap(),
        digest: ContentHash::of(text.as_bytes()),
        bytes: text.len() as u64,
        title: String::new(),
        pushed_unix_ms: 1,
        pushed_by: "test".into(),
        note: String::new(),
    }
}

fn tags(page: &Page<Release>) -> Vec<String> {
    page.items.iter().map(|release| release.tag.to_string()).collect()
}

#[tokio::test]
async fn releases_are_found_by_tag_and_as_the_latest_one() {
    let directory = tempfile::tempdir().unwrap();
    let bus = bus(directory.path()).await;
    let store = Store::open(&bus, "scenario", [7; 32]).await.unwrap();
    let switch = Name::new("switch").unwrap();
    for tag in ["1.9.0", "1.10.0", "2.0.0-rc.1"] {
        store.put(release("switch", tag, tag), tag.as_bytes()).await.unwrap();
    }
    store.put(release("branch", "0.1.0-a", "x"), b"x").await.unwrap();
    assert_eq!(store.get(&switch, "latest").unwrap().tag.to_string(), "1.10.0", "numbers, not letters");
    assert_eq!(store.get(&Name::new("branch").unwrap(), "latest").unwrap().tag.to_string(), "0.1.0-a");
    assert_eq!(store.text(&store.get(&switch, "v1.9.0").unwrap()).await.unwrap(), b"1.9.0");
    assert!(matches!(store.get(&switch, "3.0.0"), Err(Refusal::Missing(_))));
    assert!(matches!(store.get(&switch, "../1.9.0"), Err(Refusal::Invalid(_))));
    let page = store.history(&switch, None, 2).unwrap();
    assert_eq!(
        (tags(&page), page.next.as_deref()),
        (vec!["2.0.0-rc.1".into(), "1.10.0".into()], Some("1.10.0"))
    );
    let page = store.history(&switch, Some(&"1.10.0".parse().unwrap()), 2).unwrap();
    assert_eq!((tags(&page), page.next), (vec!["1.9.0".into()], None));
    let page = store.names(None, 1);
    assert_eq!((page.items[0].name.as_str(), page.next.as_deref()), ("branch", Some("branch")));
    let page = store.names(Some(&page.items[0].name), 1);
    assert_eq!((page.items[0].name.as_str(), page.next), ("switch", None));
}

#[tokio::test]
async fn what_is_under_a_tag_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&bus(directory.path()).await, "scenario", [7; 32]).await.unwrap();
    let one = release("switch", "1.0.0", "one");
    assert_eq!(store.put(one.clone(), b"one").await.unwrap().0, PushOutcome::Stored);
    let again = Release { pushed_by: "somebody else".into(), ..one.clone() };
    assert_eq!(store.put(again, b"one").await.unwrap(), (PushOutcome::Unchanged, one.clone()));
    let refused = store.put(release("switch", "v1.0.0", "two"), b"two").await.unwrap_err();
    let Refusal::Taken { current, .. } = refused else { panic!("{refused}") };
    assert_eq!(current["digest"], one.digest.to_string());
    assert_eq!(store.text(&one).await.unwrap(), b"one");
}

/// W54: of imports at once none is lost, and what is there after a restart is what was said to be kept.
#[tokio::test]
async fn pushes_at_once_are_all_there_and_of_two_for_one_tag_one_wins() {
    let directory = tempfile::tempdir().unwrap();
    let bus = bus(directory.path()).await;
    let store = Arc::new(Store::open(&bus, "scenario", [7; 32]).await.unwrap());
    let mut pushes = tokio::task::JoinSet::new();
    for at in 0..32_u32 {
        let store = store.clone();
        pushes.spawn(async move {
            let text = format!("text {at}");
            let one =
                store.put(release("switch", &format!("1.{at}.0"), &text), text.as_bytes()).await.unwrap();
            let raced = store.put(release("switch", "9.0.0", &text), text.as_bytes()).await;
            (one.1, raced.map(|(_, release)| release))
        });
    }
    let done = pushes.join_all().await;
    let winners: Vec<&Release> = done.iter().filter_map(|(_, raced)| raced.as_ref().ok()).collect();
    assert_eq!(winners.len(), 1);
    let winner = winners[0].clone();
    drop(store);
    let store = Store::open(&bus, "scenario", [7; 32]).await.unwrap();
    assert_eq!(store.history(&winner.name, None, 100).unwrap().items.len(), 33);
    for (release, _) in &done {
        assert_eq!(store.get(&release.name, &release.tag.to_string()).unwrap(), *release);
        assert_eq!(ContentHash::of(&store.text(release).await.unwrap()), release.digest);
    }
    assert_eq!(store.get(&winner.name, "9.0.0").unwrap(), winner);
}

#[tokio::test]
async fn what_nobody_names_goes_at_the_next_start_and_texts_are_sealed() {
    let directory = tempfile::tempdir().unwrap();
    let bus = bus(directory.path()).await;
    let store = Store::open(&bus, "spec", [7; 32]).await.unwrap();
    let [one, two] =
        ["1.0.0", "2.0.0"].map(|tag| release("visa", tag, "the same text, which is long enough to be found"));
    for release in [&one, &two] {
        store.put(release.clone(), b"the same text, which is long enough to be found").await.unwrap();
    }
    let sealed = store.texts.get(object(one.digest)).await.unwrap().unwrap();
    assert!(!sealed.windows(13).any(|bytes| bytes == b"the same text"));
    store.remove(&one.name, &one.tag).await.unwrap();
    assert!(matches!(store.remove(&one.name, &one.tag).await, Err(Refusal::Missing(_))));
    let store = Store::open(&bus, "spec", [7; 32]).await.unwrap();
    assert!(store.text(&two).await.is_ok(), "another release has the same text");
    store.remove(&two.name, &two.tag).await.unwrap();
    assert_eq!(store.names(None, 9).items, []);
    let store = Store::open(&bus, "spec", [7; 32]).await.unwrap();
    assert_eq!(store.texts.list().await.unwrap(), []);
}
