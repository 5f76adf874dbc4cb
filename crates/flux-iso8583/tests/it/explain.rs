//! Dumps for people: complete, in place, and never with card data.

use std::sync::Arc;

use expect_test::expect;
use flux_iso8583::{Message, Spec, explain, mask, render};
use flux_signal::Value;
use proptest::prelude::*;

use crate::fixture::{ascii, builtin, example, hex, inline, unhex};

/// The dump without the indentation all its lines share: the expectations below cannot hold it.
fn shown(lines: &[flux_iso8583::Line]) -> String {
    render(lines).lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect()
}

#[test]
fn a_message_is_explained_line_by_line() {
    expect![[r#"
            0  mti               Message type                              0200                                      30323030
            4  bitmap            Fields present                            2 3 4 7 11 12 13 14 18 22 25 32 35 37 41 42 43 49 55  37323343343438313238453038323030
           20  2                 Primary account number                    411111******1111                          3136 343131313131************31313131
           38  3                 Processing code                           6 bytes
           38    3.transaction   transaction                               00                                        3030
           40    3.account_from  account_from                              00                                        3030
           42    3.account_to    account_to                                00                                        3030
           44  4                 Amount, transaction                       000000012345                              303030303030303132333435
           56  7                 Transmission date and time                1105143015                                31313035313433303135
           66  11                Systems trace audit number                000042                                    303030303432
           72  12                Time, local transaction                   143015                                    313433303135
           78  13                Date, local transaction                   1105                                      31313035
           82  14                Date, expiration                          ****                                      ********
           86  18                Merchant type                             5411                                      35343131
           90  22                Point of service entry mode               051                                       303531
           93  25                Point of service condition code           00                                        3030
           95  32                Acquiring institution identification code  123456                                    3036 313233343536
          103  35                Track 2 data                              *************************************     3337 **************************************************************************
          142  37                Retrieval reference number                630914000042                              363330393134303030303432
          154  41                Card acceptor terminal identification     TERM0001                                  5445524D30303031
          162  42                Card acceptor identification code         MERCHANT0000001                           4D45524348414E5430303030303031
          177  43                Card acceptor name and location           40 bytes
          177    43.name         name                                      FINE FOODS STORE                          46494E4520464F4F44532053544F5245202020202020202020
          202    43.city         city                                      AMSTERDAM                                 414D5354455244414D20202020
          215    43.country      country                                   NL                                        4E4C
          217  49                Currency code, transaction                978                                       393738
          220  55                Integrated circuit card data              98 bytes                                  303938
          223    55.9F26         Application cryptogram                    A1B2C3D4E5F60708                          9F2608 A1B2C3D4E5F60708
          234    55.9F27         Cryptogram information data               80                                        9F2701 80
          238    55.9F10         Issuer application data                   06011203A00000                            9F1007 06011203A00000
          248    55.9F37         Unpredictable number                      11223344                                  9F3704 11223344
          255    55.9F36         Application transaction counter           0042                                      9F3602 0042
          260    55.95           Terminal verification results             0000008000                                9505 0000008000
          267    55.9A           Transaction date                          261105                                    9A03 261105
          272    55.9C           Transaction type                          00                                        9C01 00
          275    55.9F02         Amount, authorized                        000000012345                              9F0206 000000012345
          284    55.5F2A         Transaction currency code                 0978                                      5F2A02 0978
          289    55.82           Application interchange profile           5800                                      8202 5800
          293    55.9F1A         Terminal country code                     0528                                      9F1A02 0528
          298    55.9F03         Amount, other                             000000000000                              9F0306 000000000000
          307    55.9F33         Terminal capabilities                     E0F8C8                                    9F3303 E0F8C8
          313    55.5F34         Primary account number sequence number    01                                        5F3401 01
          317    55.9F35         Terminal type                             22                                        9F3501 22
    "#]].assert_eq(&shown(&explain(&example("acquirer"), &ascii())));
}

#[test]
fn a_malformed_message_is_explained_up_to_the_problem() {
    let mut frame = ascii();
    frame.truncate(270);
    expect![[r#"
            0  mti               Message type                              0200                                      30323030
            4  bitmap            Fields present                            2 3 4 7 11 12 13 14 18 22 25 32 35 37 41 42 43 49 55  37323343343438313238453038323030
           20  2                 Primary account number                    411111******1111                          3136 343131313131************31313131
           38  3                 Processing code                           6 bytes
           38    3.transaction   transaction                               00                                        3030
           40    3.account_from  account_from                              00                                        3030
           42    3.account_to    account_to                                00                                        3030
           44  4                 Amount, transaction                       000000012345                              303030303030303132333435
           56  7                 Transmission date and time                1105143015                                31313035313433303135
           66  11                Systems trace audit number                000042                                    303030303432
           72  12                Time, local transaction                   143015                                    313433303135
           78  13                Date, local transaction                   1105                                      31313035
           82  14                Date, expiration                          ****                                      ********
           86  18                Merchant type                             5411                                      35343131
           90  22                Point of service entry mode               051                                       303531
           93  25                Point of service condition code           00                                        3030
           95  32                Acquiring institution identification code  123456                                    3036 313233343536
          103  35                Track 2 data                              *************************************     3337 **************************************************************************
          142  37                Retrieval reference number                630914000042                              363330393134303030303432
          154  41                Card acceptor terminal identification     TERM0001                                  5445524D30303031
          162  42                Card acceptor identification code         MERCHANT0000001                           4D45524348414E5430303030303031
          177  43                Card acceptor name and location           40 bytes
          177    43.name         name                                      FINE FOODS STORE                          46494E4520464F4F44532053544F5245202020202020202020
          202    43.city         city                                      AMSTERDAM                                 414D5354455244414D20202020
          215    43.country      country                                   NL                                        4E4C
          217  49                Currency code, transaction                978                                       393738
          220  55                ! field 55 at byte 220: expected 98 bytes, 47 left
    "#]].assert_eq(&shown(&explain(&example("acquirer"), &frame)));
    let mut frame = ascii();
    let at = frame.len() - 6;
    frame[at] = 0x7f;
    let lines = explain(&example("acquirer"), &frame);
    let problem = lines.last().and_then(|line| line.problem.clone()).unwrap_or_default();
    assert!(problem.starts_with("field 55 part "), "{problem}");
    assert!(lines.iter().any(|line| line.path == "55.9F26"), "the parts before it are shown");
    assert_eq!(
        render(&explain(&builtin("iso87ascii"), b"02")),
        "    0  mti  ! mti at byte 0: expected 4 bytes, 2 left\n"
    );
}

#[test]
fn single_values_are_masked_by_path() {
    let spec = example("acquirer");
    for (path, text, shown) in [
        ("2", "4111111111111111", "411111******1111"),
        ("2", "4111111111", "**********"),
        ("35", "4111111111111111=2812", "*********************"),
        ("14", "2812", "****"),
        ("11", "000042", "000042"),
        ("55.5A", "4111111111111111", "411111******1111"),
        ("55.5F24", "281231", "******"),
        ("55.9F26", "A1B2C3D4E5F60708", "A1B2C3D4E5F60708"),
        ("48.note", "call me", "*******"),
        ("60", "PAN 4111111111111111.", "PAN 411111******1111."),
        ("nothing", "secret", "******"),
    ] {
        assert_eq!(mask(&spec, path, text), shown, "{path}");
    }
}

/// The sum of ISO/IEC 7812-1 Annex B: an account number has one that is a multiple of ten.
fn luhn_sum(digits: &[u8]) -> u32 {
    let value = |(place, digit): (usize, &u8)| {
        let value = u32::from(digit - b'0') << (place % 2);
        if value > 9 { value - 9 } else { value }
    };
    digits.iter().rev().enumerate().map(value).sum()
}

/// An account number with a fitting check digit.
fn pan() -> impl Strategy<Value = String> {
    "[2-6][0-9]{11,17}".prop_map(|body| {
        let check =
            (0..10).find(|check| luhn_sum(format!("{body}{check}").as_bytes()).is_multiple_of(10)).unwrap();
        format!("{body}{check}")
    })
}

/// Another account number with the same six digits in front and four behind, and other digits everywhere between.
fn twin(pan: &str) -> Option<String> {
    let shifted = |shift: u8, first: u8| {
        let mut digits = pan.as_bytes().to_vec();
        let end = digits.len() - 4;
        digits[6..end].iter_mut().for_each(|digit| *digit = b'0' + (*digit - b'0' + shift) % 10);
        digits[6] = first;
        digits
    };
    (1..10)
        .flat_map(|shift| (b'0'..=b'9').map(move |first| shifted(shift, first)))
        .find(|digits| digits[6] != pan.as_bytes()[6] && luhn_sum(digits).is_multiple_of(10))
        .map(|digits| digits.iter().copied().map(char::from).collect())
}

/// All that is said about a message with these fields, whole, cut, and set to what it cannot hold.
fn said(spec: &Arc<Spec>, pan: &str, fields: &[(&str, Value)]) -> String {
    let mut message = Message::new(Arc::clone(spec), "0200").unwrap();
    for (path, value) in fields {
        message.set(path, value).unwrap_or_else(|error| panic!("{error}"));
    }
    let frame = message.to_bytes();
    let mut said = format!("{message:?}\n{}", render(&explain(spec, &frame)));
    for cut in [frame.len() - 1, frame.len() - 5, frame.len() / 2] {
        let error = Message::decode(Arc::clone(spec), frame.slice(..cut)).unwrap_err();
        said += &format!("{error} {error:?}\n{}", render(&explain(spec, &frame[..cut])));
    }
    for (path, _) in fields {
        let value = Value::from(format!("!!!!{pan}x{pan}x{pan}x{pan}x{pan}").as_str());
        said += &message.set(path, &value).map_or_else(|error| format!("{error}\n"), |()| String::new());
    }
    said
}

/// The same for an account number in every field and form that can hold one, under specs of every encoding.
fn said_everywhere(pan: &str) -> String {
    let track2 = format!("{pan}=2812101000");
    let track1 = format!("B{pan}^DOE/J^2812101000");
    let packed = if pan.len() % 2 == 1 { format!("{pan}F") } else { pan.to_owned() };
    let stripe = format!("{pan}D2812101000");
    let stripe = if stripe.len() % 2 == 1 { format!("{stripe}F") } else { stripe };
    let text = |text: &str| Value::from(text);
    let bytes = |hex: &str| Value::Bytes(unhex(hex).into());
    let spelt = hex(pan.as_bytes());
    let chip = format!(
        "5A{:02X}{packed} 57{:02X}{stripe} DF01{:02X}{packed} DF02{:02X}{spelt} 7704DF030100",
        packed.len() / 2,
        stripe.len() / 2,
        packed.len() / 2,
        spelt.len() / 2,
    );
    let common = [
        ("2", text(pan)),
        ("35", text(&track2)),
        ("45", text(&track1)),
        ("55", bytes(&chip)),
        ("60", text(&format!("card {pan} here"))),
        ("102", text(pan)),
    ];
    let ebcdic = inline(
        "extends: iso87binary
wire:
  fields:
    2: {enc: EBCDIC, prefix: EBCDIC.LL}
    35: {enc: EBCDIC, prefix: EBCDIC.LL}
    60: {enc: EBCDIC, prefix: EBCDIC.LLL}
    61: {type: Binary, enc: Binary}
    62: {type: Composite, subfields: {layout: tlv, tag: {length: 2}}}",
    );
    let tagged = format!("01{:02}{pan}", pan.len());
    let fields = [
        ("2", text(pan)),
        ("35", text(&track2)),
        ("60", text(pan)),
        ("61", bytes(&packed)),
        ("62", text(&tagged)),
    ];
    [example("acquirer"), example("acquirer-bcd"), builtin("iso87ascii"), builtin("iso87hex")]
        .iter()
        .map(|spec| said(spec, pan, &common))
        .chain([said(&ebcdic, pan, &fields)])
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_account_number_is_ever_seen(pan in pan()) {
        let Some(twin) = twin(&pan) else { return Err(TestCaseError::reject("no other number fits")) };
        let (ours, theirs) = (said_everywhere(&pan), said_everywhere(&twin));
        prop_assert_eq!(ours.lines().count(), theirs.lines().count());
        // What differs comes from the digits between, and none of those is seen in any form on either side.
        for ((ours, theirs), line) in ours.lines().zip(theirs.lines()).zip(1..) {
            let is_hidden = |(ours, theirs): (char, char)| ours == theirs || ours == '*' || theirs == '*';
            let is_fine = ours.len() == theirs.len() && ours.chars().zip(theirs.chars()).all(is_hidden);
            prop_assert!(is_fine, "line {} of {} and {}:\n{}\n{}", line, pan, twin, ours, theirs);
        }
    }
}
