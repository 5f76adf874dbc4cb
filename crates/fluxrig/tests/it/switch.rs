//! The example switch between terminals and schemes that the test plays, one message at a time: what becomes of each
//! request.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::{
    example::example,
    line::{Line, answer, bytes_of, framed, request},
    process::{Running, fluxrig},
};

/// A request of the terminal goes to the scheme, and its answer comes back.
#[track_caller]
fn serves(terminal: &mut Line, scheme: &mut Line, trace: &str) {
    terminal.say(&request(trace));
    scheme.hears(&request(trace));
    scheme.say(&answer(trace));
    terminal.hears(&answer(trace));
}

/// The rack, and its connections to the two schemes.
pub(crate) struct Switch {
    pub(crate) rack: Running,
    terminals: String,
    pub(crate) visa: Line,
    pub(crate) mc: Line,
    listeners: [Option<TcpListener>; 2],
    scenario: PathBuf,
    directory: TempDir,
}

impl Switch {
    /// Runs the example with `conductor` in place of what it says of waiting.
    pub(crate) fn start(conductor: &str) -> Switch {
        Switch::start_with(conductor, |text| text)
    }

    /// The same, with another change to the text.
    fn start_with(conductor: &str, edit: impl Fn(String) -> String) -> Switch {
        let listeners = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = [0, 1].map(|at: usize| listeners[at].local_addr().unwrap().to_string());
        let (directory, scenario) = example(&addresses[0], &addresses[1], |text| {
            let waiting = "valet: {default_ttl: 2s}";
            assert!(text.contains(waiting), "the example has changed");
            edit(text.replace(waiting, conductor).replace("reconnect_wait: 250ms", "reconnect_wait: 5ms"))
        });
        let (mut rack, terminals) = run(&scenario, &directory);
        let [visa, mc] = [0, 1].map(|at: usize| Line::over(listeners[at].accept().unwrap().0));
        rack.wait_until_connected(&["visa", "mc"]);
        Switch { rack, terminals, visa, mc, listeners: listeners.map(Some), scenario, directory }
    }

    /// Waits for the end of the rack and starts it again, with the state that it left.
    pub(crate) fn starts_again(&mut self) {
        self.rack.wait();
        (self.rack, self.terminals) = run(&self.scenario, &self.directory);
        let line = |at: usize| Line::over(self.listeners[at].as_ref().unwrap().accept().unwrap().0);
        (self.visa, self.mc) = (line(0), line(1));
        self.rack.wait_until_connected(&["visa", "mc"]);
    }

    /// Has another process take over, and waits for the end of the one before.
    pub(crate) fn is_taken_over(&mut self) {
        let state = self.directory.path().join("state");
        let words = ["--state-dir", state.to_str().unwrap(), "--take-over"];
        let (next, _) = Running::rack_with(&self.scenario, "info", &words);
        let mut before = std::mem::replace(&mut self.rack, next);
        assert_eq!(before.wait().code(), Some(0), "{}", before.printed);
    }

    /// Has a version with other text go live in the running rack.
    pub(crate) fn becomes(&self, edit: impl Fn(String) -> String) {
        let text = fs::read_to_string(&self.scenario).unwrap();
        fs::write(&self.scenario, edit(text)).unwrap();
        let state = self.directory.path().join("state");
        fluxrig(&["reload", "--state-dir", state.to_str().unwrap()]).assert().success();
    }

    pub(crate) fn terminal(&self) -> Line {
        Line::connect(&self.terminals)
    }

    /// Waits until the rack says this of a gear.
    pub(crate) fn wait_for(&mut self, gear: &str, message: &str) -> Json {
        self.rack.wait_for(|line| {
            let event: Json = serde_json::from_str(line).ok()?;
            (event["gear"] == gear && event["message"] == message).then_some(event)
        })
    }

    /// Expects that the next message at the conductor's error port is this one, and there for this reason.
    #[track_caller]
    pub(crate) fn refuses(&mut self, trace: &str, reason: &str) {
        let event = self.wait_for("unanswered", "message");
        let expected = format!(
            "meta.error.reason={reason} data.iso8583.field.11={trace} data.iso8583.field.41=TERM0001"
        );
        assert_eq!(event["fields"], expected);
    }
}

fn run(scenario: &Path, directory: &TempDir) -> (Running, String) {
    let state = directory.path().join("state");
    Running::rack_with(scenario, "info", &["--state-dir", state.to_str().unwrap()])
}

#[test]
fn a_scheme_that_goes_is_replaced_and_gets_its_requests_again_when_it_is_back() {
    let mut switch = Switch::start("valet: {default_ttl: 60s}");
    let mut terminal = switch.terminal();
    serves(&mut terminal, &mut switch.visa, "000001");

    let visa = switch.listeners[0].take().unwrap().local_addr().unwrap();
    switch.visa.0.shutdown(std::net::Shutdown::Both).unwrap();
    switch.wait_for("visa", "disconnected");
    serves(&mut terminal, &mut switch.mc, "000002");

    switch.listeners[1] = None;
    switch.mc.0.shutdown(std::net::Shutdown::Both).unwrap();
    switch.wait_for("mc", "disconnected");
    terminal.say(&request("000003"));
    switch.refuses("000003", "no_destination");

    let listener = TcpListener::bind(visa).unwrap();
    switch.visa = Line::over(listener.accept().unwrap().0);
    switch.wait_for("visa", "connected");
    serves(&mut terminal, &mut switch.visa, "000004");
}

