//! Dead letters on disk: they outlive the rack, are found by what is known of them, and are tried again or dropped.

use std::path::Path;

use flux_rack::{Filter, Letter, Searched, Stopped, search};
use flux_scenario::settings::DeadLetterPlace;
use flux_world::World;
use serde_json::json;

use crate::harness::{Plan, Running, text, within};

fn plan(state_dir: &Path, texts: &[&str]) -> Plan {
    let mut plan = Plan::new(false)
        .gear("src", "source", json!({"texts": texts}))
        .gear("moody", "moody", json!({}))
        .gear("end", "sink", json!({}))
        .wire("src.out", "moody.in")
        .wire("moody.out", "end.in");
    plan.state_dir = state_dir.to_owned();
    plan.settings.dead_letters = DeadLetterPlace::Disk;
    plan.settings.retry.attempts = 3;
    plan.store.segment_bytes = "64KiB".parse().unwrap();
    plan
}

fn find(state_dir: &Path, filter: Filter) -> Searched {
    search(&World::real(), state_dir, &filter, usize::MAX).unwrap()
}

fn all(state_dir: &Path) -> Vec<Letter> {
    find(state_dir, Filter::default()).letters
}

/// Waits until there are so many letters, on disk too.
async fn until_letters(running: &Running, state_dir: &Path, n: usize) {
    within(async {
        while running.rack.dead_letters().len() != n || all(state_dir).len() != n {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn payload(letter: &Letter) -> String {
    text(&letter.message().unwrap().payload)
}

#[tokio::test]
async fn letters_outlive_the_rack_and_are_found_by_what_is_known_of_them() {
    let state = tempfile::tempdir().unwrap();
    let running = plan(state.path(), &["1", "invalid:a", "stray", "invalid:b"]).boot().await;
    until_letters(&running, state.path(), 3).await;
    let report = running.rack.shut_down().await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.on_disk[0].to_string(), "3 messages on dead-letters");

    let letters = all(state.path());
    let seen: Vec<_> = letters
        .iter()
        .map(|letter| (payload(letter), letter.port.as_str(), letter.reason.as_str()))
        .collect();
    let want =
        [("invalid:a", "in", "ordered"), ("stray", "nowhere", "no_wire"), ("invalid:b", "in", "ordered")];
    assert!(
        want.iter().all(|(payload, port, reason)| seen.contains(&((*payload).into(), port, reason))),
        "{seen:?}"
    );

    let count = |filter: Filter| {
        let found = find(state.path(), filter);
        (found.letters.len(), found.matching, found.total)
    };
    let none = Filter::default;
    let ordered = letters.iter().filter(|letter| letter.reason == "ordered").count();
    assert_eq!(count(Filter { reason: Some("ordered".into()), ..none() }), (ordered, ordered as u64, 3));
    assert_eq!(count(Filter { gear: Some("end".into()), ..none() }).0, 0);
    assert_eq!(count(Filter { ids: vec![letters[0].id.to_string(), "no id".into()], ..none() }).0, 1);
    let last = letters[2].unix_ns;
    let since = count(Filter { since_unix_ns: Some(last), ..none() }).0;
    let until = count(Filter { until_unix_ns: Some(last), ..none() }).0;
    assert!(since >= 1 && since + until == 3, "{since} {until}");
    let two = search(&World::real(), state.path(), &none(), 2).unwrap();
    assert_eq!((two.letters.len(), two.matching), (2, 3));
}

#[tokio::test]
async fn dropped_letters_are_gone_for_good_also_in_the_middle() {
    let state = tempfile::tempdir().unwrap();
    let texts = ["invalid:a", "invalid:b", "invalid:c", "invalid:d"];
    let running = plan(state.path(), &texts).boot().await;
    until_letters(&running, state.path(), 4).await;
    let second = all(state.path())[1].id.to_string();
    let handled =
        running.rack.drop_letters(&Filter { ids: vec![second], ..Filter::default() }, 9).await.unwrap();
    assert_eq!((handled.len(), running.rack.dead_letters().len()), (1, 3));
    running.rack.shut_down().await;

    let left = |letters: Vec<Letter>| letters.iter().map(payload).collect::<Vec<_>>();
    assert_eq!(left(all(state.path())), ["invalid:a", "invalid:c", "invalid:d"]);
    let first: Vec<u64> = search(&World::real(), state.path(), &Filter::default(), 1)
        .unwrap()
        .letters
        .iter()
        .map(|letter| letter.sequence)
        .collect();
    let stopped = Stopped::open(&World::real(), state.path()).await.unwrap();
    assert_eq!(stopped.remove(&[first[0], 999]).await.unwrap(), 1);
    assert_eq!(left(all(state.path())), ["invalid:c", "invalid:d"]);
    let one = search(&World::real(), state.path(), &Filter::default(), 1).unwrap();
    assert_eq!((left(one.letters), one.matching), (vec!["invalid:c".to_owned()], 2));
}

#[tokio::test]
async fn a_replay_goes_to_the_port_that_failed_as_the_message_it_was() {
    let state = tempfile::tempdir().unwrap();
    // It fails four times; there are three attempts.
    let mut running = plan(state.path(), &["transient:4", "1"]).boot().await;
    until_letters(&running, state.path(), 1).await;
    let letter = all(state.path()).remove(0);
    assert_eq!((letter.reason.as_str(), letter.attempts, letter.port.as_str()), ("transient", 3, "in"));
    assert_eq!(running.rack.replay(&Filter::default(), 9).await.unwrap().letters, 1);
    assert_eq!(running.texts("end", 2).await, ["1", "transient:4"]);
    assert_eq!(running.arrived.now("end")[1].id, letter.id);
    until_letters(&running, state.path(), 0).await;
    running.rack.shut_down().await;
    assert_eq!(all(state.path()), []);
}

#[tokio::test]
async fn what_fails_again_is_one_letter_with_its_attempts_counted_on() {
    let state = tempfile::tempdir().unwrap();
    let mut running = plan(state.path(), &["invalid:x"]).boot().await;
    until_letters(&running, state.path(), 1).await;
    let before = all(state.path()).remove(0);
    assert_eq!(running.rack.replay(&Filter::default(), 9).await.unwrap().letters, 1);
    within(async {
        while all(state.path())[0].attempts < 2 || running.rack.dead_letters().len() != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    running.rack.shut_down().await;
    let letters = all(state.path());
    assert_eq!((letters.len(), letters[0].attempts), (1, 2));
    assert_eq!((letters[0].first_unix_ns, letters[0].id), (before.unix_ns, before.id));
    assert_eq!(
        letters[0].message().unwrap().metadata.len(),
        0,
        "the count is on the letter, not on the message"
    );
}

#[tokio::test]
async fn letters_of_a_stopped_rack_are_replayed_at_its_next_start() {
    let state = tempfile::tempdir().unwrap();
    let first = plan(state.path(), &["transient:4", "invalid:y"]).boot().await;
    until_letters(&first, state.path(), 2).await;
    let refused = Stopped::open(&World::real(), state.path()).await.err().unwrap().to_string();
    assert!(refused.contains("in use"), "{refused}");
    first.rack.shut_down().await;
    let transient = Filter { reason: Some("transient".into()), ..Filter::default() };
    let letters: Vec<u64> =
        find(state.path(), transient).letters.iter().map(|letter| letter.sequence).collect();
    let stopped = Stopped::open(&World::real(), state.path()).await.unwrap();
    assert_eq!(stopped.replay_later(&letters).await.unwrap(), 1);
    let second = plan(state.path(), &["1"]).boot().await;
    // The new gear counts from the start: the message fails thrice again.
    until_letters(&second, state.path(), 2).await;
    within(async {
        while !all(state.path()).iter().any(|letter| letter.attempts == 6) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    second.rack.shut_down().await;
}

#[tokio::test]
async fn a_replay_that_leads_nowhere_is_refused_and_says_why() {
    let state = tempfile::tempdir().unwrap();
    let first = plan(state.path(), &["invalid:z"]).boot().await;
    until_letters(&first, state.path(), 1).await;
    first.rack.shut_down().await;
    let mut other = Plan::new(false).gear("end", "sink", json!({}));
    other.state_dir = state.path().to_owned();
    other.settings.dead_letters = DeadLetterPlace::Disk;
    let mut other = other.boot().await;
    let handled = other.rack.replay(&Filter::default(), 9).await.unwrap();
    assert_eq!(handled.refused, [("there is no gear `moody` any more".to_owned(), 1)]);
    assert_eq!((handled.letters, other.rack.dead_letters().len()), (0, 1));
    other.rack.shut_down().await;
}

fn segments(state_dir: &Path) -> usize {
    let files = std::fs::read_dir(state_dir.join("dead-letters")).unwrap();
    files
        .filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "journal"))
        .count()
}

/// Each round is far more than the segments that may stay.
#[tokio::test]
async fn an_old_letter_keeps_nothing_on_disk_but_itself() {
    let state = tempfile::tempdir().unwrap();
    let many: Vec<String> = (0..600).map(|n| format!("invalid:{n:01000}")).collect();
    let dropped = Filter { reason: Some("ordered".into()), ..Filter::default() };
    let mut first = None;
    for round in 0..3 {
        let mut texts: Vec<&str> = if round == 0 { vec!["stray"] } else { Vec::new() };
        texts.extend(many.iter().map(String::as_str));
        let running = plan(state.path(), &texts).boot().await;
        until_letters(&running, state.path(), 601).await;
        let before = segments(state.path());
        assert!(before > 8, "{before} segments");
        assert_eq!(running.rack.drop_letters(&dropped, usize::MAX).await.unwrap().len(), 600);
        within(async {
            while segments(state.path()) > 4 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        until_letters(&running, state.path(), 1).await;
        running.rack.shut_down().await;
        let letter = all(state.path()).remove(0);
        assert_eq!(payload(&letter), "stray");
        let known = (letter.id, letter.first_unix_ns, letter.unix_ns, letter.attempts);
        assert_eq!(*first.get_or_insert(known), known, "moved as it was");
    }
}

/// Those that are still letters are moved past what was dropped between them, and each is one letter all the time.
#[tokio::test]
async fn what_is_moved_is_replayed_and_dropped_as_before() {
    let state = tempfile::tempdir().unwrap();
    let many: Vec<String> =
        (0..600).map(|n| if n % 50 == 0 { "stray".into() } else { format!("invalid:{n:01000}") }).collect();
    let running = plan(state.path(), &many.iter().map(String::as_str).collect::<Vec<_>>()).boot().await;
    let mut running = running;
    until_letters(&running, state.path(), 600).await;
    let dropped = Filter { reason: Some("ordered".into()), ..Filter::default() };
    assert_eq!(running.rack.drop_letters(&dropped, usize::MAX).await.unwrap().len(), 588);
    within(async {
        while segments(state.path()) > 4 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(all(state.path()).len(), 12);
    // No wire leaves the port: they are refused, and stay.
    let handled = running.rack.replay(&Filter::default(), 5).await.unwrap();
    assert_eq!((handled.letters, handled.refused.len()), (0, 1));
    assert_eq!(running.rack.drop_letters(&Filter::default(), 2).await.unwrap().len(), 2);
    until_letters(&running, state.path(), 10).await;
    running.rack.shut_down().await;
    assert_eq!(all(state.path()).len(), 10);
}
