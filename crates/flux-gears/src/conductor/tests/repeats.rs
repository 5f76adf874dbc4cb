//! Requests that come again, or seem to, and replies that belong to another request.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_request_is_routed_once_and_answered_each_time() {
    let mut switch = Switch::new(config()).await;
    let mut again = switch.request(1, "4111");
    again.metadata.set(keys::CONN_ID, "t1-reconnected");
    let mut story = vec![
        switch.asked(1, "4111").await,
        switch.told("in", again.clone()).await,
        switch.replied(1, "00").await,
        switch.told("in", again.clone()).await,
        switch.replied(1, "99").await,
    ];
    switch.pass(Duration::from_secs(5)).await;
    story.push(switch.replied(1, "99").await);
    story.push(switch.told("in", again).await);
    expect![[r#"
        out_visa stan=000001 conn=t1
        nothing
        out_response stan=000001 code=00 conn=t1-reconnected
        out_response stan=000001 code=00 conn=t1-reconnected
        invalid unmatched_reply
        invalid unmatched_reply
        out_visa stan=000001 conn=t1-reconnected"#]]
    .assert_eq(&story.join("\n"));
    switch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn another_request_under_the_same_key_is_neither_absorbed_nor_answered() {
    let mut switch = Switch::new(with(json!({ "fingerprint": ["data.pan", "data.amount"] }))).await;
    let mut story = vec![switch.asked(1, "4111").await, switch.asked(1, "4112").await];
    let mut dearer = switch.request(1, "4111");
    dearer.data.set("amount", 7.into()).unwrap();
    story.push(switch.told("in", dearer.clone()).await);
    story.push(switch.replied(1, "00").await);
    story.push(switch.told("in", dearer.clone()).await);
    story.push(switch.asked(1, "4111").await);
    switch.pass(Duration::from_secs(5)).await;
    story.push(switch.told("in", dearer).await);
    expect![[r#"
        out_visa stan=000001 conn=t1
        invalid key_conflict
        invalid key_conflict
        out_response stan=000001 code=00 conn=t1
        invalid key_conflict
        out_response stan=000001 code=00 conn=t1
        out_visa stan=000001 conn=t1"#]]
    .assert_eq(&story.join("\n"));
    switch.stop().await;
}

/// A message with a message type, as a codec would make it.
fn typed(mut msg: FluxMsg, mti: &str) -> FluxMsg {
    let exchange = flux_iso8583::exchange(mti).map(|digits| String::from_utf8(digits.into()).unwrap());
    msg.data.set("iso8583.mti", mti.into()).unwrap();
    msg.data.set("iso8583.exchange", exchange.unwrap().as_str().into()).unwrap();
    msg
}

#[tokio::test(start_paused = true)]
async fn a_reversal_is_not_taken_for_its_original() {
    let key = json!(["data.iso8583.exchange", "data.stan", "data.terminal"]);
    let mut switch = Switch::new(with(json!({ "correlation_key": key }))).await;
    let mut story = Vec::new();
    for mti in ["0200", "0400", "0201", "0401"] {
        let request = typed(switch.request(1, "4111"), mti);
        story.push(switch.told("in", request).await);
    }
    for mti in ["0410", "0210"] {
        let reply = typed(switch.reply(1, mti), mti);
        story.push(switch.told("in_reply", reply).await);
    }
    expect![[r#"
        out_visa stan=000001 conn=t1
        out_visa stan=000001 conn=t1
        nothing
        nothing
        out_response stan=000001 code=0410 conn=t1
        out_response stan=000001 code=0210 conn=t1"#]]
    .assert_eq(&story.join("\n"));
    switch.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_the_exchange_in_the_key_a_reversal_is_refused_and_a_reply_still_has_to_fit() {
    let mut switch = Switch::new(config()).await;
    let mut story = Vec::new();
    for (port, mti) in
        [("in", "0200"), ("in", "0400"), ("in_reply", "0200"), ("in_reply", "0410"), ("in_reply", "0210")]
    {
        let msg = if port == "in" { switch.request(1, "4111") } else { switch.reply(1, mti) };
        story.push(switch.told(port, typed(msg, mti)).await);
    }
    expect![[r#"
        out_visa stan=000001 conn=t1
        invalid key_conflict
        invalid not_a_reply
        invalid not_a_reply
        out_response stan=000001 code=0210 conn=t1"#]]
    .assert_eq(&story.join("\n"));
    switch.stop().await;
}

/// However often a terminal asks again: one lease, that of the first attempt, waits for the answer.
#[tokio::test(start_paused = true)]
async fn a_duplicate_takes_the_place_of_the_first_on_its_lease() {
    let mut switch = Switch::new(config()).await;
    let (ended, end) = mpsc::channel();
    for attempt in 1..=3 {
        let (ended, mut request) = (ended.clone(), switch.request(1, "4111"));
        request.attach_lease(Lease::new(move |how| ended.send((attempt, format!("{how:?}"))).unwrap()));
        switch.told("in", request).await;
        let absorbed = (attempt > 1).then(|| (attempt, "Settled".to_owned()));
        assert_eq!(end.try_recv().ok(), absorbed);
    }
    switch.replied(1, "00").await;
    assert_eq!(end.try_recv(), Ok((1, "Settled".into())));
    switch.stop().await;
}