#[test]
fn a_request_without_an_answer_times_out_and_its_late_answer_reaches_nobody() {
    let mut switch = Switch::start("valet: {default_ttl: 500ms}");
    let mut terminal = switch.terminal();
    terminal.say(&request("000001"));
    switch.visa.hears(&request("000001"));
    switch.refuses("000001", "timeout");
    switch.visa.say(&answer("000001"));
    switch.refuses("000001", "unmatched_reply");
    // It may be tried again, and this time the answer comes in time.
    serves(&mut terminal, &mut switch.visa, "000001");
}

#[test]
fn a_duplicate_is_absorbed_while_its_first_is_open() {
    let mut switch = Switch::start("valet: {default_ttl: 60s}");
    let mut terminal = switch.terminal();
    terminal.say(&request("000001"));
    terminal.say(&request("000001"));
    terminal.say(&request("000002"));
    for trace in ["000001", "000002"] {
        switch.visa.hears(&request(trace));
    }
    for trace in ["000002", "000001"] {
        switch.visa.say(&answer(trace));
        terminal.hears(&answer(trace));
    }
    // One answer serves both: what comes next belongs to the next request.
    serves(&mut terminal, &mut switch.visa, "000003");
}

#[test]
fn a_reversal_is_not_taken_for_its_original() {
    let mut switch = Switch::start("valet: {default_ttl: 60s}");
    let mut terminal = switch.terminal();
    let of_type = |mut message: Json, mti: &str| {
        message["mti"] = mti.into();
        message
    };
    terminal.say(&request("000001"));
    switch.visa.hears(&request("000001"));
    // While the original is open, and after it was answered; a repeat of it is the same reversal.
    for mti in ["0400", "0401"] {
        terminal.say(&of_type(request("000001"), mti));
    }
    switch.visa.hears(&of_type(request("000001"), "0400"));
    for mti in ["0410", "0210"] {
        switch.visa.say(&of_type(answer("000001"), mti));
        terminal.hears(&of_type(answer("000001"), mti));
    }
    terminal.say(&of_type(request("000001"), "0400"));
    terminal.hears(&of_type(answer("000001"), "0410"));
}

#[test]
fn the_answer_goes_to_whoever_asked_last() {
    let mut switch = Switch::start("valet: {default_ttl: 60s}");
    let mut terminal = switch.terminal();
    terminal.say(&request("000001"));
    switch.visa.hears(&request("000001"));
    drop(terminal);
    switch.wait_for("term", "disconnected");
    let mut terminal = switch.terminal();
    terminal.say(&request("000001"));
    // It has come this far when what was said after it has.
    terminal.say(&request("000002"));
    switch.visa.hears(&request("000002"));
    switch.visa.say(&answer("000001"));
    terminal.hears(&answer("000001"));
}

#[test]
fn nobody_gets_the_answer_to_another_card() {
    let mut switch = Switch::start("valet: {default_ttl: 60s, retain_after_close: 60s}");
    let [mut first, mut second] = [switch.terminal(), switch.terminal()];
    let mut other = request("000001");
    other["fields"]["2"] = "4000000000000002".into();
    first.say(&request("000001"));
    switch.visa.hears(&request("000001"));
    second.say(&other);
    switch.refuses("000001", "key_conflict");
    switch.visa.say(&answer("000001"));
    first.hears(&answer("000001"));
    second.say(&other);
    switch.refuses("000001", "key_conflict");
}

#[test]
fn a_terminal_cannot_answer() {
    let mut switch = Switch::start("valet: {default_ttl: 60s}");
    let mut terminal = switch.terminal();
    terminal.say(&answer("000001"));
    switch.refuses("000001", "not_a_request");
}

#[test]
fn a_terminal_that_does_not_read_is_disconnected_and_delays_nobody() {
    let mut switch = Switch::start_with("valet: {default_ttl: 60s, retain_after_close: 60s}", |text| {
        text.replace("idle_timeout: 60s}", "idle_timeout: 60s, write_timeout: 60s, max_queued_messages: 16}")
    });
    let mut terminal = switch.terminal();
    serves(&mut terminal, &mut switch.visa, "000001");
    // The same answer again and again, until no buffer between here and the rack has room for it.
    let mut deaf = switch.terminal();
    deaf.says_until_it_is_cut_off(&request("000001"));
    terminal.say(&request("000001"));
    terminal.hears(&answer("000001"));
}

#[test]
fn an_echo_is_no_answer() {
    let mut switch = Switch::start("valet: {default_ttl: 60s}");
    let mut terminal = switch.terminal();
    terminal.say(&request("000001"));
    switch.visa.hears(&request("000001"));
    switch.visa.say(&request("000001"));
    switch.refuses("000001", "not_a_reply");
    switch.visa.say(&answer("000001"));
    terminal.hears(&answer("000001"));
}

