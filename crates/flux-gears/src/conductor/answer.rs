//! The answer to a request: the reply, with what the request was stripped of and the context it came in.

use flux_gear::{FluxMsg, Key, Metadata};

/// Metadata key: the name of the conductor that sent a request out.
pub(crate) const ORIGIN: &str = "conductor.origin";

/// What a request gets back on its reply.
pub(crate) struct ReturnContext {
    park_fields: Vec<Key>,
    reply_keeps: Vec<String>,
}

impl ReturnContext {
    pub(crate) fn new(park_fields: Vec<Key>, reply_keeps: Vec<String>) -> Result<ReturnContext, String> {
        // What is parked must be able to come back without replacing what the reply is.
        let cannot = ["payload", "flux_id", "trace_id", "src_id"];
        match park_fields.iter().find(|key| cannot.contains(&key.as_str())) {
            Some(key) => Err(format!("`{key}` cannot be parked: name a path of data or metadata")),
            None => Ok(ReturnContext { park_fields, reply_keeps }),
        }
    }

    /// Removes what is not to travel.
    pub(crate) fn strip(&self, outbound: &mut FluxMsg) {
        for key in &self.park_fields {
            key.take(outbound);
        }
    }

    /// Whether a request travels as it came.
    pub(crate) fn strips_nothing(&self) -> bool {
        self.park_fields.is_empty()
    }

    /// Makes the answer. It keeps the reply's identity, is caused by the request, belongs to its trace, and shares its
    /// lease.
    pub(crate) fn answer(&self, mut reply: FluxMsg, mut request: FluxMsg) -> FluxMsg {
        reply.inherit_lease(&request);
        // Each write through the message would look anew whether its body is shared.
        let body = &mut *reply;
        body.cause = Some(request.id);
        body.trace = request.trace.or(body.trace);
        body.metadata = self.merged(&body.metadata, &request.metadata);
        for key in &self.park_fields {
            if let Some(value) = key.take(&mut request)
                && !key.put(&mut reply, value)
            {
                tracing::warn!(id = %reply.id, field = %key, "a parked field cannot be put back into the reply");
            }
        }
        reply
    }

    /// The metadata of the request with what is the reply's own. Where that is nothing, or the same, as when both came
    /// in by sockets, this shares what the request holds.
    fn merged(&self, reply: &Metadata, request: &Metadata) -> Metadata {
        let mut merged = request.clone();
        // Both are in one order and mostly have the same keys: what stands beside a key is mostly its match.
        let mut beside = request.iter();
        for (key, value) in reply.iter() {
            let same = beside.next().filter(|(other, _)| *other == key);
            match same.map(|(_, known)| known).or_else(|| request.get(key)) {
                Some(known) if known != value && self.is_replys_own(key) => merged.set(key, value),
                None if key != ORIGIN => merged.set(key, value),
                Some(_) | None => {}
            }
        }
        for (key, _) in request.iter() {
            if self.is_replys_own(key) && reply.get(key).is_none() {
                merged.delete(key);
            }
        }
        merged
    }

    fn is_replys_own(&self, key: &str) -> bool {
        self.reply_keeps.iter().any(|own| key == own || (own.ends_with('.') && key.starts_with(own.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use flux_gear::FluxId;

    use super::*;

    fn check(reply: &[(&str, &str)], request: &[(&str, &str)], want: Expect) {
        let keeps = vec!["codec.".into(), "iso8583.mti".into()];
        let context = ReturnContext::new(Vec::new(), keeps).unwrap();
        let message = |id, metadata: &[(&str, &str)]| {
            let mut msg = FluxMsg::new(FluxId::v7(1, id), 0, "");
            msg.metadata = metadata.iter().copied().collect();
            msg
        };
        let answer = context.answer(message(2, reply), message(1, request));
        assert_eq!((answer.id, answer.cause), (FluxId::v7(1, 2), Some(FluxId::v7(1, 1))));
        let shown: Vec<String> =
            answer.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
        want.assert_eq(&shown.join(" "));
    }

    #[test]
    fn the_context_of_the_request_wins_and_the_content_of_the_reply_stays() {
        check(
            &[("conn.id", "up")],
            &[("conn.id", "t1"), ("peer.ip", "::1")],
            expect!["conn.id=t1 peer.ip=::1"],
        );
        check(
            &[("conn.id", "up"), ("iso8583.mti", "0210"), ("codec.spec_id", "b"), ("advice", "x")],
            &[("conn.id", "t1"), ("iso8583.mti", "0200"), ("codec.spec_id", "a"), ("codec.old", "1")],
            expect!["advice=x conn.id=t1 iso8583.mti=0210 codec.spec_id=b"],
        );
        check(&[("conductor.origin", "me")], &[("a", "1")], expect!["a=1"]);
        check(
            &[("conductor.origin", "me")],
            &[("conductor.origin", "them")],
            expect!["conductor.origin=them"],
        );
    }

    #[test]
    fn what_a_reply_is_cannot_be_parked() {
        for key in ["payload", "flux_id"] {
            assert!(ReturnContext::new(vec![key.parse().unwrap()], Vec::new()).is_err(), "{key}");
        }
    }
}
