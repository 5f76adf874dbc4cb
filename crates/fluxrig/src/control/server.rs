//! The rack's side of the control socket: a task that takes requests in, one line each, and hands them to the rack.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::{
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
        net::SocketAddr,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use flux_world::{Clock, Instant};
use serde_json::Value as Json;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, JoinHandle, JoinSet},
};

use super::{ANSWER_TIMEOUT, Answer, CLIENT_TIMEOUT, REQUEST_BYTES_MAX, Request, SOCKET_FILE};

/// Clients that are served at a time. One more takes the place of the one that has been silent for longest.
pub(super) const CLIENTS_MAX: usize = 16;
/// How long a client may be silent before another may take its place: who asks at once is never in the way.
const SILENCE_MIN: Duration = Duration::from_millis(250);
/// Pause before the next attempt when nobody can be accepted, as without descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// Answer once the rack is on its way out.
const LEAVING: &str = "the rack is stopping";

/// What a client wants.
pub(crate) enum Asked {
    /// An answer.
    Question { request: Request, answer: oneshot::Sender<Answer<Json>> },
    /// To have the rack. The socket is theirs from here on.
    TakeOver { within: Duration, stream: UnixStream },
}

/// The socket, served by a task of its own until it is dropped.
pub(crate) struct ControlSocket {
    path: PathBuf,
    asked: mpsc::Receiver<Asked>,
    task: JoinHandle<()>,
}

impl ControlSocket {
    /// Opens the socket of a state directory that is ours; what a process before us left behind is replaced.
    ///
    /// # Errors
    /// When it cannot be made, as on a disk that cannot be written, or where its path is over the system's limit of
    /// about a hundred bytes.
    pub(crate) fn open(state_dir: &Path, clock: Clock) -> io::Result<ControlSocket> {
        let path = state_dir.join(SOCKET_FILE);
        let made_as = state_dir.join(format!("{SOCKET_FILE}.new"));
        if SocketAddr::from_pathname(&made_as).is_err() {
            return Err(too_long(&made_as));
        }
        let _ = fs::remove_file(&made_as);
        let listener = UnixListener::bind(&made_as)?;
        fs::set_permissions(&made_as, Permissions::from_mode(0o600))?;
        let owner = fs::metadata(&made_as)?.uid();
        fs::rename(&made_as, &path)?;
        // One at a time: the rack does what it is asked in order.
        let (ask, asked) = mpsc::channel(1);
        let task = tokio::spawn(serve(listener, owner, clock, ask));
        Ok(ControlSocket { path, asked, task })
    }

    /// The next request. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Asked {
        match self.asked.recv().await {
            Some(asked) => asked,
            // The task ends only when it is aborted.
            None => std::future::pending().await,
        }
    }
}

