//! The sender: numbers its messages, keeps a window of them under way, and notes each that is acknowledged.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::Result;

use super::ledger::Book;

/// Messages that may be under way.
const WINDOW_MESSAGES: u64 = 1_000;
/// Length of a message, its number counted.
const MESSAGE_BYTES: usize = 300;
/// Pause before the next attempt to connect, and longest wait for an acknowledgement before the end is looked for.
const PAUSE: Duration = Duration::from_millis(5);
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

struct Sender {
    book: Book,
    /// Every message below is acknowledged.
    acknowledged: u64,
    /// One more than the highest number sent by any connection.
    highest: u64,
    is_finishing: Arc<AtomicBool>,
}

/// Sends until standard input ends and everything is acknowledged.
pub(crate) fn send(address: &str, ledger: &str) -> Result<()> {
    let is_finishing = Arc::new(AtomicBool::new(false));
    let tell = is_finishing.clone();
    thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        tell.store(true, Ordering::Release);
    });
    let address = address.parse::<SocketAddr>()?;
    let mut sender =
        Sender { book: Book::open(Path::new(ledger))?, acknowledged: 0, highest: 0, is_finishing };
    while !sender.is_done() {
        if let Ok(stream) = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            // The end of a connection is what this is about; what it had not acknowledged goes by the next.
            drop(sender.converse(stream));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

impl Sender {
    fn is_done(&self) -> bool {
        self.is_finishing.load(Ordering::Acquire) && self.acknowledged == self.highest
    }

    /// Sends by one connection, from the first message that is not acknowledged.
    fn converse(&mut self, mut stream: TcpStream) -> Result<()> {
        stream.set_read_timeout(Some(PAUSE))?;
        stream.set_nodelay(true)?;
        let mut sent = self.acknowledged;
        let mut chunk = vec![0; 1 << 14];
        while !self.is_done() {
            let is_finishing = self.is_finishing.load(Ordering::Acquire);
            let until = if is_finishing { self.highest } else { self.acknowledged + WINDOW_MESSAGES };
            if sent < until {
                let messages: String = (sent..until).map(message).collect();
                sent = until;
                self.highest = self.highest.max(sent);
                self.book.publish(self.highest)?;
                stream.write_all(messages.as_bytes())?;
            }
            match stream.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(count) => self.note(&chunk[..count])?,
                Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(why) => return Err(why.into()),
            }
        }
        Ok(())
    }

    /// Each line is for the next message.
    fn note(&mut self, acknowledgements: &[u8]) -> Result<()> {
        for _ in acknowledgements.iter().filter(|&&byte| byte == b'\n') {
            self.book.note(self.acknowledged)?;
            self.acknowledged += 1;
        }
        self.book.publish(self.highest)
    }
}

pub(super) fn message(number: u64) -> String {
    let mut line = format!("{number} ");
    line.extend(std::iter::repeat_n('.', MESSAGE_BYTES.saturating_sub(line.len())));
    line.push('\n');
    line
}
