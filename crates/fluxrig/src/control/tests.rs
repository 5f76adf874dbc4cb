//! The control socket: what it takes, what it refuses, and that nobody can stop others from asking.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    thread,
};

use flux_world::Clock;
use serde_json::{Value as Json, json};

use super::*;

/// Serves a directory on a thread: each request is answered with its own `Debug` form.
fn served(directory: &std::path::Path) -> tokio::task::JoinHandle<()> {
    let mut socket = ControlSocket::open(directory, Clock::real()).unwrap();
    tokio::spawn(async move {
        loop {
            let Asked::Question { request, answer } = socket.next().await else { continue };
            let _ = answer.send(Answer::Ok(json!(format!("{request:?}"))));
        }
    })
}

async fn off_thread<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(call).await.unwrap()
}

#[tokio::test]
async fn a_question_has_an_answer_and_the_socket_is_for_its_owner() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    // What a process that was killed left behind.
    std::fs::write(path.join(SOCKET_FILE), "").unwrap();
    let server = served(&path);
    let mode = std::fs::metadata(path.join(SOCKET_FILE)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let answer: Json = off_thread(move || ask(&path, &Request::Status {}).unwrap()).await;
    assert_eq!(answer, "Status");
    server.abort();
    let _ = server.await;
    assert!(!directory.path().join(SOCKET_FILE).exists());
    let path = directory.path().to_owned();
    let why = off_thread(move || ask::<Json>(&path, &Request::Status {}).unwrap_err().to_string()).await;
    assert!(why.starts_with("no rack runs with the state directory"), "{why}");
}

#[tokio::test]
async fn rubbish_is_answered_and_an_endless_line_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let _server = served(directory.path());
    let socket = directory.path().join(SOCKET_FILE);
    let path = socket.clone();
    let answers = off_thread(move || {
        let mut stream = UnixStream::connect(path).unwrap();
        stream.write_all(b"rubbish\n{\"command\":\"fly\"}\n{\"command\":\"status\"}\n").unwrap();
        let lines = BufReader::new(stream).lines().take(3).map(Result::unwrap);
        lines.map(|line| serde_json::from_str(&line).unwrap()).collect::<Vec<Json>>()
    })
    .await;
    assert!(answers[0]["error"].as_str().unwrap().starts_with("not a request: "), "{}", answers[0]);
    assert!(answers[1]["error"].as_str().unwrap().contains("unknown variant `fly`"), "{}", answers[1]);
    assert_eq!(answers[2], json!({"ok": "Status"}));
    let rest = off_thread(move || {
        let mut stream = UnixStream::connect(socket).unwrap();
        let mut rest = Vec::new();
        // It may hang up while we write.
        let _ = stream.write_all(&vec![b'x'; REQUEST_BYTES_MAX + 1]);
        let _ = stream.read_to_end(&mut rest);
        rest
    })
    .await;
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn more_clients_than_are_served_at_a_time_are_all_answered() {
    let directory = tempfile::tempdir().unwrap();
    let _server = served(directory.path());
    let askers: Vec<_> = (0..40)
        .map(|_| {
            let path = directory.path().to_owned();
            thread::spawn(move || ask::<Json>(&path, &Request::Status {}).unwrap())
        })
        .collect();
    off_thread(move || askers.into_iter().for_each(|asker| assert_eq!(asker.join().unwrap(), "Status")))
        .await;
}

#[tokio::test]
async fn who_is_silent_delays_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let _server = served(directory.path());
    let path = directory.path().to_owned();
    off_thread(move || {
        let connect = |_| UnixStream::connect(path.join(SOCKET_FILE)).unwrap();
        let mut silent: Vec<UnixStream> = (0..server::CLIENTS_MAX).map(connect).collect();
        assert_eq!(ask::<Json>(&path, &Request::Status {}).unwrap(), "Status");
        // The oldest has made room. Had they been waited for, all would be gone.
        let mut rest = Vec::new();
        silent.remove(0).read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"");
        for mut stream in silent {
            stream.write_all(b"{\"command\":\"status\"}\n").unwrap();
            let mut answer = String::new();
            BufReader::new(&stream).read_line(&mut answer).unwrap();
            assert_eq!(answer, "{\"ok\":\"Status\"}\n");
        }
    })
    .await;
}
