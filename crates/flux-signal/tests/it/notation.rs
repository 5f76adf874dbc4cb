//! The diagnostic notation beyond the examples of the RFC: JSON, other bases, comments, and mistakes.

use expect_test::{Expect, expect};
use flux_signal::cbor::{diagnose, parse_diagnostic};

/// What a notation stands for, printed back.
fn check(notation: &str, expected: Expect) {
    match parse_diagnostic(notation) {
        Ok(bytes) => expected.assert_eq(&diagnose(&bytes).unwrap()),
        Err(error) => expected.assert_eq(&error.to_string()),
    }
}

#[test]
fn json_is_understood() {
    check(
        "\n{ \"a\" : [ 1, -2.50e1, true ,null ] , \"b\":{} }\n",
        expect![[r#"{"a": [1, -25.0, true, null], "b": {}}"#]],
    );
    check(
        r#""\u00fc \ud83d\ude00 \/ \b\f\n\r\t \" \\ é""#,
        expect![[r#""ü 😀 / \u0008\u000c\n\r\t \" \\ é""#]],
    );
    check("[1e3, 1E+3, 100, 0, -0, -0.0]", expect!["[1000.0, 1000.0, 100, 0, 0, -0.0]"]);
}

#[test]
fn bytes_come_in_three_bases() {
    check(
        "[h'00 FF', b64'AP8=', b64'_-8', b64'//8', 'it\\'s']",
        expect!["[h'00ff', h'00ff', h'ffef', h'ffff', h'69742773']"],
    );
    check("(_ h'01', 'a')", expect!["(_ h'01', h'61')"]);
    check("[''_, \"\"_]", expect![[r#"[''_, ""_]"#]]);
}

#[test]
fn tags_simple_values_and_comments() {
    check("/ a date / 1( 2 / seconds / )", expect!["1(2)"]);
    check(
        "[simple(0), simple( 255 ), simple(22), undefined, -Infinity]",
        expect!["[simple(0), simple(255), null, undefined, -Infinity]"],
    );
    check("{1: 2, [3]: 4, h'': {_ }}", expect!["{1: 2, [3]: 4, h'': {_ }}"]);
    check("18446744073709551615(0)", expect!["18446744073709551615(0)"]);
}

#[test]
fn integers_of_128_bits() {
    check("170141183460469231731687303715884105727", expect!["170141183460469231731687303715884105727"]);
    check("-170141183460469231731687303715884105728", expect!["-170141183460469231731687303715884105728"]);
    check("340282366920938463463374607431768211455", expect!["2(h'ffffffffffffffffffffffffffffffff')"]);
    check("-18446744073709551616", expect!["-18446744073709551616"]);
    check("2(h'05')", expect!["2(h'05')"]);
}

#[test]
fn mistakes_are_located() {
    check("", expect!["line 1, column 1 of the notation: expected a value"]);
    check("[1,\n 2 3]", expect!["line 2, column 4 of the notation: expected `,` or `]`"]);
    check("[1,]", expect!["line 1, column 4 of the notation: expected a value"]);
    check("[1", expect!["line 1, column 3 of the notation: expected `,` or `]`"]);
    check("{\"ü\" 1}", expect!["line 1, column 6 of the notation: expected `:`"]);
    check("{,}", expect!["line 1, column 2 of the notation: expected a value"]);
    check("01", expect!["line 1, column 1 of the notation: expected digits, the first of several not zero"]);
    check("-", expect!["line 1, column 1 of the notation: expected digits, the first of several not zero"]);
    check("1.", expect!["line 1, column 3 of the notation: expected a digit"]);
    check("1e999", expect!["line 1, column 1 of the notation: a float beyond the range of a double"]);
    check(
        "340282366920938463463374607431768211456",
        expect!["line 1, column 1 of the notation: an integer beyond 128 bits: write it as 2(h'..')"],
    );
    check("18446744073709551616(0)", expect!["line 1, column 21 of the notation: a tag beyond 64 bits"]);
    check("h'0'", expect!["line 1, column 5 of the notation: a byte string that ends inside a byte"]);
    check("h'0g'", expect!["line 1, column 4 of the notation: expected a digit of the string's base"]);
    check("b64'A'", expect!["line 1, column 7 of the notation: a byte string that ends inside a byte"]);
    check(
        "\"a\nb\"",
        expect![[r#"line 1, column 3 of the notation: a control character in a string: write it as \u"#]],
    );
    check("\"\\x\"", expect!["line 1, column 3 of the notation: an escape that JSON does not have"]);
    check("\"\\ud800\"", expect!["line 1, column 8 of the notation: half of a surrogate pair"]);
    check("\"open", expect!["line 1, column 6 of the notation: a string without its end"]);
    check("(_ )", expect!["line 1, column 4 of the notation: expected a string"]);
    check(
        "(_ h'', \"\")",
        expect!["line 1, column 9 of the notation: a chunk of another kind than its string"],
    );
    check(
        "simple(24)",
        expect!["line 1, column 8 of the notation: expected a simple value: 0 to 23 or 32 to 255"],
    );
    check("/ open", expect!["line 1, column 1 of the notation: a comment without its end"]);
    check("true false", expect!["line 1, column 6 of the notation: text follows the value"]);
    check("nul", expect!["line 1, column 1 of the notation: expected a value"]);
    check(&"[".repeat(100_000), expect!["line 1, column 67 of the notation: nested deeper than 64 levels"]);
}
