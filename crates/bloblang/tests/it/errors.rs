//! What a mapping that is wrong is told: where, what was expected, and what was probably meant.

use crate::world::compiler;

/// Compiles what must not compile, and looks for parts of the message.
fn check(source: &str, parts: &[&str]) {
    let error = compiler().compile(source).expect_err(source);
    let drawn = error.render();
    for part in parts {
        assert!(drawn.contains(part), "{source:?} says:\n{drawn}\nwithout {part:?}");
    }
}

#[test]
fn syntax() {
    check("root = ", &["expected an expression", "the source ends too early"]);
    check(
        "root.a = this.b c",
        &["unexpected `c`", "expected an operator, a method, or the end of the line", "^"],
    );
    check("root = this.a = 5", &["compare with `==`"]);
    check("root = (1 + 2", &["expected an operator, a method, or `)`"]);
    check("root = [1, 2", &["expected `,` or `]`"]);
    check("root = {\"a\" 1}", &["expected `:` and the value of this key"]);
    check("root = \"abc", &["this string has no end on its line", "three quotes"]);
    check("root = \"a\\q\"", &["no such escape", "raw string"]);
    check("root = \"\"\"abc", &["this string has no end"]);
    check("root = 12abc", &["this is no number"]);
    check("root = 99999999999999999999", &["out of range"]);
    check("root = if this.a \"b\"", &["or `{`"]);
    check("root = match this { 1 = 2 }", &["expected `=>`"]);
    check("root = this.", &["a field, a method, or `(`"]);
    check("root = this.a[1:2:3:4]", &["expected `:` or `]`"]);
    check("root = this.a[]", &["expected an index"]);
    check("map { root = 1 }", &["expected `=` and what to assign"]);
    check("from \"maps/whole.blobl\"\nroot = 1", &["`from` stands alone"]);
    check(&"(".repeat(10_000), &["this nests too deeply"]);
    check(&format!("root = this{}", ".a.b()".repeat(10_000)), &["this expression is too deep", "`let`"]);
    check(&format!("root = {}1", "!".repeat(10_000)), &["this nests too deeply"]);
    check(&format!("root = {}", "if true {".repeat(10_000)), &["this nests too deeply"]);
    check(&format!("root = {}", "x -> ".repeat(10_000)), &["this nests too deeply"]);
}

#[test]
fn names() {
    check("root = this.a.uppercas()", &["no method `uppercas`", "did you mean `uppercase`?"]);
    check("root = rang(1, 2)", &["no function `rang`", "did you mean `range`?"]);
    check("root = uppercase()", &["it is a method"]);
    check("root = this.deleted()", &["it is a function"]);
    check("let foo = 1\nroot = $fo", &["no variable `fo`", "there is `$foo`"]);
    check(
        "map things { root = 1 }\nroot = this.apply(\"thing\")",
        &["no map `thing`", "did you mean `things`?"],
    );
    check("map a { root = 1 }\nmap a { root = 2 }", &["a second map `a`"]);
    check("map a { meta foo = 1 }", &["metadata cannot be set within a map"]);
}

#[test]
fn arguments() {
    check("root = range(1)", &["`range` needs its argument `stop`", "it takes start, stop, [step]"]);
    check("root = range(1, 2, 3, 4)", &["too many arguments for `range`"]);
    check("root = range(start: 1, stp: 2)", &["`range` has no parameter `stp`", "did you mean `stop`?"]);
    check("root = range(1, 2, stop: 3)", &["`stop` is given twice"]);
    check("root = range(\"a\", 2)", &["the argument `start` expects integer, not string"]);
    check("root = this.re_match(\"(\")", &["`re_match` has an invalid pattern", "unclosed group"]);
    check("root = this.re_match(\"(a{1000}){1000}\")", &["compiles to over"]);
    check("root = {1: 2}", &["keys are strings"]);
}

#[test]
fn imports() {
    check("import \"nosuch.blobl\"", &["`nosuch.blobl` cannot be imported", "no such file"]);
    check("import \"maps/broken.blobl\"", &["maps/broken.blobl:2", "no method `nosuch`"]);
}

#[test]
fn every_problem_is_told_at_once() {
    let error =
        compiler().compile("root.a = (\nroot.b = this.x.nosuch()\nroot.c = 1 2\nmap x {\n  root = \n}\n");
    let lines: Vec<_> = error.unwrap_err().diagnostics.iter().map(bloblang::Diagnostic::line).collect();
    assert_eq!(lines, [2, 3, 6]);
    let error = compiler().compile("root.a = this.nosuch()\nroot.b = $x\n");
    assert_eq!(error.unwrap_err().diagnostics.len(), 2);
}

#[test]
fn a_failed_run_shows_where() {
    let mapping =
        compiler().name("m.blobl").compile("root.a = 1\nroot.b = this.x.uppercase().trim()").unwrap();
    let error = mapping.map(&bloblang::Message::new(r#"{"x":"secret"}"#)).map(|_| ()).err();
    assert_eq!(error, None);
    let error = mapping.map(&bloblang::Message::new(r#"{"x":4444333322221111}"#)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed assignment (line 2): field `this.x`: expected string value, got number"
    );
    assert!(error.render().contains("m.blobl:2:17"), "{}", error.render());
    assert!(error.render().contains("^^^^^^^^^"), "{}", error.render());
}

#[test]
fn a_mapping_is_explained() {
    let source = "import \"maps/things.blobl\"\nlet n = now()\nroot = this\nroot.a = this.x.y.map_each(e -> e + this.k) | @topic\n\
        if this.ok { meta b = root.a }\nroot.c = this.z.apply(\"things\")";
    let explained = compiler().compile(source).unwrap().explain();
    let expected = "\
line 2 sets a variable, asks `now`
line 3 sets the document, reads `this`
line 4 sets `a`, reads `@topic`, `this.k`, `this.x.y`
line 5 decides, reads `this.ok`
  line 5 sets metadata `b`, reads `root.a`
line 6 sets `c`, reads `this.z`, applies `things`
map shout, of maps/./more.blobl:
  line 1 sets the document
map things, of maps/things.blobl:
  line 2 sets `first`, applies `shout`
";
    assert_eq!(explained, expected);
}
