//! The example switch with tickets on disk, killed and started again: what a scheme was asked, it can answer.

use std::collections::BTreeSet;

use crate::{
    line::{answer, request},
    switch::Switch,
};

const DURABLE: &str = "valet: {store: local_durable, default_ttl: 60s, retain_after_close: 60s}
      return_by: [data.iso8583.field.41]";

impl Switch {
    /// Ends the rack as a crash would, and starts it again.
    fn is_killed_and_starts_again(&mut self) {
        self.rack.signal("KILL");
        self.starts_again();
    }
}

#[test]
fn a_late_reply_finds_its_terminal_after_a_kill() {
    let mut switch = Switch::start(DURABLE);
    let mut terminal = switch.terminal();
    terminal.say(&request("000001"));
    switch.visa.hears(&request("000001"));
    switch.is_killed_and_starts_again();
    // It connects again and goes on with its work; by that the switch knows it.
    let mut terminal = switch.terminal();
    terminal.say(&request("000002"));
    switch.visa.hears(&request("000002"));
    for trace in ["000001", "000002"] {
        switch.visa.say(&answer(trace));
        terminal.hears(&answer(trace));
    }
    switch.visa.say(&answer("000001"));
    switch.refuses("000001", "unmatched_reply");
}

#[test]
fn a_repeat_after_a_kill_is_no_second_request() {
    let mut switch = Switch::start(DURABLE);
    let mut terminal = switch.terminal();
    for trace in ["000001", "000002"] {
        terminal.say(&request(trace));
        switch.visa.hears(&request(trace));
    }
    switch.visa.say(&answer("000002"));
    terminal.hears(&answer("000002"));
    switch.is_killed_and_starts_again();
    let mut terminal = switch.terminal();
    terminal.say(&request("000002"));
    terminal.hears(&answer("000002"));
    for trace in ["000001", "000003"] {
        terminal.say(&request(trace));
    }
    // The scheme hears of the third next.
    switch.visa.hears(&request("000003"));
    switch.visa.say(&answer("000001"));
    terminal.hears(&answer("000001"));
}

#[test]
fn a_request_without_an_answer_times_out_once_whoever_is_killed_meanwhile() {
    let mut switch = Switch::start("valet: {store: local_durable, default_ttl: 2s}");
    let mut terminal = switch.terminal();
    terminal.say(&request("000001"));
    switch.visa.hears(&request("000001"));
    switch.is_killed_and_starts_again();
    switch.refuses("000001", "timeout");
    switch.rack.end_input();
    switch.starts_again();
    switch.rack.end_input();
    switch.rack.wait();
    assert!(!switch.rack.printed.contains("reason=timeout"), "{}", switch.rack.printed);
}

const KILLS: usize = 5;
const REQUESTS: usize = 200;

/// Killed with requests in every place they can be in: whatever the scheme has heard of, its answer arrives.
#[test]
fn what_a_scheme_was_asked_it_can_answer_after_any_kill() {
    let mut switch = Switch::start(DURABLE);
    let trace = |kill: usize, number: usize| format!("{:06}", kill * 1_000 + number);
    for kill in 0..KILLS {
        let mut terminal = switch.terminal();
        for number in 0..REQUESTS {
            terminal.say(&request(&trace(kill, number)));
        }
        let mut heard = BTreeSet::new();
        let hears = |heard: &mut BTreeSet<String>, message: serde_json::Value| {
            heard.insert(message["fields"]["11"].as_str().unwrap().to_owned());
        };
        // In the middle of them, at another place each time.
        for _ in 0..kill * 37 + 1 {
            hears(&mut heard, switch.visa.next().unwrap());
        }
        switch.rack.signal("KILL");
        while let Some(message) = switch.visa.next() {
            hears(&mut heard, message);
        }
        switch.starts_again();
        let mut terminal = switch.terminal();
        let known = trace(kill, REQUESTS);
        terminal.say(&request(&known));
        switch.visa.hears(&request(&known));
        heard.insert(known);
        for trace in &heard {
            switch.visa.say(&answer(trace));
        }
        for trace in &heard {
            terminal.hears(&answer(trace));
        }
    }
}
