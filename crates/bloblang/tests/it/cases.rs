//! Cases in files: mappings with what goes in and what comes out.
//!
//! A case begins with `== title`; its mapping follows, then inputs (`-- `), each with what it maps to: `=> ` and the
//! payload, `=> <deleted>`, `=@ ` and the metadata, or `=! ` and a part of the error. In a payload `\n` is a newline.
//! An input of `<<` parts `>>` separated by `||` is a batch of which the first message is mapped.

use bloblang::{Mapping, Message, Root};

use crate::world::compiler;

fn check(name: &str, text: &str) {
    let (mut count, mut wrong) = (0, Vec::new());
    for case in text.split("\n== ").skip(1) {
        let (title, rest) = case.split_once('\n').expect("a case has a mapping");
        let lines: Vec<&str> = rest.lines().collect();
        let start = lines.iter().position(|line| line.starts_with("-- ")).unwrap_or(lines.len());
        let source = lines[..start].join("\n");
        let mapping = compiler()
            .compile(&source)
            .unwrap_or_else(|error| panic!("{name}, {title}:\n{}", error.render()));
        assert!(start < lines.len(), "{name}, {title}: no input");
        for pair in lines[start..].iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().chunks(2) {
            let input = pair[0].strip_prefix("-- ").unwrap_or_else(|| panic!("{name}, {title}: {}", pair[0]));
            let mapped = mapped(&mapping, input, pair[1]);
            if mapped != *pair[1] {
                wrong.push(format!("{name}, {title}: {input}\n{mapped}\n{} was expected", pair[1]));
            }
            count += 1;
        }
    }
    assert!(count > 0 && wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What an input maps to, in the words of the file; an error is cut to what was expected of it.
fn mapped(mapping: &Mapping, input: &str, expected: &str) -> String {
    let batch: Vec<Message> = match input.strip_prefix("<<").and_then(|rest| rest.strip_suffix(">>")) {
        Some(parts) => parts.split("||").map(message).collect(),
        None => vec![message(input)],
    };
    match mapping.map_in(&batch, 0) {
        Ok(mapped) if expected.starts_with("=@") => {
            format!("=@ {}", bloblang::Value::Object(mapped.metadata).to_json())
        }
        Ok(mapped) if mapped.root == Root::Deleted => "=> <deleted>".into(),
        Ok(mapped) => {
            let payload = mapped.payload(&batch[0]).expect("the message was not dropped");
            format!("=> {}", String::from_utf8_lossy(&payload).replace('\n', "\\n"))
        }
        Err(error) => {
            let part = expected.strip_prefix("=! ").unwrap_or("\0");
            if error.to_string().contains(part) { expected.into() } else { format!("=! {error}") }
        }
    }
}

/// A message with the metadata of the cases.
fn message(content: &str) -> Message {
    let metadata = [("topic", "orders"), ("key", "k1")].map(|(key, value)| (key.into(), value.into()));
    let is_document = bloblang::Value::from_json(content.as_bytes()).is_ok();
    let content = if is_document { content.to_owned() } else { content.replace("\\n", "\n") };
    Message::new(content).with_metadata(metadata.into_iter().collect())
}

macro_rules! case_files {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name), include_str!(concat!("cases/", stringify!($name), ".txt")));
        })*

        /// All cases, to be searched.
        pub(crate) const ALL: &[&str] = &[$(include_str!(concat!("cases/", stringify!($name), ".txt"))),*];
    };
}

case_files!(language, general, strings, collections, numbers, formats, documents, times, crypto, world);
