//! `fluxrig blobl`: lines in, lines out, and an exit status that scripts rely on.

use std::fs;

use crate::process::{Ended, ended};

fn check(args: &[&str], input: &str, code: i32, stdout: &str, stderr: &str) {
    let mut words = vec!["blobl"];
    words.extend_from_slice(args);
    let Ended { code: ended_with, stdout: out, stderr: err } = ended(&words, input);
    assert_eq!((ended_with, out.as_str()), (Some(code), stdout), "{args:?} says {err}");
    assert!(if stderr.is_empty() { err.is_empty() } else { err.contains(stderr) }, "{args:?} says {err}");
}

#[test]
fn lines_are_mapped() {
    let events = "{\"a\":1}\n\n{\"a\":2}\r\n{\"a\":3}";
    check(&["root.b = this.a * 2"], events, 0, "{\"b\":2}\n{\"b\":4}\n{\"b\":6}\n", "");
    check(&["root = if this.a == 2 { deleted() } else { this }"], events, 0, "{\"a\":1}\n{\"a\":3}\n", "");
    check(&["this.a | \"none\""], "{}\n", 0, "none\n", "");
    check(&["--meta", "k=v=w", "root = @k"], "{}", 0, "v=w\n", "");
    check(&["--raw", "root = content().uppercase()"], "one\n\ntwo", 0, "ONE\n\nTWO\n", "");
}

#[test]
fn a_line_that_fails_is_told_and_the_rest_goes_on() {
    let input = "{\"a\":\"x\"}\n{\"a\":5}\nnot json\n{\"a\":\"y\"}\n";
    let told = "line 2: failed assignment (line 1): field `this.a`: expected string value, got number\nline 3: not a document";
    check(&["root = this.a.uppercase()"], input, 1, "X\nY\n", told);
}

#[test]
fn a_mapping_in_a_file_is_checked_laid_out_and_explained() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("maps.blobl"), "map up { root = this.uppercase() }").unwrap();
    fs::write(path("good.blobl"), "import \"./maps.blobl\"\n\n\nroot.a = this.a.(\nthis.apply(\"up\")\n)\n")
        .unwrap();
    fs::write(path("bad.blobl"), "root.a = this.a.uppercas()\n").unwrap();
    check(&["-f", &path("good.blobl")], "{\"a\":\"x\"}", 0, "{\"a\":\"X\"}\n", "");
    check(&["--check", "-f", &path("good.blobl")], "", 0, "", "");
    check(&["--check", "-f", &path("bad.blobl")], "", 1, "", "did you mean `uppercase`?");
    let laid_out = "import \"./maps.blobl\"\n\nroot.a = this.a.(\n  this.apply(\"up\")\n)\n";
    check(&["--fmt", "-f", &path("good.blobl")], "", 0, laid_out, "");
    check(&["--explain", "root.a = this.b.c"], "", 0, "line 1 sets `a`, reads `this.b.c`\n", "");
    assert_eq!(ended(&["blobl"], "").code, Some(2));
    assert_eq!(ended(&["blobl", "--check", "--fmt", "root = 1"], "").code, Some(2));
}

#[test]
fn expressions_are_tried_one_after_the_other() {
    let typed = ":in {\"a\":[1,2]}\nthis.a.map_each(\nv -> v * 2)\n:out\nthis.sum()\nroot = this.nosuch()\ndeleted()\n:quit\nthis\n";
    let ended = ended(&["blobl", "--repl"], typed);
    assert_eq!(ended.code, Some(0));
    assert!(ended.stdout.starts_with("[2,4]\n6\nerror: no method `nosuch`"), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("\ndeleted\n"), "{}", ended.stdout);
}
