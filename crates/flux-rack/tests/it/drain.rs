//! Leaving in order: everything in hand is finished, or named.

use serde_json::json;

use crate::harness::Plan;

#[tokio::test]
async fn what_was_accepted_is_finished() {
    for fuse in [true, false] {
        let running = Plan::new(fuse)
            .gear("src", "source", json!({"count": 3000, "batch": 500}))
            .gear("a", "pass", json!({}))
            .gear("end", "sink", json!({}))
            .wire("src.out", "a.in")
            .wire("a.out", "end.in")
            .boot()
            .await;
        running.texts("end", 1).await;
        let arrived = running.arrived.clone();
        let report = running.rack.shut_down().await;
        assert!(report.is_clean(), "{report:?}");
        let seen = arrived.now("end").len();
        assert_eq!(seen % 500, 0, "a batch was cut: {seen}");
    }
}

#[tokio::test]
async fn a_bad_gear_means_no_rack_at_all() {
    let plan = Plan::new(true)
        .gear("src", "source", json!({"count": 1}))
        .gear("end", "sink", json!({"typo": 1}))
        .wire("src.out", "end.in");
    let why = plan.try_boot().await.err().expect("the configuration is bad").to_string();
    assert!(why.contains("gear `end`") && why.contains("typo"), "{why}");
}