/// More than there is room for among the dead letters of a rack.
const BAD_MESSAGES: usize = 11_000;

#[test]
fn one_terminal_that_sends_rubbish_does_not_stop_the_others() {
    let mut switch = Switch::start("valet: {default_ttl: 60s}");
    let mut vandal = switch.terminal();
    // It looks like a message, until it is over and there is more.
    let bad = [&bytes_of(&request("000009"))[..], b"more"].concat();
    vandal.0.write_all(&framed(&bad).repeat(BAD_MESSAGES)).unwrap();
    let refused = switch.wait_for("refused", "message");
    let fields = refused["fields"].as_str().unwrap();
    assert!(
        fields.starts_with("meta.error.gear=dec_term meta.error.reason=bad_message meta.conn.id=term:"),
        "{fields}"
    );
    // The connection is read in order: when this request is through, so is the rubbish.
    vandal.say(&request("000001"));
    switch.visa.hears(&request("000001"));
    let mut terminal = switch.terminal();
    serves(&mut terminal, &mut switch.visa, "000002");
}

#[test]
fn an_answer_to_a_terminal_that_is_gone_is_named_in_the_log() {
    let mut switch = Switch::start("valet: {default_ttl: 60s}");
    let mut terminal = switch.terminal();
    terminal.say(&request("000001"));
    switch.visa.hears(&request("000001"));
    drop(terminal);
    switch.wait_for("term", "disconnected");
    switch.visa.say(&answer("000001"));
    let refused = switch.wait_for("refused", "message");
    let fields = refused["fields"].as_str().unwrap();
    assert!(fields.starts_with("meta.error.gear=term meta.error.reason=no_connection"), "{fields}");
}

#[test]
fn an_outcome_that_is_retained_is_replayed_to_whoever_asks_again() {
    let mut switch = Switch::start("valet: {default_ttl: 60s, retain_after_close: 60s}");
    let mut terminal = switch.terminal();
    serves(&mut terminal, &mut switch.visa, "000001");
    // The terminal lost its connection and did not see the answer, say.
    drop(terminal);
    let mut terminal = switch.terminal();
    terminal.say(&request("000001"));
    terminal.hears(&answer("000001"));
    // The scheme was not asked again.
    terminal.say(&request("000002"));
    switch.visa.hears(&request("000002"));
}

#[test]
fn what_is_in_flight_is_answered_by_the_version_that_took_over() {
    for store in ["memory", "local_durable"] {
        let mut switch = Switch::start(&format!("valet: {{default_ttl: 60s, store: {store}}}"));
        let mut terminal = switch.terminal();
        for trace in ["000001", "000002"] {
            terminal.say(&request(trace));
            switch.visa.hears(&request(trace));
        }
        switch.visa.say(&answer("000002"));
        terminal.hears(&answer("000002"));
        switch.becomes(|text| {
            text.replace("default_ttl: 60s", "default_ttl: 50s").replace("visa, mc", "mc, visa")
        });
        // The repeat of an open request is absorbed, that of a closed one answered, and a new one goes out.
        for trace in ["000001", "000002", "000003"] {
            terminal.say(&request(trace));
        }
        terminal.hears(&answer("000002"));
        switch.mc.hears(&request("000003"));
        switch.visa.say(&answer("000001"));
        terminal.hears(&answer("000001"));
    }
}

#[test]
fn requests_in_flight_are_bounded() {
    let mut switch = Switch::start("valet: {default_ttl: 60s}\n      in_flight_max: 2");
    let mut terminal = switch.terminal();
    for trace in ["000001", "000002", "000003"] {
        terminal.say(&request(trace));
    }
    switch.refuses("000003", "overloaded");
    for trace in ["000001", "000002"] {
        switch.visa.hears(&request(trace));
    }
    switch.visa.say(&answer("000001"));
    terminal.hears(&answer("000001"));
    // There is room again for one.
    terminal.say(&request("000004"));
    switch.visa.hears(&request("000004"));
}

#[test]
fn without_a_wire_at_the_error_port_the_dead_letters_say_why_they_are_there() {
    let mut switch = Switch::start_with("valet: {default_ttl: 300ms}", |text| {
        let wire = "- {from: switch.error, to: unanswered.in}";
        assert!(text.contains(wire), "the example has changed");
        text.replace(wire, "")
    });
    let mut terminal = switch.terminal();
    terminal.say(&request("000001"));
    switch.visa.hears(&request("000001"));
    // Draining waits for the end of the request, which is a timeout.
    switch.rack.signal("TERM");
    let event = switch.rack.wait_for(|line| {
        let event: Json = serde_json::from_str(line).ok()?;
        event["message"].as_str()?.starts_with("dead letter").then_some(event)
    });
    assert_eq!((&event["gear"], &event["reason"]), (&json!("switch"), &json!("timeout")));
    // It has a state directory, so the letter outlives it.
    switch.rack.wait_for(|line| line.contains("1 messages on dead-letters").then_some(()));
    assert_eq!(switch.rack.wait().code(), Some(0));
}
