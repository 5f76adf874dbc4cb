//! Reads what a spec says fields mean: names, aliases, how sensitive they are. The rest is kept as data.

use std::collections::BTreeMap;

use flux_signal::Text;
use rustc_hash::FxHashMap;

use super::{
    Target, keys,
    problem::Code,
    read::Reader,
    yaml::{At, Node},
};
use crate::{field::Field, mask::Sensitivity};

/// Keys that people put here and that belong to the wire layer.
const WIRE_KEYS: &[&str] = &["type", "length", "enc", "prefix", "padding"];

impl Reader<'_> {
    /// Describes `fields` as `described` says; returns what the aliases stand for.
    pub(crate) fn describe(
        &mut self,
        described: &Node,
        fields: &mut [Option<Field>],
    ) -> FxHashMap<Text, Target> {
        let mut aliases = BTreeMap::new();
        for (number, entry) in self.numbered(described, 0) {
            let Some(entry) = entry else { continue };
            self.refuse_wire_keys(&entry.node, number);
            self.map_beside(&entry.node, keys::FIELD, WIRE_KEYS, "a described field");
            let Some(field) = &mut fields[usize::from(number)] else {
                // A base may well describe what this spec takes out.
                if entry.key_at.file == 0 {
                    let message = format!("field {number} is described but not on the wire");
                    self.push(Code::NotOnWire, entry.key_at, message, "define it under `wire.fields`");
                }
                continue;
            };
            self.describe_field(&entry.node, field);
            if let Some(alias) = entry.node.get("alias") {
                let target = Target { field: number, part: Text::default() };
                field.alias = self.alias(alias, target, &mut aliases);
            }
            if let Some(subfields) = entry.node.get("subfields") {
                self.describe_parts(subfields, number, field, &mut aliases);
            }
        }
        self.check_aliases(&aliases);
        aliases.into_iter().map(|(alias, (target, _))| (alias, target)).collect()
    }

    fn refuse_wire_keys(&mut self, node: &Node, number: u8) {
        for entry in node.entries() {
            if WIRE_KEYS.contains(&entry.key.as_str()) {
                let message = format!("`{}` belongs to the wire layer", entry.key);
                self.push(
                    Code::WrongLayer,
                    entry.key_at,
                    message,
                    format!("move it to `wire.fields.{number}`"),
                );
            }
        }
    }

    fn describe_field(&mut self, node: &Node, field: &mut Field) {
        if let Some(name) = node.get("name").and_then(|name| self.text(name, "name")) {
            field.name = name.into();
        }
        let declared = node.get("sensitivity").and_then(|n| self.word(n, "sensitivity", &Sensitivity::NAMES));
        let roles = [("pin_block", Sensitivity::Sad), ("kcv", Sensitivity::Sad), ("mac", Sensitivity::Sad)];
        let role = node.get("crypto").and_then(|crypto| crypto.get("role"));
        let role = role.and_then(|role| self.word(role, "role", &roles));
        let is_masked = node.get("log_mask").and_then(|mask| {
            let words = [("true", true), ("false", false)];
            self.word(mask, "log_mask", &words).map(|is_masked| (is_masked, mask.at))
        });
        let classified = role.or(declared).filter(|sensitivity| *sensitivity != Sensitivity::None);
        if let (Some(_), Some((false, at))) = (classified, is_masked) {
            let help = "remove `log_mask: false`, or set `sensitivity: none` if the data is not classified";
            self.push(Code::Unmasked, at, "classified data cannot be declared unmasked", help);
        }
        let asked = is_masked.filter(|(is_masked, _)| *is_masked).map(|_| Sensitivity::Pii);
        field.sensitivity = classified.or(asked).or(declared).or(field.sensitivity);
    }

    fn describe_parts(
        &mut self,
        node: &Node,
        number: u8,
        field: &mut Field,
        aliases: &mut BTreeMap<Text, (Target, At)>,
    ) {
        self.map(node, keys::FIELD_SUBFIELDS, "described `subfields`");
        let Some(parts) = node.get("parts") else { return };
        for described in self.list(parts, "`parts`") {
            self.map(described, keys::FIELD_PART, "a described part");
            let key = described.get("tag").or(described.get("name")).and_then(Node::text).unwrap_or_default();
            let found = field.composite.as_mut().and_then(|composite| composite.part_mut(key));
            let Some(part) = found else {
                let message = format!("part {key} of field {number} is described but not on the wire");
                self.push(Code::NotOnWire, described.at, message, "define it under `wire.fields`");
                continue;
            };
            let target = Target { field: number, part: part.key.clone() };
            self.describe_field(described, &mut part.field);
            if let Some(alias) = described.get("alias") {
                part.field.alias = self.alias(alias, target, aliases);
            }
        }
    }

    fn alias(
        &mut self,
        node: &Node,
        target: Target,
        aliases: &mut BTreeMap<Text, (Target, At)>,
    ) -> Option<Text> {
        let alias = self.text(node, "alias")?;
        let is_path = alias.split('.').all(|word| !word.is_empty() && !word.contains(char::is_whitespace));
        if !is_path || alias == "iso8583" || alias.starts_with("iso8583.") {
            let help = "write a dotted path that does not start with `iso8583`, such as card.pan";
            self.push(Code::BadAlias, node.at, format!("`{alias}` cannot be an alias"), help);
            return None;
        }
        match aliases.insert(alias.into(), (target, node.at)) {
            Some((_, other)) => {
                // The first file is the one that was asked for: what is wrong is wrong there.
                let at = if other.file < node.at.file { other } else { node.at };
                self.push(
                    Code::BadAlias,
                    at,
                    format!("`{alias}` is taken"),
                    "give each field an alias of its own",
                );
                None
            }
            None => Some(alias.into()),
        }
    }

    /// An alias cannot lie below another: one path would be a value and a map at once.
    fn check_aliases(&mut self, aliases: &BTreeMap<Text, (Target, At)>) {
        for (alias, (_, at)) in aliases {
            let above = alias
                .match_indices('.')
                .map(|(dot, _)| &alias[..dot])
                .find(|above| aliases.contains_key(*above));
            if let Some(above) = above {
                let message = format!("`{alias}` lies below the alias `{above}`");
                self.push(Code::BadAlias, *at, message, "rename one of them");
            }
        }
    }
}
