//! What holds for any value: what is written is read back, what is cut is what a simpler cut gives.

use bloblang::{Mapping, Message, Object, Root, Value};
use proptest::prelude::*;

use crate::cases::ALL;
use crate::world::compiler;

/// Any document; its floats are such that decimal digits hold them.
fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        "[\\x00-\\x7f]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec(("\\PC{0,4}", inner), 0..6).prop_map(|entries| {
                let entries = entries.into_iter().map(|(key, value)| (key.into(), value));
                Value::from(entries.collect::<Object>())
            }),
        ]
    })
}

/// What a mapping makes of a document.
fn mapped(source: &str, document: Value) -> Value {
    let mapping = Mapping::compile(source).expect("the mapping is right");
    match mapping.map(&Message::structured(document)).expect("the document is mapped").root {
        Root::New(value) => value,
        other => panic!("{source}: {other:?}"),
    }
}

fn pair(a: Value, b: Value) -> Value {
    Value::from([("a".into(), a), ("b".into(), b)].into_iter().collect::<Object>())
}

proptest! {
    #[test]
    fn documents_are_read_back(document in documents()) {
        let written = document.to_json();
        let read = Value::from_json(written.as_bytes()).unwrap();
        prop_assert_eq!(&read, &document);
        prop_assert_eq!(read.to_json(), written);
    }

    #[test]
    fn formats_are_read_back(document in documents()) {
        for format in ["json", "yaml", "msgpack"] {
            let source = format!("root = [this.format_{format}().parse_{format}()]");
            let read = mapped(&source, document.clone());
            prop_assert_eq!(read.index(0), Some(&document), "{}", format);
        }
    }

    #[test]
    fn a_diff_patches(a in documents(), b in documents()) {
        let patched = mapped("root = [this.a.patch(this.a.diff(this.b))]", pair(a, b.clone()));
        prop_assert_eq!(patched.index(0), Some(&b));
    }

    #[test]
    fn bytes_are_read_back(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let encodings = ["hex", "base64", "base64url", "base64rawurl", "ascii85"];
        let algorithms = ["gzip", "zlib", "flate", "lz4", "snappy", "zstd"];
        let source = format!(
            "root = {encodings:?}.all(s -> content().encode(s).decode(s) == content()) && \
             {algorithms:?}.all(a -> content().compress(a).decompress(a) == content())"
        );
        let mapping = Mapping::compile(&source).unwrap();
        let mapped = mapping.map(&Message::new(bytes)).unwrap();
        prop_assert_eq!(mapped.root, Root::New(Value::from(true)));
    }

    #[test]
    fn slices_are_those_of_a_filter(
        length in 0i64..9,
        low in prop::option::of(-12i64..12),
        high in prop::option::of(-12i64..12),
        step in (-4i64..5).prop_filter("not zero", |step| *step != 0),
    ) {
        let bound = |bound: Option<i64>| bound.map_or(String::new(), |bound| bound.to_string());
        let source = format!("root = this[{}:{}:{step}]", bound(low), bound(high));
        let items: Vec<Value> = (0..length).map(Value::from).collect();
        let sliced = mapped(&source, Value::from(items));
        // Walks from one bound to the other, and keeps what is there.
        let real = |bound: i64| if bound < 0 { bound + length } else { bound };
        let (start, end) = if step > 0 { (0, length) } else { (length - 1, -1) };
        let low = low.map_or(start, real).clamp(if step > 0 { 0 } else { -1 }, if step > 0 { length } else { length - 1 });
        let high = high.map_or(end, |high| real(high).clamp(-1, length));
        let is_within = |at: &i64| if step > 0 { *at < high } else { *at > high };
        let walk = std::iter::successors(Some(low), |at| Some(at + step)).take_while(is_within);
        let expected: Vec<Value> = walk.filter(|at| (0..length).contains(at)).map(Value::from).collect();
        prop_assert_eq!(sliced.as_array(), Some(&expected[..]));
    }

    #[test]
    fn moments_are_read_back(seconds in -62_135_596_800i64..253_402_300_799, offset in -14i64..15) {
        let zone = format!("Etc/GMT{offset:+}").replace("+0", "");
        let source = format!(
            "let t = this.ts_tz({zone:?})\n\
             root = [$t.ts_unix(), $t.ts_format().ts_unix(), $t.ts_strftime(\"%Y-%m-%dT%H:%M:%S%z\").ts_strptime(\"%Y-%m-%dT%H:%M:%S%z\").ts_unix()]"
        );
        prop_assume!((-62_135_500_000..253_402_200_000).contains(&seconds) && offset.abs() <= 12);
        let read = mapped(&source, Value::from(seconds));
        prop_assert_eq!(read.as_array(), Some(&[seconds, seconds, seconds].map(Value::from)[..]));
    }
}

