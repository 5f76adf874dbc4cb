//! A terminal or a scheme that a test plays: one connection, one message at a time.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, LazyLock},
};

use flux_iso8583::{Message, Spec};
use serde_json::{Value as Json, json};

use crate::process::PATIENCE;

/// One end of a connection that carries messages behind a length of two bytes.
pub(crate) struct Line(pub(crate) TcpStream);

impl Line {
    pub(crate) fn connect(address: &str) -> Line {
        Line::over(TcpStream::connect(address).unwrap())
    }

    pub(crate) fn over(stream: TcpStream) -> Line {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Line(stream)
    }

    pub(crate) fn say(&mut self, message: &Json) {
        self.0.write_all(&framed(&bytes_of(message))).unwrap();
    }

    /// Says it again and again, and reads nothing, until the other side has had enough.
    pub(crate) fn says_until_it_is_cut_off(&mut self, message: &Json) {
        let many = framed(&bytes_of(message)).repeat(64);
        self.0.set_write_timeout(Some(PATIENCE)).unwrap();
        let why = std::iter::repeat_with(|| self.0.write_all(&many)).find_map(Result::err).unwrap();
        assert!(matches!(why.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{why}");
    }

    /// Expects that this is the next message to come.
    #[track_caller]
    pub(crate) fn hears(&mut self, expected: &Json) {
        assert_eq!(self.next().as_ref(), Some(expected));
    }

    /// The next message to come; none when the other side is gone.
    pub(crate) fn next(&mut self) -> Option<Json> {
        let mut length = [0; 2];
        let mut read = |bytes: &mut [u8]| match self.0.read_exact(bytes) {
            Ok(()) => Some(()),
            Err(why) if [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset].contains(&why.kind()) => None,
            Err(why) => panic!("{why}"),
        };
        read(&mut length)?;
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        read(&mut message)?;
        Some(Message::decode(spec(), message.into()).unwrap().to_json())
    }
}

pub(crate) fn bytes_of(message: &Json) -> Vec<u8> {
    Message::from_json(spec(), message).unwrap().to_bytes().into()
}

pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    [&length[..], message].concat()
}

/// The layout on which the example's dialect builds; they agree on what is sent here.
fn spec() -> Arc<Spec> {
    static SPEC: LazyLock<Arc<Spec>> = LazyLock::new(|| Arc::new(Spec::builtin("iso87ascii").unwrap()));
    SPEC.clone()
}

pub(crate) fn request(trace: &str) -> Json {
    let fields = json!({
        "2": "4111111111111111", "3": "000000", "4": "000000001000", "7": "1105143015", "11": trace, "41": "TERM0001",
    });
    json!({ "mti": "0200", "fields": fields })
}

pub(crate) fn answer(trace: &str) -> Json {
    let mut answer = request(trace);
    answer["mti"] = "0210".into();
    answer["fields"]["39"] = "00".into();
    answer
}
