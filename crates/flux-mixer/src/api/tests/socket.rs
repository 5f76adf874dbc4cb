//! Events over a WebSocket, to a client that is not ours.

use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http;

use super::*;
use crate::events::Of;

#[tokio::test]
async fn events_come_over_a_socket_too() {
    let site = Site::new(false).await;
    let token = site.token(Role::Viewer).await;
    let served =
        serve(site.house.mixer.world(), "127.0.0.1:0", routes(site.house.mixer.clone(), false), None);
    let served = served.await.unwrap();
    let address = served.address();
    let connect = async |query: &str, token: &str| {
        let stream = tokio::net::TcpSocket::new_v4().unwrap().connect(address).await.unwrap();
        let mut request =
            format!("ws://{address}/api/v1/events/socket{query}").into_client_request().unwrap();
        let shown = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert(http::header::AUTHORIZATION, shown);
        tokio_tungstenite::client_async(request, stream).await.map(|(socket, _)| socket)
    };
    let tell = |about: &str| site.house.mixer.events().tell(1, "rack.active", about, Of::Fleet);
    let asked = async {
        assert!(connect("", "guess").await.is_err(), "who shows no token hears nothing");
        let mut socket = connect("", &token).await.unwrap();
        tell("north");
        let Message::Text(text) = socket.next().await.unwrap().unwrap() else { panic!("an event is a text") };
        let event: Json = serde_json::from_str(&text).unwrap();
        assert_eq!((&event["what"], &event["about"]), (&json!("rack.active"), &json!("north")));
        drop(socket);
        // It goes on where it was.
        tell("south");
        let after = format!("?after={}", event["id"].as_str().unwrap());
        let mut socket = connect(&after, &token).await.unwrap();
        let Message::Text(text) = socket.next().await.unwrap().unwrap() else { panic!("an event is a text") };
        assert!(text.contains("south"), "{text}");
        let mut socket = connect("?after=1-1", &token).await.unwrap();
        let Message::Close(Some(why)) = socket.next().await.unwrap().unwrap() else { panic!("it is behind") };
        assert_eq!(u16::from(why.code), 4001);
    };
    tokio::select! {
        biased;
        () = served.run() => unreachable!("it serves for ever"),
        () = asked => {}
    }
    // Asked for as any other page, it says what it is.
    let (status, problem) = site.ask(Method::GET, "/events/socket", &token, None).await;
    assert_eq!((status, problem["code"].as_str().is_some()), (StatusCode::BAD_REQUEST, true));
}
