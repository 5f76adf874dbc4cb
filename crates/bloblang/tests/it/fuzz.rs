//! Any bytes from outside are read or refused. Each target replays its corpus here; `cargo bolero test` goes further.

use std::sync::LazyLock;

use bloblang::{Compiler, Limits, Mapping, Message};
use proptest::prelude::*;

use crate::world::compiler;

fn bounded() -> Compiler {
    compiler().limits(Limits { steps_max: 20_000, bytes_max: 1 << 20 })
}

/// Any text is a mapping or is refused, with places that are in it; what is laid out stays the same mapping.
#[test]
fn sources() {
    bolero::check!().for_each(|input: &[u8]| {
        let Ok(source) = std::str::from_utf8(input) else { return };
        match bounded().compile(source) {
            Err(error) => drop(error.render()),
            Ok(mapping) => {
                let message = Message::new(r#"{"a":[1,"b",{"c":null}],"d":"text","e":2.5}"#);
                let mapped = mapping.map(&message).map_err(|error| drop(error.render()));
                drop(mapped.map(|mapped| mapped.payload(&message)));
                let laid_out = bounded().format(source).unwrap();
                assert_eq!(bounded().format(&laid_out).as_deref(), Ok(&*laid_out));
            }
        }
    });
}

/// Pieces of mappings: the bytes choose among them, so that what is made is close to the language.
const PIECES: &[&str] = &[
    "root = ",
    "root.a = ",
    "let v = ",
    "meta k = ",
    "\n",
    " ",
    "this",
    "this.a",
    "$v",
    "@",
    "@k",
    "root",
    "x",
    "1",
    "-1",
    "0.5",
    "\"t\"",
    "null",
    "true",
    "deleted()",
    "nothing()",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    ",",
    ":",
    "\"k\": ",
    ".",
    " + ",
    " - ",
    " * ",
    " / ",
    " % ",
    " == ",
    " > ",
    " && ",
    " || ",
    " | ",
    "!",
    " -> ",
    " => ",
    "if ",
    " else ",
    "match ",
    "_",
    "map m {\n",
    "}\n",
    ".apply(\"m\")",
    ".map_each(",
    ".fold([], ",
    ".filter(",
    ".sort(",
    ".catch(",
    ".or(",
    "range(0, 9)",
    "counter()",
    ".string()",
    ".length()",
    ".merge(",
    ".(x -> ",
    "[0]",
    "[1:]",
    "[::-1]",
    ".repeat(99)",
    ".split(\"\")",
    ".join()",
    ".collapse()",
    ".with(\"a\")",
    ".explode(\"a\")",
    ".squash()",
    ".unique()",
];

/// Any sequence of pieces compiles or is refused, and what compiles ends within its budget.
#[test]
fn programs() {
    bolero::check!().for_each(|input: &[u8]| {
        let pieces = input.iter().map(|byte| PIECES[usize::from(*byte) % PIECES.len()]);
        let Ok(mapping) = bounded().compile(&pieces.collect::<String>()) else { return };
        let message = Message::new(r#"{"a":[3,1,[2]],"x":"text"}"#);
        drop(mapping.map(&message).map(|mapped| mapped.payload(&message)));
    });
}

/// Mappings that hand the content to every parser there is.
static PARSERS: LazyLock<Vec<Mapping>> = LazyLock::new(|| {
    let queries = [
        "parse_json()",
        "parse_yaml()",
        "parse_csv()",
        "parse_csv(lazy_quotes: true)",
        "parse_xml(cast: true)",
        "parse_msgpack()",
        "parse_url()",
        "parse_form_url_encoded()",
        "parse_duration()",
        "parse_duration_iso8601()",
        "ts_parse(\"Monday, 02-Jan-06 15:04:05.999 MST -0700\")",
        "ts_strptime(\"%Y-%m-%d %H:%M:%S.%f %z\")",
        "ts_format()",
        "ts_unix()",
        "unquote()",
        "unescape_html()",
        "unescape_url_query()",
        "strip_html([\"a\"])",
        "slug(\"de\")",
        "quote()",
        "decode(\"base64\")",
        "decode(\"ascii85\")",
        "decode(\"hex\")",
        "decompress(\"gzip\")",
        "decompress(\"zlib\")",
        "decompress(\"flate\")",
        "decompress(\"lz4\")",
        "decompress(\"snappy\")",
        "decompress(\"zstd\")",
        "decompress(\"bzip2\")",
        "int64()",
        "number()",
        "bool()",
        "float64()",
        "bloblang(\"root = this\")",
        "filepath_split()",
        "capitalize()",
        "parse_jwt_hs256(\"k\")",
        "string().(s -> \"x\".parse_jwt_rs256(s))",
        "string().(s -> \"x\".bloblang(s))",
        "string().(s -> [1,{\"a\":2}].json_path(s))",
        "string().(s -> [1].json_schema(s))",
        "string().(s -> s.format(1, \"x\", 2.5, [1], {\"a\":1}, null))",
        "string().(s -> \"abcabc\".re_find_all_object(s))",
        "string().(s -> \"abcabc\".re_replace_all(\"(b)(c)\", s))",
        "string().(s -> now().ts_format(s))",
        "string().(s -> now().ts_strftime(s))",
        "string().(s -> now().ts_add_iso8601(s))",
        "string().(s -> now().ts_tz(s))",
        "string().(s -> {\"a\":[{\"b\":1}]}.get(s))",
        "string().(s -> \"x\".compare_argon2(s))",
        "string().(s -> \"x\".parse_jwt_es256(s))",
    ];
    let compile =
        |query: &&str| bounded().compile(&format!("root = content().{query}")).expect("the mapping is right");
    queries.iter().map(compile).collect()
});

#[test]
fn contents() {
    bolero::check!().for_each(|input: &[u8]| {
        let message = Message::new(input.to_vec());
        let _ = message.document();
        for mapping in PARSERS.iter() {
            drop(mapping.map(&message).map(|mapped| mapped.payload(&message)));
        }
    });
}

/// What a parser does take, with some bytes of it changed, cut or doubled.
fn mangled() -> impl Strategy<Value = Vec<u8>> {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/__fuzz__/fuzz__contents/corpus");
    let mut files: Vec<_> =
        std::fs::read_dir(corpus).expect("the corpus").map(|file| file.expect("a file").path()).collect();
    files.sort();
    let contents: Vec<Vec<u8>> =
        files.iter().map(|file| std::fs::read(file).expect("a file of the corpus")).collect();
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..4);
    (prop::sample::select(contents), edits).prop_map(|(mut content, edits)| {
        for (place, byte, edit) in edits {
            let at = place.index(content.len() + 1);
            match edit {
                0 if at < content.len() => content[at] = byte,
                1 => content.insert(at, byte),
                2 => content.truncate(at),
                _ => content.extend_from_within(..at),
            }
        }
        content
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_almost_right_is_read_or_refused(content in mangled()) {
        let message = Message::new(content);
        for mapping in PARSERS.iter() {
            drop(mapping.map(&message).map(|mapped| mapped.payload(&message)));
        }
    }
}
