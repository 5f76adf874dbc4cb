//! JSON in which no object has a key twice. `serde_json` would keep the last value, and so another message than was meant.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// A value of JSON whose objects have each key once.
#[derive(Debug, PartialEq)]
pub(super) struct DistinctKeys(pub(super) Value);

struct AnyValue;

impl<'de> Deserialize<'de> for DistinctKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DistinctKeys, D::Error> {
        deserializer.deserialize_any(AnyValue).map(DistinctKeys)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Value, E> {
        Ok(truth.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(DistinctKeys(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key `{key}` is there twice")));
            }
            let DistinctKeys(value) = object.next_value()?;
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn any_json_is_read_and_a_key_that_comes_twice_is_refused() {
        let text = r#"{"a": [null, true, -1, 2, 0.5, "x"], "b": {"a": {}}}"#;
        let read: DistinctKeys = serde_json::from_str(text).unwrap();
        assert_eq!(read.0, json!({"a": [null, true, -1, 2, 0.5, "x"], "b": {"a": {}}}));
        for (text, place) in
            [(r#"{"a": 1, "a": 1}"#, "column 12"), (r#"[{"b": {"a": 1,\n"a": 2}}]"#, "line 2")]
        {
            let text = text.replace("\\n", "\n");
            let why = serde_json::from_str::<DistinctKeys>(&text).unwrap_err().to_string();
            assert!(why.starts_with("the key `a` is there twice at ") && why.contains(place), "{why}");
        }
    }
}
