//! Makes a conductor from its configuration, or says everything that is wrong with it.

use std::{sync::Arc, time::Duration};

use flux_gear::{Fault, GearContext, Value, storage::Bounds};
use tokio_util::sync::CancellationToken;

use crate::correlation::{Correlation, Normalize};

use super::{
    Conductor, Line, Origins, Ports,
    addresses::Addresses,
    answer::ReturnContext,
    config::{Config, KnownOrigin, Route, ValetConfig},
    desk::Desk,
    destinations::Destinations,
    fingerprint::Fingerprinter,
    matching::Matcher,
    valet::{Settings, Valet},
};

/// Tickets of one kind, at most: what the schema says.
const TICKETS_MAX: u32 = 16_000_000;

pub(super) fn conductor(config: Config, ctx: &GearContext) -> Result<Conductor, Fault> {
    let mut setup =
        Setup { ctx, problems: Vec::new(), destinations: Destinations::default(), lifetimes: Vec::new() };
    setup.bounds(&config);
    let default_ttl = config.valet.default_ttl.0;
    let lines: Vec<Option<Line>> = config.routes.iter().map(|route| setup.line(route, default_ttl)).collect();
    let return_context = ReturnContext::new(config.park_fields, config.reply_keeps);
    let return_context = setup.noted(return_context);
    let Setup { problems, destinations, lifetimes, .. } = setup;
    let (true, Some(return_context)) = (problems.is_empty(), return_context) else {
        return Err(Fault::fatal(problems.join("; ")).reason("config"));
    };
    let settings = Settings {
        lifetimes,
        retention: config.valet.retain_after_close.0,
        open_max: config.in_flight_max as usize,
        retained_max: config.valet.retained_max as usize,
        destinations: destinations.len(),
        hash_seed: ctx.world().entropy.next_u64(),
    };
    Ok(Conductor {
        ports: Ports {
            reply: ctx.input("in_reply")?,
            response: ctx.output("out_response")?,
            error: ctx.output("error")?,
        },
        correlation: Correlation::new(config.correlation_key, Normalize::None),
        fingerprinter: Fingerprinter::new(
            config.fingerprint,
            [(); 2].map(|()| ctx.world().entropy.next_u64()),
        ),
        lines: lines.into_iter().flatten().collect(),
        destinations,
        origins: Origins {
            own: config.origin,
            known: config
                .known_origins
                .into_iter()
                .map(|KnownOrigin(origin)| {
                    ctx.output(&format!("out_response_{origin}")).map(|port| (origin, port))
                })
                .collect::<Result<_, _>>()?,
        },
        return_context,
        desk: Arc::new(Desk::new(Valet::new(settings.clone()))),
        store: config.valet.store,
        bounds: Bounds {
            // Open ones are counted here, and closed ones go when their time is up.
            entries_max: usize::MAX,
            bytes_max: usize::try_from(config.valet.bytes_max.0).unwrap_or(usize::MAX),
        },
        archive: None,
        moved_in: Value::Null,
        addresses: Addresses::new(config.return_by),
        settings,
        outputs: ctx.output_names().to_vec(),
        closing: CancellationToken::new(),
        key: Vec::new(),
        ctx: ctx.clone(),
    })
}

struct Setup<'a> {
    ctx: &'a GearContext,
    problems: Vec<String>,
    destinations: Destinations,
    /// The distinct times to live.
    lifetimes: Vec<Duration>,
}

impl Setup<'_> {
    fn noted<T>(&mut self, result: Result<T, impl ToString>) -> Option<T> {
        result.map_err(|problem| self.problems.push(problem.to_string())).ok()
    }

    fn demand(&mut self, holds: bool, problem: &str) {
        if !holds {
            self.problems.push(problem.into());
        }
    }

    /// What a schema says too, for a configuration that no `check` has seen, and what it cannot say.
    fn bounds(&mut self, config: &Config) {
        let ValetConfig { default_ttl, max_ttl, retained_max, .. } = config.valet;
        self.demand(!config.correlation_key.is_empty(), "`correlation_key` must not be empty");
        self.demand(!config.routes.is_empty(), "`routes` must not be empty");
        self.demand(
            (1..=TICKETS_MAX).contains(&config.in_flight_max),
            "`in_flight_max` is from 1 to 16000000",
        );
        self.demand(retained_max <= TICKETS_MAX, "`valet.retained_max` is at most 16000000");
        self.demand(
            max_ttl.is_none_or(|max| default_ttl <= max),
            "`valet.default_ttl` is longer than `valet.max_ttl`",
        );
        for route in &config.routes {
            let ttl = route.ttl.unwrap_or(default_ttl);
            let (name, max) = (&route.name, max_ttl.unwrap_or(ttl));
            self.demand(!ttl.0.is_zero(), &format!("route `{name}` gives its requests no time at all"));
            self.demand(ttl <= max, &format!("the `ttl` of route `{name}` is longer than `valet.max_ttl`"));
        }
        for origin in config.origin.iter().chain(config.known_origins.iter().map(|known| &known.0)) {
            let fine = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            let is_name = (1..=128).contains(&origin.len()) && origin.bytes().all(fine);
            self.demand(
                is_name,
                &format!("the origin {origin:?} is not a name of letters, digits, `-` and `_`"),
            );
        }
    }

    fn line(&mut self, route: &Route, default_ttl: Duration) -> Option<Line> {
        let of_route = |problem: &dyn ToString| format!("route `{}`: {}", route.name, problem.to_string());
        let test =
            route.test.as_ref().map(|test| Matcher::new(test).map_err(|why| of_route(&why))).transpose();
        let test = self.noted(test);
        let tree = self.destinations.tree(&route.destination, self.ctx).map_err(|why| of_route(&why));
        let tree = self.noted(tree);
        let lifetime = self.lifetime(route.ttl.map_or(default_ttl, |ttl| ttl.0));
        Some(Line { name: route.name.clone(), test: test?, tree: tree?, lifetime: lifetime? })
    }

    /// The number of a time to live.
    fn lifetime(&mut self, ttl: Duration) -> Option<u16> {
        let at = self.lifetimes.iter().position(|known| *known == ttl).unwrap_or_else(|| {
            self.lifetimes.push(ttl);
            self.lifetimes.len() - 1
        });
        // Closed tickets have a queue too, and tickets of times that were.
        let number = u16::try_from(at).ok().filter(|number| *number < u16::MAX / 2);
        self.noted(number.ok_or("too many different times to live"))
    }
}
