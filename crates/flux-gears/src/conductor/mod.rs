//! The payment switch: routes requests to destinations, and answers each with its own reply.
//!
//! ```text
//!   in ───────> route ─> key ─> choose ─> park ──────> out_<destination>
//!                          └─ known: absorb, or replay ─┐
//!   in_reply ─> key ─> redeem ─> answer ────────────────┴> out_response, out_response_<origin>
//!   the clock ─────────> expire ─────────────────────────> error
//! ```

mod addresses;
mod answer;
mod archive;
mod config;
mod desk;
mod destinations;
mod estate;
mod exchange;
mod fingerprint;
mod matching;
mod setup;
mod valet;

use std::{sync::Arc, time::Duration};

use flux_gear::{
    Category, Descriptor, Drain, Emitter, Fault, FluxMsg, Gear, GearContext, Held, InPort, Legacy, OutPort,
    Outbox, Parcel, Saved, Step, Terminus, Value, storage::Bounds,
};

use crate::{correlation::Correlation, departures::Gate, expiry::Teller};
use addresses::Addresses;
use answer::{ORIGIN, ReturnContext};
use archive::{Archive, Timeouts};
use desk::{Desk, Exit, Outcome, Parked};
use destinations::{Destinations, Tree};
use exchange::Part;
use fingerprint::Fingerprinter;
use matching::Matcher;
use tokio_util::sync::CancellationToken;
use valet::{Redeemed, Settings, Standing};

pub use config::{Config, Destination, Group, KnownOrigin, Match, Route, Store, ValetConfig};

/// The payment switch.
///
/// A request is *parked* under the values it has in common with its reply and sent to a destination that is up; the
/// reply is returned to whoever asked. A request without a reply leaves at `error` when its time is up.
pub struct Conductor {
    ctx: GearContext,
    ports: Ports,
    correlation: Correlation,
    fingerprinter: Fingerprinter,
    lines: Vec<Line>,
    destinations: Destinations,
    origins: Origins,
    return_context: ReturnContext,
    desk: Arc<Desk>,
    store: Store,
    bounds: Bounds,
    /// Tickets on disk, if they are to be there; from `start` on.
    archive: Option<Arc<Archive>>,
    /// Where those who asked are now, if anything tells.
    addresses: Option<Addresses>,
    /// What the valet is set up with, for an heir and for what is left when everything was.
    settings: Settings,
    /// The output ports, by place.
    outputs: Vec<String>,
    /// The tickets that another process had in memory, until `start`.
    moved_in: Value,
    /// Ends what this gear started.
    closing: CancellationToken,
    /// The key of the message in hand; a field so that its buffer is reused.
    key: Vec<u8>,
}

struct Ports {
    reply: InPort,
    response: OutPort,
    error: OutPort,
}

/// A compiled route.
struct Line {
    name: String,
    test: Option<Matcher>,
    tree: Tree,
    /// The valet's number for its time to live.
    lifetime: u16,
}

/// Whose messages pass through here.
struct Origins {
    own: Option<String>,
    /// The others, and where their messages leave.
    known: Vec<(String, OutPort)>,
}

impl Gear for Conductor {
    const KIND: &'static str = "conductor";
    type Config = Config;

    fn descriptor() -> Descriptor {
        Descriptor::new(
            Category::Logic,
            "routes requests to destinations and answers each with its own reply",
        )
        .terminus(Terminus::Opaque)
        .input("in", "requests")
        .input("in_reply", "replies from the destinations")
        .output_and_source("out_response", "answers to the requests")
        .output_and_source(
            "error",
            "requests and replies that cannot be dealt with, and requests that timed out",
        )
    }

    fn init(config: Config, ctx: &GearContext) -> Result<Conductor, Fault> {
        setup::conductor(config, ctx)
    }

    async fn start(&mut self, emit: Emitter) -> Result<(), Fault> {
        for destination in self.destinations.unbound() {
            tracing::info!(
                gear = self.ctx.name(),
                destination,
                "no single I/O gear of this rack answers there: it counts as always up"
            );
        }
        if self.correlation.mixes_exchanges() {
            tracing::warn!(
                gear = self.ctx.name(),
                "the correlation_key lacks data.iso8583.exchange: a reversal with the values of its original is refused"
            );
        }
        self.settle_in().await?;
        let (gear, clock, error) = (self.ctx.name().to_owned(), self.ctx.world().clock, self.ports.error);
        let gate = Gate { emit: emit.clone(), error, gear: gear.clone() };
        self.ctx.spawn(self.desk.departures.clone().run(gate, self.closing.clone()));
        match &self.archive {
            Some(archive) => {
                let (desk, table) = (self.desk.clone(), archive.table.clone());
                let judge = Arc::new(Timeouts { desk, table: table.clone(), clock, gear: gear.clone() });
                let teller = Teller { emit, port: error, gear, clock, judge };
                self.ctx.spawn(archive.expiry.clone().run(table, teller, self.closing.clone()));
            }
            None => {
                let exit = Exit { error, gear };
                self.ctx.spawn(self.desk.clone().watch_clock(clock, exit, self.closing.clone()));
            }
        }
        Ok(())
    }

