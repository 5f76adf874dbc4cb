//! Functions that ask the world: time, chance, variables, files. What the host does not allow is refused.

use std::sync::PoisonError;

use crate::host::{Refusal, beside};
use crate::library::{Accepts, Call, Cell, Default, Param, Spec, Touches};
use crate::node::Argument;
use crate::run::{Failure, Outcome, fail};
use crate::{Value, moment};

pub(crate) const FUNCTIONS: &[Spec] = &[
    asking("env", &[Param::text("name"), Param::bool("no_cache").or(Default::Bool(false))], env),
    asking("file", FILE, |call| file(call, false)),
    asking("file_rel", FILE, |call| file(call, true)),
    asking("hostname", &[], |call| answer(call.runner.program.host.hostname().map(Value::from))),
    asking("now", &[], |call| {
        let host = &call.runner.program.host;
        Ok(Value::from(moment::rfc3339(&host.now().to_zoned(host.time_zone()))))
    }),
    asking("timestamp_unix", &[], |call| Ok(Value::Int(call.runner.program.host.now().as_second()))),
    asking("timestamp_unix_milli", &[], |call| {
        Ok(Value::Int(call.runner.program.host.now().as_millisecond()))
    }),
    asking("timestamp_unix_micro", &[], |call| {
        Ok(Value::Int(call.runner.program.host.now().as_microsecond()))
    }),
    asking("timestamp_unix_nano", &[], |call| {
        Ok(Value::whole(call.runner.program.host.now().as_nanosecond()))
    }),
    Spec::function(
        "random_int",
        &[
            Param::new("seed", Accepts::Lazy).optional(),
            Param::int("min").or(Default::Int(0)),
            Param::int("max").or(Default::Int(i64::MAX - 1)),
        ],
        random_int,
    ),
];

const FILE: &[Param] = &[Param::text("path"), Param::bool("no_cache").or(Default::Bool(false))];

const fn asking(name: &'static str, params: &'static [Param], run: fn(&mut Call) -> Outcome) -> Spec {
    Spec::function(name, params, run).touching(Touches::World)
}

fn answer(answer: Result<Value, Refusal>) -> Outcome {
    answer.map_err(|refusal| Failure::new(refusal.to_string()))
}

/// An answer that is kept, if what was asked never changes and `no_cache` is not set.
fn kept(call: &mut Call, ask: impl FnOnce(&mut Call) -> Outcome) -> Outcome {
    let is_kept = matches!(call.site.arguments.first(), Some(Argument::Constant(_))) && !call.flag(1);
    if is_kept && let Some(Cell::Value(value)) = &*call.cell() {
        return Ok(value.clone());
    }
    let value = ask(call)?;
    if is_kept {
        *call.cell() = Some(Cell::Value(value.clone()));
    }
    Ok(value)
}

fn env(call: &mut Call) -> Outcome {
    kept(call, |call| {
        let variable = call.runner.program.host.variable(call.text(0)?);
        answer(variable.map(|value| value.map_or(Value::Null, Value::from)))
    })
}

fn file(call: &mut Call, is_relative: bool) -> Outcome {
    kept(call, |call| {
        let path = call.text(0)?;
        let path = if is_relative { beside(&call.runner.body.directory, path) } else { path.into() };
        answer(call.runner.program.host.file(&path, call.runner.bytes_left()).map(Value::from))
    })
}

/// A generator for which a seed is enough: the next state is this one and a constant, mixed on the way out.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn random_int(call: &mut Call) -> Outcome {
    let (min, max) = (call.int(1)?, call.int(2)?);
    if min < 0 || max < min || max == i64::MAX {
        fail!("`min` must not be negative, nor `max` less than it, nor the greatest integer");
    }
    let is_seeded = call.cell().is_some();
    let seed = match (is_seeded, call.has(0)) {
        (true, _) => 0,
        (false, true) => match call.lazy(0)?.as_ref().and_then(Value::as_int) {
            Some(seed) => seed as u64,
            None => fail!("the argument `seed` must be an integer"),
        },
        (false, false) => u64::from_le_bytes(random(call)),
    };
    let mut cell = call.site.cell.lock().unwrap_or_else(PoisonError::into_inner);
    let state = match cell.get_or_insert(Cell::Random(seed)) {
        Cell::Random(state) => state,
        _ => fail!("the generator was lost"),
    };
    let count = (max - min) as u64 + 1;
    let drawn = (u128::from(next(state)) * u128::from(count)) >> 64;
    Ok(Value::Int(min + drawn as i64))
}

/// Chance from the host.
pub(crate) fn random<const N: usize>(call: &Call) -> [u8; N] {
    let mut bytes = [0; N];
    call.runner.program.host.fill(&mut bytes);
    bytes
}
