//! Open descriptors from one process to another, by a Unix socket (`SCM_RIGHTS`, unix(7)).
//!
//! With each byte, whose value is their number, come as many descriptors.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    thread,
    time::Duration,
};

use rustix::{
    cmsg_space,
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags, recvmsg, sendmsg,
    },
};

/// Descriptors with one byte: well below the 253 of Linux.
const TOGETHER_MAX: usize = 64;

/// More than a process can have open, as systems are set up.
const DESCRIPTORS_MAX: usize = 1 << 20;

/// Pauses, and how many, while the system has too many descriptors under way.
const PAUSE: Duration = Duration::from_millis(5);
const PAUSES_MAX: usize = 1_000;

/// Sends descriptors. Those here stay open.
pub(super) fn send(stream: &UnixStream, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    for together in descriptors.chunks(TOGETHER_MAX) {
        let mut pauses = 0;
        let number = [u8::try_from(together.len()).expect("a chunk is small")];
        loop {
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(TOGETHER_MAX))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            let has_room = ancillary.push(SendAncillaryMessage::ScmRights(together));
            debug_assert!(has_room, "there is room for as many");
            match sendmsg(stream, &[IoSlice::new(&number)], &mut ancillary, SendFlags::NOSIGNAL) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(Errno::TOOMANYREFS) if pauses < PAUSES_MAX => {
                    pauses += 1;
                    thread::sleep(PAUSE);
                }
                Err(why) => return Err(why.into()),
            }
        }
    }
    Ok(())
}

/// Receives so many descriptors.
pub(super) fn receive(stream: &UnixStream, count: usize) -> io::Result<Vec<OwnedFd>> {
    if count > DESCRIPTORS_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{count} descriptors are announced")));
    }
    let mut received = Vec::with_capacity(count);
    while received.len() < count {
        let mut number = [0];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(TOGETHER_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let message =
            recvmsg(stream, &mut [IoSliceMut::new(&mut number)], &mut ancillary, RecvFlags::CMSG_CLOEXEC);
        let bytes = match message {
            Err(Errno::INTR) => continue,
            message => message?.bytes,
        };
        let before = received.len();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                received.extend(descriptors);
            }
        }
        // Fewer came where this process may not open as many.
        if bytes == 0 || received.len() - before != usize::from(number[0]) {
            let came = received.len();
            let problem = format!(
                "{came} of {count} descriptors came: is `ulimit -n` as high as for the rack that runs?"
            );
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, problem));
        }
    }
    Ok(received)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read, os::fd::AsFd};

    use super::*;

    #[test]
    fn what_is_sent_is_open_at_the_other_end() {
        let (here, there) = UnixStream::pair().unwrap();
        let pipes: Vec<_> = (0..200).map(|_| std::io::pipe().unwrap()).collect();
        let readers: Vec<_> = pipes.iter().map(|(reader, _)| reader.as_fd()).collect();
        let received = thread::scope(|scope| {
            let receiver = scope.spawn(|| receive(&there, 200).unwrap());
            send(&here, &readers).unwrap();
            receiver.join().unwrap()
        });
        for (n, ((reader, mut writer), other)) in pipes.into_iter().zip(received).enumerate() {
            drop(reader);
            std::io::Write::write_all(&mut writer, &n.to_be_bytes()).unwrap();
            drop(writer);
            let mut told = Vec::new();
            File::from(other).read_to_end(&mut told).unwrap();
            assert_eq!(told, n.to_be_bytes());
        }
    }

    #[test]
    fn who_leaves_early_is_told_of() {
        let (here, there) = UnixStream::pair().unwrap();
        // Not its own end, which would be open for as long as it is on its way.
        send(&here, &[File::open("/dev/null").unwrap().as_fd()]).unwrap();
        drop(here);
        let why = receive(&there, 2).unwrap_err().to_string();
        assert!(why.starts_with("1 of 2 descriptors came"), "{why}");
    }
}
