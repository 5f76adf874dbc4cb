//! Claims: two gears that run on one rack do not hold the same thing.

use crate::catalog::Claim;
use crate::codes::Code;
use crate::listen::ListenAddress;
use crate::model::{GearView, Model};
use crate::reference::has_reference;
use crate::report::{Issue, Report};

/// The kind of claim that is a listen address.
const LISTEN: &str = "listen";

struct Held<'a> {
    gear: &'a GearView<'a>,
    claim: Claim,
    address: Option<ListenAddress>,
}

pub(super) fn check(model: &Model<'_>, report: &mut Report) {
    let mut held: Vec<Held<'_>> = Vec::new();
    for gear in &model.gears {
        let Some(manifest) = gear.manifest else { continue };
        // What a secret makes of a claim is known to the rack alone.
        let claims = manifest.claims_of(&gear.decl.config).into_iter();
        for claim in claims.filter(|claim| !has_reference(&claim.value)) {
            let address = match (claim.kind.as_str(), claim.value.parse()) {
                (LISTEN, Ok(address)) => Some(address),
                (LISTEN, Err(why)) => {
                    let message = format!("`{}` cannot listen at {:?}", *gear.decl.name, claim.value);
                    report.push(Issue::new(Code::BadListenAddress, claim.span, message).help(why));
                    continue;
                }
                _ => None,
            };
            held.push(Held { gear, claim, address });
        }
    }
    // Conflicts are rare and gears are few, but a file from outside may hold many: compare within a value's group.
    held.sort_by(|a, b| group(a).cmp(&group(b)));
    for same in held.chunk_by(|a, b| group(a) == group(b)) {
        for (index, later) in same.iter().enumerate().skip(1) {
            if report.is_full() {
                return;
            }
            if let Some(earlier) = same[..index].iter().find(|earlier| conflict(earlier, later)) {
                report.push(issue(earlier, later));
            }
        }
    }
}

/// What two claims must have in common to be in conflict at all.
fn group<'a>(held: &'a Held<'_>) -> (&'a str, String) {
    let value = match &held.address {
        Some(address) => address.port().to_string(),
        None => held.claim.value.clone(),
    };
    (&held.claim.kind, value)
}

fn conflict(a: &Held<'_>, b: &Held<'_>) -> bool {
    let same_rack = match (&a.gear.decl.deploy, &b.gear.decl.deploy) {
        (Some(a), Some(b)) => a.value == b.value,
        (None, _) | (_, None) => true,
    };
    let same_thing = match (&a.address, &b.address) {
        (Some(a), Some(b)) => a.overlaps(b),
        _ => a.claim.value == b.claim.value,
    };
    same_rack && same_thing && a.gear.decl.name.value != b.gear.decl.name.value
}

fn issue(earlier: &Held<'_>, later: &Held<'_>) -> Issue {
    let (first, second) = (&*earlier.gear.decl.name, &*later.gear.decl.name);
    let mut message = match &later.address {
        Some(_) => format!("`{second}` and `{first}` both listen at `{}`", later.claim.value),
        None => format!("`{second}` and `{first}` both claim `{}`", later.claim.value),
    };
    if earlier.claim.value != later.claim.value {
        message = format!(
            "`{second}` listens at `{}` and `{first}` at `{}`, which overlap",
            later.claim.value, earlier.claim.value
        );
    }
    let help = match (&earlier.address, &later.address) {
        (Some(a), Some(b)) if a.is_any() != b.is_any() => "use another port, or a specific address for both",
        (Some(_), _) => "use another port",
        (None, _) => "only one gear of a rack can hold it",
    };
    Issue::new(Code::ClaimConflict, later.claim.span, message)
        .related(earlier.claim.span, format!("held by `{first}`"))
        .help(help)
}
