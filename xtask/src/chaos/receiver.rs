//! The receiver: notes every message that arrives, and then acknowledges it. One that nobody sent is the end of it.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    str,
    sync::{Arc, Mutex},
    thread,
};

use anyhow::{Context, Result, ensure};

use super::{ledger::Book, sender::message};

/// How the process ends when something arrived that nobody sent.
const NOBODY_SENT_THIS: i32 = 3;

/// The ledger, and one more than the highest number in it.
struct Noted {
    book: Book,
    mark: u64,
}

/// Receives until standard input ends.
pub(crate) fn receive(address: &str, ledger: &str) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    let noted = Arc::new(Mutex::new(Noted { book: Book::open(Path::new(ledger))?, mark: 0 }));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let noted = noted.clone();
            thread::spawn(move || attend(stream, &noted));
        }
    });
    // What was noted was published before it was acknowledged.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// One connection, to its end, which a kill may put within a line.
fn attend(mut stream: TcpStream, noted: &Mutex<Noted>) -> Result<()> {
    let (mut pending, mut chunk) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        pending.extend_from_slice(&chunk[..count]);
        let whole = pending.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let lines = pending[..whole].split_inclusive(|&byte| byte == b'\n');
        let mut acknowledgements = Vec::new();
        let mut noted = noted.lock().expect("nobody panics while noting");
        for line in lines {
            let number = number_of(line).unwrap_or_else(|why| {
                eprintln!("chaos-receiver: something arrived that nobody sent: {why}");
                std::process::exit(NOBODY_SENT_THIS)
            });
            noted.book.note(number)?;
            noted.mark = noted.mark.max(number + 1);
            acknowledgements.extend_from_slice(b"ok\n");
        }
        let mark = noted.mark;
        noted.book.publish(mark)?;
        drop(noted);
        pending.drain(..whole);
        stream.write_all(&acknowledgements)?;
    }
}

fn number_of(line: &[u8]) -> Result<u64> {
    let number = str::from_utf8(line)?.split(' ').next().context("a message begins with its number")?;
    let number = number.parse()?;
    ensure!(message(number).as_bytes() == line, "message {number} is not what was sent");
    Ok(number)
}
