//! One request at a time on a connection that is kept, to an API without TLS.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, client::conn::http1::SendRequest, header};
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use tokio::{net::TcpStream, task::JoinHandle};

pub(super) struct Http {
    host: String,
    sender: SendRequest<Full<Bytes>>,
    connection: JoinHandle<()>,
}

impl Http {
    pub(super) async fn connect(api: SocketAddr) -> Result<Http> {
        let stream = TcpStream::connect(api).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(async move { drop(connection.await) });
        Ok(Http { host: api.to_string(), sender, connection })
    }

    pub(super) async fn post(&mut self, path: &str, body: &Json) -> Result<Json> {
        let answer = self.ask(Method::POST, path, body.to_string().into()).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// What is answered, and how long it took until all of it was here.
    pub(super) async fn get(&mut self, path: &str) -> Result<(Json, Duration)> {
        let began = Instant::now();
        let answer = self.ask(Method::GET, path, Bytes::new()).await?;
        let took = began.elapsed();
        Ok((serde_json::from_slice(&answer)?, took))
    }

    async fn ask(&mut self, method: Method, path: &str, body: Bytes) -> Result<Bytes> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let answer = self.sender.send_request(request).await.context("the Mixer hung up")?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status.is_success(), "{path}: {status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
