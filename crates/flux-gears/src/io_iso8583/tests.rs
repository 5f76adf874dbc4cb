//! The gear against the conformance suite, configurations that cannot be, and headers against anything.

use flux_gear::{Bytes, FluxId, FluxMsg, Metadata, conformance, mock::Mock};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{IoIso8583, dialect::unlike, header::Header};

#[test]
fn it_is_a_gear() {
    conformance::check::<IoIso8583>(json!({ "mode": "server", "bind": "127.0.0.1:0" }), Mock::new);
    conformance::check::<IoIso8583>(json!({ "mode": "client", "connect": "127.0.0.1:9" }), Mock::new);
}

#[track_caller]
fn check(options: Json, why: &str) {
    let mut config = json!({ "mode": "server" });
    config.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let refused = Mock::new().build::<IoIso8583>(config).err().expect("it is refused").to_string();
    assert!(refused.contains(why), "{why:?} in {refused:?}");
}

#[test]
fn a_configuration_that_cannot_be_is_refused() {
    check(json!({ "mode": "client" }), "a client needs `connect`");
    check(json!({ "frame_length_size": 3 }), "`frame_length_size` is 2 or 4, not 3");
    check(json!({ "tpdu_enabled": true, "protocol_header_size": 4 }), "set one of");
    check(json!({ "tpdu_enabled": true, "tpdu": "60" }), "not 5 bytes in hexadecimal");
    check(json!({ "variant": "visa", "visa_src_id": "12345" }), "not six hexadecimal digits");
    check(json!({ "variant": "visa", "visa_dst_id": "12345g" }), "not six hexadecimal digits");
    check(json!({ "answer_network_management": true }), "set either `spec_path`");
    check(json!({ "answer_network_management": true, "spec_path": "none.yaml" }), "none.yaml");
    check(json!({ "tls": {} }), "needs `cert_file` and `key_file`");
}

#[test]
fn a_frame_of_another_encoding_is_refused_by_the_name_of_the_option() {
    let text = b"08000020000000000000123456";
    let ebcdic = b"\xf0\xf8\xf0\xf0\0\x20\0\0\0\0\0\0\xf1\xf2\xf3";
    let bcd = b"\x08\0\0\x20\0\0\0\0\0\0\x12\x34\x56";
    assert_eq!(unlike(text), "the frame looks like a message of another `encoding`: ascii");
    assert_eq!(unlike(ebcdic), "the frame looks like a message of another `encoding`: ebcdic");
    assert_eq!(unlike(bcd), "the frame looks like a message of another `encoding`: bcd");
    assert_eq!(unlike(b"GET / HTTP/1.1\r\n\r\n"), "the frame does not look like a message");
}

/// Every kind of header.
fn headers() -> Vec<Header> {
    let options = [
        json!({}),
        json!({ "tpdu_enabled": true }),
        json!({ "tpdu_enabled": true, "tpdu_length": 7 }),
        json!({ "protocol_header_size": 12 }),
        json!({ "protocol_header_size": 255, "preserve_headers": true }),
        json!({ "variant": "visa", "visa_src_id": "000001" }),
        json!({ "variant": "visa", "preserve_headers": true }),
    ];
    let header = |options: Json| {
        let mut config = json!({ "mode": "server" });
        config.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        Header::new(&serde_json::from_value(config).unwrap()).unwrap()
    };
    options.into_iter().map(header).collect()
}

/// Whatever a frame is, its header comes off or is refused, and the rest goes out and comes in again unchanged.
fn there_and_back(header: &Header, frame: &[u8]) {
    let mut message = Bytes::copy_from_slice(frame);
    let Ok(head) = header.split_off(&mut message) else { return };
    assert_eq!([&head[..], &message].concat(), frame);
    let mut msg = FluxMsg::new(FluxId::v7(1, 1), 0, message.clone());
    let mut metadata = Metadata::new();
    header.describe(&head, &mut metadata);
    msg.metadata = metadata;
    for is_reply in [false, true] {
        let mut again = header.frame(&msg, is_reply).unwrap();
        header.split_off(&mut again).unwrap();
        assert_eq!(again, message);
    }
}

proptest! {
    #[test]
    fn headers_go_there_and_back(frame in proptest::collection::vec(any::<u8>(), 0..400), visa in any::<bool>()) {
        let mut frame = frame;
        if let Some(first) = frame.first_mut().filter(|_| visa) {
            *first = 22;
        }
        headers().iter().for_each(|header| there_and_back(header, &frame));
    }

    #[test]
    fn metadata_of_others_does_no_harm(text in ".{0,40}", message in proptest::collection::vec(any::<u8>(), 1..40)) {
        for header in headers() {
            for text in [text.clone(), format!("hex:{text}")] {
                let mut msg = FluxMsg::new(FluxId::v7(1, 1), 0, message.clone());
                msg.metadata.set("iso8583.raw_header", text);
                let mut frame = header.frame(&msg, true).unwrap();
                header.split_off(&mut frame).unwrap();
                prop_assert_eq!(&frame, &message);
            }
        }
    }
}

/// Fuzz target: any frame under any header. Replays its corpus as an ordinary test.
#[test]
fn headers_take_anything() {
    let headers = headers();
    bolero::check!().for_each(|input: &[u8]| {
        let [choice, frame @ ..] = input else { return };
        there_and_back(&headers[usize::from(*choice) % headers.len()], frame);
    });
}
