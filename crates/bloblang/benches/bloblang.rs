//! How long a mapping takes: the parsing of a document, the evaluation alone, and both with the writing.

use std::hint::black_box;

use bloblang::{Mapping, Message, Root, Value};
use criterion::{Criterion, criterion_group, criterion_main};

/// An event of 150 bytes.
const EVENT: &str = r#"{"id":"b7f3","host":"rack-7","level":"warn","status":503,"bytes":1834,"path":"/v1/orders/17","user":{"name":"ada","plan":"pro"},"tags":["a","b","c"]}"#;

/// Five assignments each.
const PROGRAMS: &[(&str, &str)] = &[
    (
        "copy",
        "root = this\nroot.a = this.id\nroot.b = this.status\nroot.c = this.user.name\nroot.d = this.path",
    ),
    (
        "build",
        "root.id = this.id\nroot.user = this.user.name\nroot.code = this.status\nroot.size = this.bytes / 1024\nroot.where = this.host + this.path",
    ),
    (
        "conditions",
        "root.ok = this.status < 500\nroot.level = match this.level { \"warn\" => 3, \"info\" => 6, _ => 0 }\nroot.paid = if this.user.plan == \"pro\" { true } else { false }\nroot.name = this.nick | this.user.name\nroot.tag = this.tags.index(0)",
    ),
    (
        "strings",
        "root.host = this.host.uppercase()\nroot.parts = this.path.split(\"/\")\nroot.is_api = this.path.has_prefix(\"/v1\")\nroot.order = this.path.re_match(\"orders/[0-9]+\")\nroot.line = \"%v %v\".format(this.status, this.path)",
    ),
    (
        "lists",
        "root = this\nroot.tags = this.tags.map_each(t -> t.uppercase())\nroot.count = this.tags.length()\nroot.first = this.tags.filter(t -> t != \"a\").index(0)\nroot.all = this.tags.join(\",\")",
    ),
];

fn mapping(criterion: &mut Criterion) {
    criterion
        .bench_function("parse", |bencher| bencher.iter(|| Value::from_json(black_box(EVENT.as_bytes()))));
    for (name, source) in PROGRAMS {
        let mapping = Mapping::compile(source).expect("the program is right");
        let message = Message::structured(Value::from_json(EVENT.as_bytes()).expect("the event is JSON"));
        criterion.bench_function(&format!("{name}: evaluate"), |bencher| {
            bencher.iter(|| mapping.map(black_box(&message)).expect("the event is mapped"));
        });
        criterion.bench_function(&format!("{name}: parse, evaluate"), |bencher| {
            bencher.iter(|| {
                let value = Value::from_json(black_box(EVENT.as_bytes())).expect("the event is JSON");
                mapping.map(&Message::structured(value)).expect("the event is mapped")
            });
        });
    }
    let mapping = Mapping::compile(PROGRAMS[1].1).expect("the program is right");
    criterion.bench_function("build: parse, evaluate, write", |bencher| {
        bencher.iter(|| {
            let message = Message::new(black_box(EVENT.as_bytes()));
            match mapping.map(&message).expect("the event is mapped").root {
                Root::New(value) => value.to_json(),
                Root::Unchanged | Root::Deleted => String::new(),
            }
        });
    });
    criterion
        .bench_function("compile", |bencher| bencher.iter(|| Mapping::compile(black_box(PROGRAMS[2].1))));
}

criterion_group!(benches, mapping);
criterion_main!(benches);
