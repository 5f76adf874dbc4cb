//! Which parts of a JSON Schema apply to a value: follows `$ref` and `allOf`, and picks a branch of `oneOf`/`anyOf`.
//!
//! A branch is picked the way a reader would: by the property whose constant names it (`mode: server`), by its only
//! key (`failover: [...]`), by type, and else by the keys it has in common with the value. Picking looks one level
//! deep, so that a recursive schema costs no more than the value is long.

use serde_json::{Map, Value as Json};

use crate::node::{Node, Value};

/// References followed in one place before the schema is taken to run in a circle.
const REFS_MAX: usize = 32;

/// A schema and the definitions its references point into.
#[derive(Clone, Copy)]
pub(crate) struct Schemas<'s> {
    root: &'s Json,
}

/// Every schema object that applies to one value, outermost first.
#[derive(Default)]
pub(crate) struct View<'s> {
    pub(crate) maps: Vec<&'s Map<String, Json>>,
}

/// Why no branch applies.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mismatch<'s> {
    /// No branch takes a value of this type.
    Type(Vec<&'s Json>),
    /// The value, or the property that tells the branches apart, is none of these.
    NoneOf { property: Option<&'s str>, options: Vec<&'s str> },
    /// The property that tells the branches apart is absent; it may be one of these.
    Untold { property: &'s str, options: Vec<&'s str> },
    /// The table should have exactly one of these keys.
    KeyNoneOf(Vec<&'s str>),
}

impl<'s> Schemas<'s> {
    pub(crate) fn new(root: &'s Json) -> Self {
        Schemas { root }
    }

    /// What applies to `node`, or why nothing does.
    pub(crate) fn resolve(self, schema: &'s Json, node: &Node) -> Result<View<'s>, Mismatch<'s>> {
        let mut view = View::default();
        self.gather(schema, &mut view, Some(node), 0)?;
        Ok(view)
    }

    /// What applies to any value: without looking into `oneOf` and `anyOf`.
    pub(crate) fn flat(self, schema: &'s Json) -> View<'s> {
        let mut view = View::default();
        let gathered = self.gather(schema, &mut view, None, 0);
        debug_assert!(gathered.is_ok(), "only a choice can mismatch");
        view
    }

    /// Every schema that some value under these branches could meet, branches of branches included.
    pub(crate) fn every_map(self, branches: &[&'s Json]) -> Vec<&'s Map<String, Json>> {
        let mut maps: Vec<&Map<String, Json>> = Vec::new();
        let mut open: Vec<(&Json, usize)> = branches.iter().rev().map(|branch| (*branch, 0)).collect();
        while let Some((branch, depth)) = open.pop() {
            for map in self.flat(branch).maps {
                maps.push(map);
                let inner = ["anyOf", "oneOf"].into_iter().flat_map(|word| schemas_of(map, word));
                open.extend(inner.filter(|_| depth < REFS_MAX).map(|branch| (branch, depth + 1)));
            }
        }
        maps
    }

    fn gather(
        self,
        schema: &'s Json,
        view: &mut View<'s>,
        node: Option<&Node>,
        depth: usize,
    ) -> Result<(), Mismatch<'s>> {
        let Json::Object(map) = schema else { return Ok(()) };
        if depth > REFS_MAX {
            return Ok(());
        }
        view.maps.push(map);
        if let Some(target) = self.target(map) {
            self.gather(target, view, node, depth + 1)?;
        }
        for part in schemas_of(map, "allOf") {
            self.gather(part, view, node, depth + 1)?;
        }
        if let Some(node) = node {
            for word in ["oneOf", "anyOf"] {
                let branches = schemas_of(map, word);
                if !branches.is_empty() {
                    self.gather(self.choose(branches, node)?, view, Some(node), depth + 1)?;
                }
            }
        }
        Ok(())
    }

    /// What a `$ref` points at, inside this schema.
    pub(crate) fn target(self, map: &Map<String, Json>) -> Option<&'s Json> {
        self.root.pointer(map.get("$ref")?.as_str()?.strip_prefix('#')?)
    }

    fn choose(self, branches: &'s [Json], node: &Node) -> Result<&'s Json, Mismatch<'s>> {
        let fitting: Vec<&Json> = branches.iter().filter(|branch| self.takes_type(branch, node, 0)).collect();
        match fitting[..] {
            [] => Err(Mismatch::Type(branches.iter().collect())),
            [only] if !matches!(node.value, Value::Text(_)) => Ok(only),
            _ => match &node.value {
                Value::Table(_) => self.choose_table(&fitting, node),
                Value::Text(text) => self.choose_text(&fitting, text),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) => Ok(fitting[0]),
            },
        }
    }

    fn choose_text(self, fitting: &[&'s Json], text: &str) -> Result<&'s Json, Mismatch<'s>> {
        let mut options = Vec::new();
        for branch in fitting {
            match self.flat(branch).words() {
                Some(words) if words.contains(&text) => return Ok(branch),
                Some(words) => options.extend(words),
                None => return Ok(branch),
            }
        }
        Err(Mismatch::NoneOf { property: None, options })
    }

    fn choose_table(self, fitting: &[&'s Json], node: &Node) -> Result<&'s Json, Mismatch<'s>> {
        let views: Vec<View<'s>> = fitting.iter().map(|branch| self.flat(branch)).collect();
        if let Some(property) = self.telling_property(&views) {
            let tag = |view: &View<'s>| self.constants(view, property).unwrap_or_default();
            let options: Vec<&str> = views.iter().flat_map(&tag).collect();
            let Some(value) = node.get(property) else { return Err(Mismatch::Untold { property, options }) };
            let text = value.as_text().unwrap_or_default();
            let chosen = views.iter().position(|view| tag(view).contains(&text));
            return chosen
                .map(|at| fitting[at])
                .ok_or(Mismatch::NoneOf { property: Some(property), options });
        }
        let only_keys: Option<Vec<&str>> = views.iter().map(View::only_key).collect();
        if let Some(keys) = only_keys {
            let chosen = keys.iter().position(|key| node.get(key).is_some());
            return chosen.map(|at| fitting[at]).ok_or(Mismatch::KeyNoneOf(keys));
        }
        let best = (0..views.len()).max_by_key(|&at| (views[at].likeness(node), std::cmp::Reverse(at)));
        Ok(fitting[best.expect("a choice among at least one branch")])
    }

    /// The property that has a different constant in each branch.
    fn telling_property(self, views: &[View<'s>]) -> Option<&'s str> {
        let first = views.first()?;
        first.properties().map(|(name, _)| name).find(|name| {
            let tags: Option<Vec<Vec<&str>>> = views.iter().map(|view| self.constants(view, name)).collect();
            tags.is_some_and(|tags| {
                let mut all: Vec<&str> = tags.into_iter().flatten().collect();
                let count = all.len();
                all.sort_unstable();
                all.dedup();
                all.len() == count
            })
        })
    }

    /// The words a property is limited to, when it is.
    fn constants(self, view: &View<'s>, property: &str) -> Option<Vec<&'s str>> {
        view.property(property).find_map(|schema| self.flat(schema).words())
    }

    fn takes_type(self, schema: &'s Json, node: &Node, depth: usize) -> bool {
        let Json::Object(_) = schema else { return schema != &Json::Bool(false) };
        self.flat(schema).maps.iter().all(|map| {
            let by_type = map.get("type").is_none_or(|word| is_of_type(word, &node.value));
            let by_constant = map.get("const").is_none_or(|word| same_type(word, &node.value));
            let by_enum = map
                .get("enum")
                .and_then(Json::as_array)
                .is_none_or(|words| words.iter().any(|word| same_type(word, &node.value)));
            let by_branch = depth > REFS_MAX
                || ["oneOf", "anyOf"].into_iter().all(|word| {
                    let branches = schemas_of(map, word);
                    branches.is_empty()
                        || branches.iter().any(|branch| self.takes_type(branch, node, depth + 1))
                });
            by_type && by_constant && by_enum && by_branch
        })
    }
}

impl<'s> View<'s> {
    /// Every property described, some more than once.
    pub(crate) fn properties(&self) -> impl Iterator<Item = (&'s str, &'s Json)> {
        self.maps
            .iter()
            .filter_map(|map| map.get("properties")?.as_object())
            .flat_map(|map| map.iter().map(|(name, schema)| (name.as_str(), schema)))
    }

    /// Every schema given for one property.
    pub(crate) fn property(&self, name: &str) -> impl Iterator<Item = &'s Json> {
        self.maps.iter().filter_map(move |map| map.get("properties")?.get(name))
    }

    /// The names of required properties.
    pub(crate) fn required(&self) -> impl Iterator<Item = &'s str> {
        self.maps
            .iter()
            .filter_map(|map| map.get("required")?.as_array())
            .flat_map(|names| names.iter().filter_map(Json::as_str))
    }

    /// The schema of keys that are no property.
    pub(crate) fn additional(&self) -> Option<&'s Json> {
        self.maps.iter().find_map(|map| map.get("additionalProperties").filter(|schema| schema.is_object()))
    }

    /// Whether keys that are no property are refused.
    pub(crate) fn is_closed(&self) -> bool {
        let refuses = |map: &&Map<String, Json>, word| map.get(word) == Some(&Json::Bool(false));
        self.maps
            .iter()
            .any(|map| refuses(map, "additionalProperties") || refuses(map, "unevaluatedProperties"))
    }

    /// The first value of a keyword.
    pub(crate) fn keyword(&self, word: &str) -> Option<&'s Json> {
        self.maps.iter().find_map(|map| map.get(word))
    }

    /// The texts a value is limited to, when it is.
    pub(crate) fn words(&self) -> Option<Vec<&'s str>> {
        self.maps.iter().find_map(|map| {
            if let Some(word) = map.get("const") {
                return Some(word.as_str().into_iter().collect());
            }
            Some(map.get("enum")?.as_array()?.iter().filter_map(Json::as_str).collect())
        })
    }

    /// The key of a closed table that has room for just one.
    fn only_key(&self) -> Option<&'s str> {
        let mut properties = self.properties();
        let (name, _) = properties.next()?;
        let alone = properties.next().is_none() && self.is_closed();
        (alone && self.required().eq([name])).then_some(name)
    }

    /// How much a table looks like what this view describes.
    fn likeness(&self, node: &Node) -> i64 {
        let known = |key: &str| self.property(key).next().is_some();
        let keys = node.entries().iter().map(|entry| if known(&entry.key) { 1 } else { -1 });
        let required = self.required().map(|name| if node.get(name).is_some() { 4 } else { -4 });
        keys.chain(required).sum()
    }
}

/// The list of schemas under a keyword.
pub(crate) fn schemas_of<'s>(map: &'s Map<String, Json>, word: &str) -> &'s [Json] {
    map.get(word).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

/// Whether a value is of a type, or of one of a list of types.
pub(crate) fn is_of_type(word: &Json, value: &Value) -> bool {
    match word {
        Json::Array(words) => words.iter().any(|word| is_of_type(word, value)),
        Json::String(word) => match value {
            Value::Null => word == "null",
            Value::Bool(_) => word == "boolean",
            Value::Number(number) => word == "number" || word == "integer" && !number.is_f64(),
            Value::Text(_) => word == "string",
            Value::List(_) => word == "array",
            Value::Table(_) => word == "object",
        },
        _ => true,
    }
}

fn same_type(json: &Json, value: &Value) -> bool {
    match json {
        Json::Null => matches!(value, Value::Null),
        Json::Bool(_) => matches!(value, Value::Bool(_)),
        Json::Number(_) => matches!(value, Value::Number(_)),
        Json::String(_) => matches!(value, Value::Text(_)),
        Json::Array(_) => matches!(value, Value::List(_)),
        Json::Object(_) => matches!(value, Value::Table(_)),
    }
}
