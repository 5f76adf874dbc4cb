//! Functions that look at the message, its metadata, and the batch it is in.

use std::borrow::Cow;

use crate::library::{Call, Default, Param, Spec, Touches};
use crate::run::{Failure, Outcome};
use crate::{Object, Value, path};

pub(crate) const FUNCTIONS: &[Spec] = &[
    looking("batch_index", &[], |call| Ok(Value::Int(call.runner.perspective as i64))),
    looking("batch_size", &[], |call| Ok(Value::Int(call.runner.batch.len() as i64))),
    looking("content", &[], |call| Ok(Value::bytes(call.runner.message().content().clone()))),
    looking("error", &[], |call| Ok(call.runner.message().error.as_deref().map_or(Value::Null, Value::text))),
    looking("errored", &[], |call| Ok(Value::Bool(call.runner.message().error.is_some()))),
    looking("flow_id", &[], |call| {
        Ok(Value::text(call.runner.message().flow_id.as_deref().unwrap_or_default()))
    }),
    looking("json", &[Param::text("path").or(Default::Text(""))], |call| {
        let document = call.runner.message().document();
        let document = document.ok_or_else(|| Failure::new("the message is not a JSON document"))?;
        Ok(path::get(document, &path::parse(call.text(0)?)).map(Cow::into_owned).unwrap_or_default())
    }),
    looking("metadata", KEY, |call| key_of(call, &call.runner.message().metadata)),
    looking("meta", KEY, |call| key_of(call, &call.runner.message().metadata).map(as_text)),
    looking("root_meta", KEY, |call| key_of(call, call.runner.metadata()).map(as_text)),
    looking("tracing_id", &[], |call| {
        Ok(Value::text(call.runner.message().trace_id.as_deref().unwrap_or(NO_TRACE)))
    }),
    looking("tracing_span", &[], |call| Ok(call.runner.message().span.clone().unwrap_or_default())),
];

const KEY: &[Param] = &[Param::text("key").or(Default::Text(""))];

/// What stands for the id of a trace where there is none.
const NO_TRACE: &str = "00000000000000000000000000000000";

const fn looking(name: &'static str, params: &'static [Param], run: fn(&mut Call) -> Outcome) -> Spec {
    Spec::function(name, params, run).touching(Touches::Message)
}

/// The value of the key that the first argument is, or everything if it is empty.
fn key_of(call: &Call, metadata: &Object) -> Outcome {
    Ok(match call.text(0)? {
        "" => Value::object(metadata.clone()),
        key => metadata.get(key).cloned().unwrap_or_default(),
    })
}

/// The older functions know text only.
fn as_text(value: Value) -> Value {
    match value {
        Value::Null | Value::Object(_) | Value::String(_) => value,
        other => Value::from(super::types::to_text(&other)),
    }
}