    fn process(&mut self, port: InPort, msg: &FluxMsg, out: &mut Outbox) -> Result<Step, Fault> {
        if port == self.ports.reply {
            self.reply(msg, out)?
        } else {
            self.request(msg, out)?
        }
        Ok(Step::Done)
    }

    fn drain(&mut self) -> Drain {
        let (desk, archive) = (self.desk.clone().drain(), self.archive.clone());
        Box::pin(async move {
            desk.await;
            if let Some(archive) = archive {
                archive.expiry.idle().await;
            }
        })
    }

    fn hand_over(&mut self) -> Option<Legacy> {
        Some(Box::new(self.leave()))
    }

    fn pause(&mut self, _: Duration) -> Drain {
        let (desk, archive) = (self.desk.clone(), self.archive.clone());
        Box::pin(async move {
            desk.departures.idle().await;
            if let Some(archive) = archive {
                archive.expiry.idle().await;
            }
        })
    }

    async fn move_out(self) -> Parcel {
        self.pack()
    }

    fn move_in(&mut self, parcel: Parcel) -> Result<(), Fault> {
        self.moved_in = parcel.state;
        Ok(())
    }

    fn take_over(&mut self, legacy: Legacy) -> Option<Legacy> {
        self.inherit(legacy)
    }

    async fn stop(self) {
        let in_hand = self.desk.in_hand();
        self.ctx.discarded("not_safe_yet", self.desk.departures.in_hand() as u64);
        if in_hand > 0 {
            tracing::warn!(gear = self.ctx.name(), in_hand, "stopped before all requests were answered");
        }
    }
}

impl Conductor {
    fn request(&mut self, request: &FluxMsg, out: &mut Outbox) -> Result<(), Fault> {
        let takes = |line: &&mut Line| line.test.as_ref().is_none_or(|test| test.holds(request));
        let Some(line) = self.lines.iter_mut().find(takes) else {
            return Err(Fault::invalid("no route takes the request").reason("no_route"));
        };
        let part = Part::of(request);
        if let Part::Response(_) = part {
            return Err(Fault::invalid("a response came in place of a request").reason("not_a_request"));
        }
        if let Some(addresses) = &mut self.addresses {
            addresses.note(request);
        }
        let exchange = part.exchange();
        self.correlation.write(request, &mut self.key)?;
        let fingerprint = self.fingerprinter.of(request, exchange);
        let now = self.ctx.world().clock.now();
        let mut counter = self.desk.counter();
        match counter.valet.standing(&self.key, now) {
            Standing::Absent => {}
            Standing::Open(parked) if parked.fingerprint != fingerprint => return Err(key_conflict()),
            Standing::Closed(outcome) if outcome.fingerprint != fingerprint => return Err(key_conflict()),
            Standing::Open(parked) => {
                if let Some(archive) = &self.archive {
                    archive.replace(&self.key, (request, fingerprint))?;
                }
                parked.request.becomes(unleased(request));
                drop(counter);
                tracing::debug!(gear = self.ctx.name(), id = %request.id, "duplicate of an open request absorbed");
                return Ok(());
            }
            Standing::Closed(outcome) => {
                let reply = outcome.reply.clone();
                drop(counter);
                tracing::debug!(gear = self.ctx.name(), id = %request.id, "retained outcome replayed");
                self.answer(reply, request.clone(), Saved::already(), out);
                return Ok(());
            }
        }
        if counter.is_draining {
            return Err(Fault::invalid("the conductor is draining").reason("draining"));
        }
        if counter.valet.is_full() {
            return Err(Fault::invalid("too many requests in flight").reason("overloaded"));
        }
        let in_flight = counter.valet.in_flight();
        let is_up = |number| self.destinations.get(number).is_up();
        let load = |number: u16| in_flight[usize::from(number)];
        let Some(chosen) = line.tree.choose(&is_up, &load) else {
            let why = format!("no destination of route `{}` is up", line.name);
            return Err(Fault::invalid(why).reason("no_destination"));
        };
        let saved = match &self.archive {
            Some(archive) => {
                let (name, ends_at) = (self.destinations.name(chosen), counter.valet.end(line.lifetime, now));
                archive.open(&self.key, (request, fingerprint), name, ends_at)?
            }
            None => Saved::already(),
        };
        let parked = Parked { request: Held::new(request.clone()), exchange, fingerprint };
        counter.valet.park(&self.key, parked, line.lifetime, chosen, now);
        self.desk.leave(counter);
        self.send_out(request, self.destinations.get(chosen).port, saved, out);
        Ok(())
    }

