//! The first bytes of somebody who should speak TLS: read before the handshake, so that its failure can be put in words.

use std::fmt::Write as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use flux_world::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Enough to tell what is spoken.
const GREETING_BYTES: usize = 16;

/// The content type of a TLS record that carries a handshake (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// A stream of which the first bytes were looked at; it reads and writes as if they were not.
#[derive(Debug)]
pub(super) struct Greeted {
    greeting: Bytes,
    unread: Bytes,
    stream: Stream,
}

impl Greeted {
    /// Waits for the first bytes; the caller brings the deadline. An end of the stream is none.
    pub(super) async fn wait(mut stream: Stream) -> io::Result<Self> {
        let mut greeting = BytesMut::with_capacity(GREETING_BYTES);
        stream.read.read(&mut greeting).await?;
        let greeting = greeting.freeze();
        Ok(Self { unread: greeting.clone(), greeting, stream })
    }

    /// The first bytes.
    pub(super) fn greeting(&self) -> Bytes {
        self.greeting.clone()
    }
}

/// Why somebody who greets like this cannot shake hands; `None` when it may well be TLS.
pub(super) fn misunderstanding(greeting: &[u8]) -> Option<String> {
    match greeting {
        [] => Some("the peer closed the connection without a word".to_owned()),
        [HANDSHAKE, ..] => None,
        _ if is_http(greeting) => Some("the peer speaks HTTP, not TLS".to_owned()),
        _ if is_iso8583(greeting) => Some("the peer speaks plain ISO 8583, not TLS".to_owned()),
        _ => {
            let mut said = "the peer does not speak TLS, it begins with".to_owned();
            for byte in &greeting[..greeting.len().min(4)] {
                write!(said, " {byte:02x}").expect("writing to a text does not fail");
            }
            Some(said)
        }
    }
}

fn is_http(greeting: &[u8]) -> bool {
    let methods =
        ["GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "CONNECT ", "PATCH ", "PRI * HTTP/2"];
    methods.iter().any(|method| greeting.starts_with(method.as_bytes()))
}

/// Whether a message type (ISO 8583 section 4.2) stands where it may: in front, or behind a length of two or four bytes
/// and perhaps a TPDU of five.
fn is_iso8583(greeting: &[u8]) -> bool {
    let at = |offset: usize| greeting.get(offset..).unwrap_or_default();
    let is_type = |bytes: &[u8]| match bytes {
        [b'0'..=b'2', b'1'..=b'8', b'0'..=b'9', b'0'..=b'5', ..] => true,
        [version_class, function_origin, ..] => {
            matches!(version_class, 0x01..=0x08 | 0x11..=0x18) && matches!(function_origin & 0x0f, 0..=5)
        }
        _ => false,
    };
    is_type(greeting) && greeting[0].is_ascii_digit()
        || [2, 4].iter().any(|&length| {
            is_type(at(length)) || at(length).first() == Some(&0x60) && is_type(at(length + 5))
        })
}

impl AsyncRead for Greeted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let bytes = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread[..bytes]);
        self.unread.advance(bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Greeted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_speaks_something_else_is_told_by_the_first_bytes() {
        let check = |greeting: &[u8], expected: Option<&str>| {
            assert_eq!(misunderstanding(greeting).as_deref(), expected, "{}", greeting.escape_ascii());
        };
        check(b"\x16\x03\x01\x02\x00\x01", None);
        check(b"", Some("the peer closed the connection without a word"));
        check(b"GET / HTTP/1.1\r\n", Some("the peer speaks HTTP, not TLS"));
        let iso = Some("the peer speaks plain ISO 8583, not TLS");
        check(b"\x00\x2a0200\x72\x00", iso);
        check(b"0800\x82\x00", iso);
        check(b"00420100B220", iso);
        check(b"\x00\x2a\x60\x00\x01\x00\x00\x02\x00", iso);
        check(b"\x00\x2a\x08\x00\x82", iso);
        check(b"SSH-2.0-OpenSSH", Some("the peer does not speak TLS, it begins with 53 53 48 2d"));
        check(b"\n", Some("the peer does not speak TLS, it begins with 0a"));
    }
}
