//! A world that always answers the same: a fixed time, counted chance, a few variables and files.

use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use bloblang::{Compiler, Host, Refusal};
use jiff::Timestamp;

#[derive(Default)]
pub(crate) struct World {
    drawn: AtomicU8,
}

const FILES: &[(&str, &str)] = &[
    ("data/foo.json", r#"{"foo":"bar"}"#),
    (
        "maps/things.blobl",
        "import \"./more.blobl\"\nmap things { root.first = this.thing_one.apply(\"shout\") }",
    ),
    ("maps/more.blobl", "map shout { root = this.uppercase() }"),
    ("maps/whole.blobl", "root = this.a.apply(\"shout\")\nimport \"more.blobl\""),
    ("maps/broken.blobl", "map broken {\n  root = this.nosuch()\n}"),
];

impl Host for World {
    fn now(&self) -> Timestamp {
        "2024-02-29T12:30:45.123456789Z".parse().expect("a time")
    }

    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill_with(|| self.drawn.fetch_add(1, Ordering::Relaxed));
    }

    fn hostname(&self) -> Result<String, Refusal> {
        Ok("rack-7".into())
    }

    fn variable(&self, name: &str) -> Result<Option<String>, Refusal> {
        Ok((name == "DATA_FILE").then(|| "data/foo.json".into()))
    }

    fn file(&self, path: &Path, _: usize) -> Result<Vec<u8>, Refusal> {
        let path = path.to_str().expect("a path that is text").replace("./", "");
        let found = FILES.iter().find(|(name, _)| *name == path);
        found.map(|(_, text)| text.as_bytes().to_vec()).ok_or_else(|| Refusal::new("no such file"))
    }
}

pub(crate) fn compiler() -> Compiler {
    Compiler::new(World::default())
}