    fn send_out(&self, request: &FluxMsg, port: OutPort, saved: Saved, out: &mut Outbox) {
        let is_as_it_is = self.origins.own.is_none() && self.return_context.strips_nothing();
        if self.archive.is_none() && is_as_it_is && !request.is_patient() {
            return out.forward(port);
        }
        let mut outbound = request.clone();
        // Whoever asks is told in time that there is no answer: what is late must not be asked any more.
        outbound.hurry();
        self.return_context.strip(&mut outbound);
        if let Some(own) = &self.origins.own {
            outbound.metadata.set(ORIGIN, own.as_str());
        }
        self.let_go(saved, port, outbound, out);
    }

    /// Emits a message once what it says is safe, behind those that wait for that.
    fn let_go(&self, saved: Saved, port: OutPort, msg: FluxMsg, out: &mut Outbox) {
        match &self.archive {
            Some(_) => self.desk.departures.push(saved, port, msg),
            None => out.emit(port, msg),
        }
    }

    fn reply(&mut self, reply: &FluxMsg, out: &mut Outbox) -> Result<(), Fault> {
        if let Some(elsewhere) = self.origins.elsewhere(reply)? {
            out.forward(elsewhere);
            return Ok(());
        }
        let part = Part::of(reply);
        if let Part::Request(_) = part {
            return Err(Fault::invalid("a request came in place of a reply").reason("not_a_reply"));
        }
        self.correlation.write(reply, &mut self.key)?;
        // Who says nothing of the exchange may answer any.
        let may_answer = |request: &Parked| {
            part.exchange().zip(request.exchange).is_none_or(|(reply, request)| reply == request)
        };
        let now = self.ctx.world().clock.now();
        let mut counter = self.desk.counter();
        // First on disk: where that fails, nothing has happened.
        let saved = match (&self.archive, counter.valet.standing(&self.key, now)) {
            (Some(archive), Standing::Open(parked)) if may_answer(parked) => {
                archive.close(&self.key, (reply, parked.fingerprint), self.settings.retention)?
            }
            _ => Saved::already(),
        };
        let redeemed = counter.valet.redeem(&self.key, now, may_answer, |parked| Outcome {
            reply: unleased(reply),
            fingerprint: parked.fingerprint,
        });
        self.desk.leave(counter);
        let (why, reason) = match redeemed {
            Redeemed::Request(parked) => {
                self.answer(reply.clone(), parked.request.release(), saved, out);
                return Ok(());
            }
            Redeemed::Again => ("the request was answered before", "unmatched_reply"),
            Redeemed::Unmatched => ("no open request has this key", "unmatched_reply"),
            Redeemed::Unfit => ("its message type does not answer that of the request", "not_a_reply"),
        };
        Err(Fault::invalid(why).reason(reason))
    }

    fn answer(&mut self, reply: FluxMsg, mut request: FluxMsg, saved: Saved, out: &mut Outbox) {
        if let Some(addresses) = &mut self.addresses {
            addresses.redirect(&mut request, self.ctx.control());
        }
        let port = self.origins.exit_of(&request).unwrap_or(self.ports.response);
        self.let_go(saved, port, self.return_context.answer(reply, request), out);
    }
}

fn key_conflict() -> Fault {
    Fault::invalid("another request has this key").reason("key_conflict")
}

/// What is kept of a message whose own lease ends now: a reply once it is on its way, a duplicate for which the lease
/// of its first attempt stands.
fn unleased(msg: &FluxMsg) -> FluxMsg {
    let mut msg = msg.clone();
    drop(msg.take_lease());
    msg
}

impl Origins {
    /// Where a reply leaves that belongs to another conductor. Without any name of conductors nobody is asked.
    fn elsewhere(&self, reply: &FluxMsg) -> Result<Option<OutPort>, Fault> {
        if self.own.is_none() && self.known.is_empty() {
            return Ok(None);
        }
        let Some(stamp) = reply.metadata.get(ORIGIN) else { return Ok(None) };
        if self.own.as_deref() == Some(stamp) {
            return Ok(None);
        }
        match self.exit(stamp) {
            Some(port) => Ok(Some(port)),
            None => {
                Err(Fault::invalid("the reply belongs to a conductor unknown here").reason("invalid_origin"))
            }
        }
    }

    /// Where the answer to a request leaves that another conductor stamped.
    fn exit_of(&self, request: &FluxMsg) -> Option<OutPort> {
        if self.known.is_empty() { None } else { self.exit(request.metadata.get(ORIGIN)?) }
    }

    fn exit(&self, origin: &str) -> Option<OutPort> {
        self.known.iter().find(|(known, _)| known == origin).map(|(_, port)| *port)
    }
}

#[cfg(test)]
mod tests;
