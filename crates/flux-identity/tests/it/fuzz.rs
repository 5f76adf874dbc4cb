//! Each replays its committed corpus; under `cargo bolero test` it is a fuzz target.

use flux_identity::{EnrolmentRequest, SignedPassport, Token, rack_name};
use flux_scenario::passport::Passport;
use flux_scenario::signed::Signed;

#[test]
fn any_bytes_for_a_request() {
    bolero::check!().with_iterations(0).for_each(|bytes: &[u8]| {
        if let Ok((request, _)) = EnrolmentRequest::verify_own(bytes) {
            assert!(rack_name(request.rack.as_str()).is_ok());
            let _ = request.token();
        }
    });
}

/// Behind a signature that holds may be anything: whoever asks signs it.
#[test]
fn any_signed_line_for_a_request() {
    let passport = Passport::from_seed([7; 32]);
    bolero::check!().with_iterations(0).for_each(|bytes: &[u8]| {
        let line = String::from_utf8_lossy(bytes).replace('\n', " ");
        let signed = format!("fluxrig enrolment 1\n{line}\nkey {}\n", passport.public_key());
        let text = format!("{signed}signature {}\n", passport.sign(signed.as_bytes()));
        if let Ok((request, _)) = EnrolmentRequest::verify_own(text.as_bytes()) {
            assert!(rack_name(request.rack.as_str()).is_ok());
            assert!(EnrolmentRequest::verify_own(request.sign(&passport).as_bytes()).is_ok());
        }
    });
}

#[test]
fn any_signed_line_for_a_passport() {
    let cluster = Passport::from_seed([9; 32]);
    bolero::check!().with_iterations(0).for_each(|bytes: &[u8]| {
        let line = String::from_utf8_lossy(bytes).replace('\n', " ");
        let signed = format!("fluxrig signed-passport 1\n{line}\nkey {}\n", cluster.public_key());
        let text = format!("{signed}signature {}\n", cluster.sign(signed.as_bytes()));
        if let Ok(passport) = SignedPassport::verify(text.as_bytes(), &cluster.public_key()) {
            assert!(
                passport
                    .orders
                    .part
                    .iter()
                    .flat_map(|part| &part.wires)
                    .all(|wire| { wire.from == passport.rack || wire.to == passport.rack })
            );
        }
    });
}

#[test]
fn any_text_for_a_token() {
    bolero::check!().with_iterations(0).for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(token) = text.parse::<Token>() {
            assert_eq!(token.expose(), text.trim());
        }
    });
}

#[test]
fn the_corpora_are_there() {
    let targets = [
        "any_bytes_for_a_request",
        "any_signed_line_for_a_request",
        "any_signed_line_for_a_passport",
        "any_text_for_a_token",
    ];
    for target in targets {
        let corpus = format!("{}/tests/it/__fuzz__/fuzz__{target}/corpus", env!("CARGO_MANIFEST_DIR"));
        assert!(std::fs::read_dir(corpus).unwrap().count() >= 12, "{target}");
    }
}
