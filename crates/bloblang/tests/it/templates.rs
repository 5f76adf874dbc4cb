//! Text with queries in it.

use bloblang::Message;

use crate::world::compiler;

#[test]
fn queries_are_put_into_the_text() {
    let check = |text: &str, expected: &str| {
        let template = compiler().template(text).unwrap_or_else(|error| panic!("{}", error.render()));
        let metadata = [("topic".into(), "orders".into())].into_iter().collect();
        let message = Message::new(r#"{"a":{"b":5},"f":1.5,"s":"x}y"}"#).with_metadata(metadata);
        assert_eq!(template.render(&[message], 0).unwrap(), expected, "{text}");
        assert_eq!(template.is_constant(), !text.contains("${!"), "{text}");
    };
    check("", "");
    check("plain $ {text} ${HOME}", "plain $ {text} ${HOME}");
    check("${!this.a.b}", "5");
    check("é ${! json(\"s\") } and ${!@topic}-${! this.a }", "é x}y and orders-{\"b\":5}");
    check("${! {\"k\": this.f} } ${! if this.f > 1 { \"big\" } else { \"small\" } }", "{\"k\":1.5} big");
    check("${{!this.a}} stays", "${!this.a} stays");
    check("${! deleted() }", "null");
}

#[test]
fn a_query_that_is_wrong_is_shown_in_the_text() {
    let error = |text: &str| compiler().name("topic").template(text).map(|_| ()).unwrap_err().render();
    assert!(error("orders-${! this.id.uppercas() }").contains("topic:1:20"));
    assert!(error("${! this.id").contains("expected an operator, a method, or `}`"));
    assert!(error("${!}").contains("expected an expression"));
    let template = compiler().template("${! this.id.uppercase() }").unwrap();
    let error = template.render(&[Message::new("{\"id\":5}")], 0).unwrap_err();
    assert!(error.to_string().contains("field `this.id`: expected string value, got number"));
}
