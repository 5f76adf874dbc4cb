//! What the tests of the I/O gears share: running gears, and far ends played by hand over real sockets.

use std::{net::SocketAddr, time::Duration};

use flux_gear::{
    Fault, FluxMsg, Gear, Link,
    mock::{Mock, MockGear},
};
use flux_world::{ConnectOptions, ListenOptions, Listener, Stream, Target, World};
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// No test waits for ever.
pub(crate) async fn within<T>(what: impl Future<Output = T>) -> T {
    World::real().clock.timeout(Duration::from_secs(10), what).await.expect("it takes too long")
}

/// A started gear.
pub(crate) async fn started<G: Gear>(mock: Mock, config: Json) -> MockGear<G> {
    let mut gear = mock.build::<G>(config).unwrap_or_else(|why| panic!("{why}"));
    gear.start().await.unwrap();
    gear
}

/// Where a gear listens.
pub(crate) fn address<G>(gear: &MockGear<G>) -> SocketAddr {
    link(gear).listening().expect("it listens")
}

/// The link of a gear.
pub(crate) fn link<G>(gear: &MockGear<G>) -> std::sync::Arc<Link> {
    gear.ctx.control().link(gear.ctx.name())
}

/// Waits until so many connections of a gear are up.
pub(crate) async fn connections<G>(gear: &MockGear<G>, n: usize) {
    let link = link(gear);
    until(|| link.connections() == n).await;
}

/// Waits until something is so. For what no event tells.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    within(async {
        while !is_so() {
            World::real().clock.sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// The next message a gear received.
pub(crate) async fn received<G: Gear>(gear: &MockGear<G>) -> FluxMsg {
    let (port, msg) = within(gear.emitted()).await;
    assert_eq!(port, "out");
    msg
}

/// Sends a message; `conn` is its `conn.id`.
pub(crate) async fn send<G: Gear>(
    gear: &mut MockGear<G>,
    conn: Option<&str>,
    payload: &[u8],
) -> Result<(), Fault> {
    let mut msg = gear.ctx.message(payload.to_vec());
    if let Some(conn) = conn {
        msg.metadata.set("conn.id", conn);
    }
    within(gear.process_msg("in", msg)).await.map(|out| assert!(out.is_empty(), "it emits nothing"))
}

/// The word a message failed with.
pub(crate) fn reason(sent: Result<(), Fault>) -> &'static str {
    sent.expect_err("it fails").reason_word()
}

/// The `conn.id` of a message.
pub(crate) fn conn_id(msg: &FluxMsg) -> &str {
    msg.metadata.get("conn.id").expect("what comes in has a conn.id")
}

/// The other side of a connection.
pub(crate) struct FarEnd(pub(crate) Stream);

impl FarEnd {
    pub(crate) async fn connect(addr: SocketAddr) -> FarEnd {
        FarEnd::connect_from(&World::real(), &addr.into()).await
    }

    pub(crate) async fn connect_from(world: &World, target: &Target) -> FarEnd {
        FarEnd(within(world.net.connect(target, &ConnectOptions::default())).await.unwrap())
    }

    pub(crate) async fn accept(listener: &mut Listener) -> FarEnd {
        FarEnd(within(listener.accept()).await.unwrap())
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.0.write.write_all(bytes).await.unwrap();
    }

    /// Reads exactly this.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: &[u8]) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let mut got = vec![0; expected.len()];
            let read = within(self.0.read.read_exact(&mut got)).await;
            assert!(
                read.is_ok() && got == expected,
                "at {caller}: {:?}, {read:?}",
                got.escape_ascii().to_string()
            );
        }
    }

    /// Waits for the end of the stream.
    pub(crate) async fn ended(&mut self) {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = within(self.0.read.read_to_end(&mut rest)).await;
        assert_eq!(rest.escape_ascii().to_string(), "", "nothing more comes");
    }

    /// Ends our own sending.
    pub(crate) async fn half_close(&mut self) {
        self.0.write.shutdown().await.unwrap();
    }
}

/// A server that is not ours.
pub(crate) async fn listener() -> (Listener, SocketAddr) {
    let listener = World::real().net.listen("127.0.0.1:0", &ListenOptions::default()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    listener().await.1
}

/// `bytes` behind a length of two bytes.
pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length[..], bytes].concat()
}