impl ControlSocket {
    /// Serves nobody any more; the path is another process's.
    pub(crate) fn leave(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.task.abort();
        // Left behind, it would be replaced by the next rack.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether there is a socket to ask at. Blocks.
pub(crate) fn is_there(state_dir: &Path) -> bool {
    let there = fs::symlink_metadata(state_dir.join(SOCKET_FILE));
    match there {
        Ok(metadata) => metadata.file_type().is_socket(),
        // What may not be asked is told of elsewhere.
        Err(why) => why.kind() != io::ErrorKind::NotFound,
    }
}

fn too_long(path: &Path) -> io::Error {
    let bytes = path.as_os_str().len();
    // By how much is found out by asking the system: it differs.
    let is_taken = |n: &usize| SocketAddr::from_pathname(Path::new(&"x".repeat(*n))).is_ok();
    let max = (1..bytes).take_while(is_taken).last().unwrap_or_default();
    let beside = bytes.saturating_sub(path.parent().map_or(0, |parent| parent.as_os_str().len()));
    let why = format!(
        "the path of the state directory has {} bytes, and the system takes a socket in one of {} at most: give the rack \
         another with --state-dir or `base.state_dir`",
        bytes - beside,
        max.saturating_sub(beside)
    );
    io::Error::new(io::ErrorKind::InvalidFilename, why)
}

async fn serve(listener: UnixListener, owner: u32, clock: Clock, ask: mpsc::Sender<Asked>) {
    let mut clients = Clients { tasks: JoinSet::new(), silent: Vec::new(), clock };
    loop {
        let accepted = tokio::select! {
            biased;
            () = clients.one_left() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) if may_ask(&stream, owner) => {
                clients.make_room().await;
                clients.attend(stream, ask.clone());
            }
            Ok(_) => {}
            Err(_) => clock.sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Those who are served, a task each.
struct Clients {
    tasks: JoinSet<()>,
    silent: Vec<(AbortHandle, Silence)>,
    clock: Clock,
}

/// Since when a client is waited for; `None` while it waits for us.
type Silence = watch::Receiver<Option<Instant>>;

impl Clients {
    fn attend(&mut self, stream: UnixStream, ask: mpsc::Sender<Asked>) {
        let (tell, silence) = watch::channel(Some(self.clock.now()));
        let task = self.tasks.spawn(attend(stream, self.clock, ask, tell));
        self.silent.push((task, silence));
    }

    /// Ends when a client has left. Cancel-safe.
    async fn one_left(&mut self) {
        if self.tasks.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
        self.silent.retain(|(task, _)| !task.is_finished());
    }

    /// Waits until there is room for one more, and makes some where a client only takes up a place.
    async fn make_room(&mut self) {
        while self.tasks.len() >= CLIENTS_MAX {
            let since = |silence: &Silence| *silence.borrow();
            let longest = self.silent.iter().filter_map(|(task, silence)| Some((since(silence)?, task)));
            let longest = longest.min_by_key(|(since, _)| *since);
            let now = self.clock.now();
            // Who is answered now falls silent then, so it is looked again.
            let look_at = match longest {
                Some((since, task)) if now.saturating_duration_since(since) >= SILENCE_MIN => {
                    task.abort();
                    now + SILENCE_MIN
                }
                Some((since, _)) => since + SILENCE_MIN,
                None => now + SILENCE_MIN,
            };
            let clock = self.clock;
            let _ = clock.timeout_at(look_at, self.one_left()).await;
        }
    }
}

fn may_ask(stream: &UnixStream, owner: u32) -> bool {
    stream.peer_cred().is_ok_and(|peer| [owner, 0].contains(&peer.uid()))
}

/// Answers one client until it leaves, falls silent, or sends what is no line.
async fn attend(
    stream: UnixStream,
    clock: Clock,
    ask: mpsc::Sender<Asked>,
    silent: watch::Sender<Option<Instant>>,
) {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    loop {
        let Ok(Ok(Some(line))) = clock.timeout(CLIENT_TIMEOUT, next_line(&mut read)).await else { return };
        silent.send_replace(None);
        let answer = match serde_json::from_slice(&line) {
            Ok(Request::TakeOver { within_ms }) => {
                let Ok(stream) = read.into_inner().reunite(write) else { return };
                let within = Duration::from_millis(within_ms);
                // On the way out it hangs up, and whoever asked finds nobody.
                let _ = ask.send(Asked::TakeOver { within, stream }).await;
                return;
            }
            Ok(request) => answer(request, clock, &ask).await,
            Err(why) => Answer::Error(format!("not a request: {why}")),
        };
        silent.send_replace(Some(clock.now()));
        let told = clock.timeout(CLIENT_TIMEOUT, tell(&mut write, &answer)).await;
        if !matches!(told, Ok(Ok(()))) {
            return;
        }
    }
}

/// A line with its end; `None` where input ends, and where a line does not in its time.
async fn next_line(read: &mut BufReader<OwnedReadHalf>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    read.take(REQUEST_BYTES_MAX as u64).read_until(b'\n', &mut line).await?;
    Ok(line.ends_with(b"\n").then_some(line))
}

async fn answer(request: Request, clock: Clock, ask: &mpsc::Sender<Asked>) -> Answer<Json> {
    let (answer, answered) = oneshot::channel();
    let asked = async {
        ask.send(Asked::Question { request, answer }).await.ok()?;
        answered.await.ok()
    };
    match clock.timeout(ANSWER_TIMEOUT, asked).await {
        Ok(answer) => answer.unwrap_or_else(|| Answer::Error(LEAVING.into())),
        Err(_) => Answer::Error(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())),
    }
}

async fn tell(write: &mut OwnedWriteHalf, answer: &Answer<Json>) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    write.write_all(&line).await
}
