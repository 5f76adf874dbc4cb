//! TLS both ways, and mutual.

use flux_gear::mock::Mock;
use flux_gears::{io_iso8583::IoIso8583, io_tcp::IoTcp};
use serde_json::{Value as Json, json};

use crate::{
    certificates::Authority,
    kit::{address, conn_id, connections, received, send, started},
};

const OWN: [&str; 2] = ["own.pem", "own.key"];

fn server(tls: Json) -> Json {
    json!({ "mode": "server", "bind": "127.0.0.1:0", "framing": "delimiter", "delimiter_append": true, "tls": tls })
}

fn client(addr: std::net::SocketAddr, tls: Json) -> Json {
    json!({
        "mode": "client", "connect": addr.to_string(), "framing": "delimiter", "delimiter_append": true,
        "reconnect_wait": "5ms", "tls": tls,
    })
}

#[tokio::test]
async fn both_ends_know_each_other() {
    let authority = Authority::new();
    let mock = |name| authority.equip(Mock::new(), name);
    let mutual = json!({ "cert_file": OWN[0], "key_file": OWN[1], "ca_file": "ca.pem" });
    let mut server = started::<IoTcp>(mock("localhost"), server(mutual.clone())).await;
    let mut named = mutual;
    named["server_name"] = "localhost".into();
    let mut client = started::<IoTcp>(mock("terminal"), client(address(&server), named)).await;
    send(&mut client, None, b"question").await.unwrap();
    let question = received(&server).await;
    assert_eq!(question.payload, &b"question"[..]);
    send(&mut server, Some(conn_id(&question)), b"answer").await.unwrap();
    assert_eq!(received(&client).await.payload, &b"answer"[..]);
    client.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn iso8583_links_are_mutual_too() {
    let authority = Authority::new();
    let mock = |name| authority.equip(Mock::new(), name);
    let mut tls =
        json!({ "cert_file": OWN[0], "key_file": OWN[1], "ca_file": "ca.pem", "server_name": "switch" });
    let config = json!({ "mode": "server", "bind": "127.0.0.1:0", "tls": tls });
    let server = started::<IoIso8583>(mock("switch"), config).await;
    let config =
        |tls: &Json| json!({ "mode": "client", "connect": address(&server).to_string(), "tls": tls });
    let mut client = started::<IoIso8583>(mock("acquirer"), config(&tls)).await;
    send(&mut client, None, b"08000000000000000000").await.unwrap();
    assert_eq!(received(&server).await.payload, &b"08000000000000000000"[..]);
    client.stop().await;
    connections(&server, 0).await;

    for key in ["cert_file", "key_file"] {
        tls.as_object_mut().unwrap().remove(key);
    }
    let mut stranger = started::<IoIso8583>(mock("acquirer"), config(&tls)).await;
    // TLS 1.3 lets a client talk before it hears that it is not welcome; nobody listens.
    let _ = send(&mut stranger, None, b"08000000000000000000").await;
    let quiet =
        server.ctx.world().clock.timeout(std::time::Duration::from_millis(300), server.emitted()).await;
    assert!(quiet.is_err() && !server.ctx.control().link("gear").is_up());
    stranger.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_not_talked_to() {
    let (authority, other) = (Authority::new(), Authority::new());
    let tls = json!({ "cert_file": OWN[0], "key_file": OWN[1] });
    let server = started::<IoTcp>(other.equip(Mock::new(), "localhost"), server(tls)).await;
    let tls = json!({ "ca_file": "ca.pem", "server_name": "localhost" });
    let config = client(address(&server), tls);
    let mut client = started::<IoTcp>(authority.equip(Mock::new(), "x"), config).await;
    let refused = send(&mut client, None, b"secret").await.expect_err("the handshake fails");
    assert_eq!(refused.reason_word(), "no_connection");
    client.stop().await;
    server.stop().await;
}