/// The mappings of all cases.
fn sources() -> Vec<String> {
    let cases = ALL.iter().flat_map(|text| text.split("\n== ").skip(1));
    let source = |case: &str| {
        case.lines().skip(1).take_while(|line| !line.starts_with("-- ")).collect::<Vec<_>>().join("\n")
    };
    cases.map(source).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A mapping with a part of another in the midst of it compiles or is refused, and ends within its budget.
    #[test]
    fn what_is_spliced_ends(
        which in any::<(prop::sample::Index, prop::sample::Index)>(),
        at in any::<[prop::sample::Index; 4]>(),
    ) {
        let sources = sources();
        let (a, b) = (which.0.get(&sources), which.1.get(&sources));
        let place = |text: &str, index: &prop::sample::Index| text.floor_char_boundary(index.index(text.len() + 1));
        let [from, to] = [place(a, &at[0]), place(a, &at[1])];
        let [start, end] = [place(b, &at[2]), place(b, &at[3])];
        let spliced = format!("{}{}{}", &a[..from.min(to)], &b[start.min(end)..start.max(end)], &a[from.max(to)..]);
        let limits = bloblang::Limits { steps_max: 50_000, bytes_max: 1 << 20 };
        match compiler().limits(limits).compile(&spliced) {
            Err(error) => drop(error.render()),
            Ok(mapping) => {
                let message = Message::new(r#"{"a":[1,"b"],"b":{"c":2},"foo":"bar","value":"x,y","thing":null}"#);
                drop(mapping.map(&message).map(|mapped| mapped.payload(&message)).map_err(|error| error.render()));
            }
        }
    }
}

/// The mappings of all cases, laid out, are the same mappings.
#[test]
fn what_is_laid_out_means_the_same() {
    for case in ALL.iter().flat_map(|text| text.split("\n== ").skip(1)) {
        let lines: Vec<&str> = case.lines().skip(1).take_while(|line| !line.starts_with("-- ")).collect();
        let input = case.lines().find_map(|line| line.strip_prefix("-- ")).unwrap();
        let source = lines.join("\n");
        let laid_out = compiler().format(&source).unwrap();
        let message = Message::new(input.to_owned());
        let result = |source: &str| {
            let mapping = compiler().compile(source).unwrap();
            mapping
                .map(&message)
                .map(|mapped| mapped.payload(&message))
                .map_err(|error| error.message().to_owned())
        };
        assert_eq!(result(&laid_out), result(&source), "{source}\nlaid out as\n{laid_out}");
    }
}

/// Deep documents and deep recursion stay on the stack of a small thread.
#[test]
fn depth_is_bounded_on_a_small_stack() {
    let check = || {
        let deep = format!("{}1{}", "[".repeat(120), "]".repeat(120));
        let walk = "map walk { root = match { this.type() == \"array\" => this.map_each(e -> e.apply(\"walk\")), _ => this } }\n";
        let mapping = Mapping::compile(&format!("{walk}root = this.apply(\"walk\")")).unwrap();
        let mapped = mapping.map(&Message::new(deep.clone())).unwrap();
        assert_eq!(mapped.payload(&Message::default()).unwrap(), deep);
        let forever = [
            "map f { root = this.apply(\"f\") }",
            "map f { root = [{\"a\": (1 + [this].map_each(x -> x.apply(\"f\")).index(0))}] }",
            "map f { root = [2, 1].sort(p -> p.apply(\"f\")) }",
            "map f { root = if this.apply(\"f\") { 1 } else { match this { _ => 2 } } }",
            "map f { root = this.apply(\"f\").catch(1).or(2).(x -> x) | 3 }",
            "map f { root = {\"a\": this}.map_each(i -> i.value.apply(\"f\")).map_each_key(k -> k) }",
        ];
        for map in forever {
            let mapping = Mapping::compile(&format!("{map}\nroot = this.apply(\"f\")")).unwrap();
            let error = mapping.map(&Message::new("1")).unwrap_err();
            assert!(error.is_exhausted(), "{map}: {error}");
        }
    };
    std::thread::Builder::new().stack_size(3 << 19).spawn(check).unwrap().join().unwrap();
}
