//! JSON, and mappings that a mapping makes.

use crate::library::call::bytes;
use crate::library::{Call, Cell, Default, Param, Spec, printf};
use crate::run::{Failure, Outcome};
use crate::{Message, Root, Value};

pub(crate) const METHODS: &[Spec] = &[
    Spec::method("parse_json", &[Param::bool("use_number").optional()], |call, target| {
        let bytes = bytes(&target)?;
        // A byte of JSON is at most a number in an array.
        call.runner.reserve(bytes.len().saturating_mul(size_of::<Value>() / 2))?;
        Value::from_json(bytes).map_err(|error| Failure::new(error.to_string()))
    }),
    Spec::method(
        "format_json",
        &[
            Param::text("indent").or(Default::Text("    ")),
            Param::bool("no_indent").or(Default::Bool(false)),
            Param::bool("escape_html").or(Default::Bool(true)),
        ],
        |call, target| {
            call.runner.reserve(target.weight())?;
            let indent = (!call.flag(1)).then(|| call.text(0)).transpose()?;
            Ok(Value::bytes(target.to_pretty_json(indent, call.flag(2)).into_bytes()))
        },
    ),
    Spec::method("format", &[], printf::format).taking_more(),
    Spec::method("bloblang", &[Param::text("mapping")], bloblang),
];

/// Runs a mapping that is text on a value. It sees nothing but that value, and uses the budget of the run it is in.
fn bloblang(call: &mut Call, target: Value) -> Outcome {
    let source = call.text(0)?.to_owned();
    let kept = match &*call.cell() {
        Some(Cell::Mapping(known, program)) if *known == source => Some(program.clone()),
        _ => None,
    };
    let program = match kept {
        Some(program) => program,
        None => {
            call.runner.spend(source.len())?;
            let program = crate::compile::confined(&source, &call.runner.program.host);
            let program = std::sync::Arc::new(program.map_err(|error| Failure::new(error.to_string()))?);
            *call.cell() = Some(Cell::Mapping(source, program.clone()));
            program
        }
    };
    let message = Message::structured(target.clone());
    let mapped = call.runner.nested(&program, &message)?;
    Ok(match mapped {
        Root::Unchanged => target,
        Root::New(value) => value,
        Root::Deleted => Value::Deleted,
    })
}
