//! The spec that a configuration names, one for all gears that speak it.

use std::{
    path::Path,
    sync::{Arc, Weak},
};

use flux_gear::{Fault, GearContext};
use flux_iso8583::Spec;
use parking_lot::Mutex;

/// Specs in use. A switch has a codec for each direction of each line, and most of them speak one dialect: its tables
/// are worth a place in the cache only once.
static IN_USE: Mutex<Vec<Weak<Spec>>> = Mutex::new(Vec::new());

/// The spec a configuration names: a file, or a built-in layout.
pub(crate) fn load_spec(
    path: Option<&str>,
    builtin: Option<&str>,
    ctx: &GearContext,
) -> Result<Arc<Spec>, Fault> {
    let known = || Spec::builtin_names().join(", ");
    let spec = match (path, builtin) {
        (Some(path), None) => {
            let bytes = ctx.read_file(path)?;
            let beside = |other: &str| Path::new(path).with_file_name(other).display().to_string();
            Spec::load(path, &bytes, &|other| ctx.try_read_file(&beside(other)).map(Vec::from))
                .map_err(|report| Fault::fatal(format!("spec `{path}`")).reason("spec").caused_by(report))
        }
        (None, Some(name)) => Spec::builtin(name).ok_or_else(|| {
            Fault::fatal(format!("no built-in spec `{name}`; there are: {}", known())).reason("spec")
        }),
        _ => Err(Fault::fatal(format!("set either `spec_path` (a file) or `spec` (one of: {})", known()))
            .reason("spec")),
    }?;
    Ok(shared(spec))
}

/// The same spec, if it is in use already.
fn shared(spec: Spec) -> Arc<Spec> {
    let mut in_use = IN_USE.lock();
    in_use.retain(|other| other.strong_count() > 0);
    if let Some(same) =
        in_use.iter().filter_map(Weak::upgrade).find(|other| other.fingerprint == spec.fingerprint)
    {
        return same;
    }
    let spec = Arc::new(spec);
    in_use.push(Arc::downgrade(&spec));
    spec
}

#[cfg(test)]
mod tests {
    use flux_gear::mock::Mock;
    use serde_json::json;

    use super::*;
    use crate::codec_iso8583::CodecIso8583;

    #[test]
    fn gears_of_one_dialect_share_its_spec() {
        let ctx = Mock::new().context::<CodecIso8583>(&json!({"spec": "iso87ascii"}));
        let spec = |name| load_spec(None, Some(name), &ctx).unwrap();
        let (one, same, other) = (spec("iso87ascii"), spec("iso87ascii"), spec("iso87binary"));
        assert!(Arc::ptr_eq(&one, &same));
        assert!(!Arc::ptr_eq(&one, &other));
    }
}
