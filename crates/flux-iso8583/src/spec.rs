//! What a dialect of ISO 8583 looks like: its fields by number, compiled from spec files.

mod keys;
mod layouts;
mod load;
mod merge;
mod parts;
mod problem;
mod read;
mod semantic;
mod yaml;

use std::{collections::BTreeSet, fmt};

use flux_signal::Text;
use rustc_hash::FxHashMap;

use crate::{
    bitmap::BitmapForm,
    composite::split,
    encoding::Encoding,
    field::Field,
    gauge::{Gauge, Gauges},
    limits::FIELD_MAX,
};

pub use load::Loader;
pub use problem::{Code, Problem, Report, Severity};

/// A dialect: how each field is written, what it is called, and how sensitive it is.
pub struct Spec {
    /// The stable name in one word.
    pub id: Text,
    /// What people call it.
    pub name: Text,
    /// Its version, `1.2.0`.
    pub version: Text,
    /// Of the texts it was compiled from: two specs with the same one are the same.
    pub fingerprint: u64,
    /// Keys that describe meaning and are not enforced: messages, enums, checks, `x-*` and the like, as JSON.
    pub semantics: serde_json::Map<String, serde_json::Value>,
    /// What was noticed in the files that does not keep them from being used.
    pub warnings: Report,
    fields: Vec<Option<Field>>,
    gauges: Box<Gauges>,
    aliases: FxHashMap<Text, Target>,
    /// The same in the order of fields.
    aliased: Vec<(Text, Target)>,
    /// The first segments of the aliases.
    alias_heads: BTreeSet<Text>,
    bitmap: BitmapForm,
    mti_encoding: Encoding,
    mti_bytes: usize,
}

/// What an alias stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) field: u8,
    /// The dotted path of a part; empty for the field itself.
    pub(crate) part: Text,
}

impl Target {
    pub(crate) fn path(&self) -> Option<&str> {
        (!self.part.is_empty()).then_some(self.part.as_str())
    }
}

impl Spec {
    /// A field by number: 0 is the message type, 1 the bitmap.
    #[inline]
    pub fn field(&self, number: u8) -> Option<&Field> {
        self.fields.get(usize::from(number))?.as_ref()
    }

    /// The fields that carry data, by number.
    pub fn fields(&self) -> impl Iterator<Item = (u8, &Field)> {
        (2..=FIELD_MAX).filter_map(|number| Some((number, self.data_field(number)?)))
    }

    /// A field that carries data: neither the message type nor a bitmap.
    pub(crate) fn data_field(&self, number: u8) -> Option<&Field> {
        let is_bitmap = number < 2 || number == 65 && self.bitmap.has_tertiary;
        self.field(number).filter(|_| !is_bitmap)
    }

    /// What an alias stands for.
    pub(crate) fn alias(&self, alias: &str) -> Option<&Target> {
        self.aliases.get(alias)
    }

    /// Every alias with what it stands for, in the order of fields.
    pub(crate) fn aliased(&self) -> impl Iterator<Item = (&str, u8, Option<&str>)> {
        self.aliased.iter().map(|(alias, target)| (alias.as_str(), target.field, target.path()))
    }

    /// Whether an alias starts with this segment.
    pub(crate) fn has_alias_under(&self, head: &str) -> bool {
        self.alias_heads.contains(head)
    }

    #[inline]
    pub(crate) fn gauge(&self, number: u8) -> Gauge {
        let place = usize::from(number).wrapping_sub(1);
        self.gauges.as_flattened().get(place).copied().unwrap_or(Gauge::UNDEFINED)
    }

    #[inline]
    pub(crate) fn gauges(&self) -> &Gauges {
        &self.gauges
    }

    #[inline]
    pub(crate) fn bitmap(&self) -> BitmapForm {
        self.bitmap
    }

    #[inline]
    pub(crate) fn mti_encoding(&self) -> Encoding {
        self.mti_encoding
    }

    /// Bytes of the message type.
    #[inline]
    pub(crate) fn mti_bytes(&self) -> usize {
        self.mti_bytes
    }

    /// The content inside the bytes of a field, and its length as the spec counts it.
    #[inline]
    pub(crate) fn content<'a>(&self, number: u8, bytes: &'a [u8]) -> Option<(&'a [u8], usize)> {
        if let Some(content) = self.gauge(number).ascii_content(bytes) {
            return Some((content, content.len()));
        }
        let extent = self.field(number)?.measure(bytes).ok()?;
        Some((&bytes[extent.body..extent.end], extent.units))
    }

    /// Compiles fields that were read. Field 65 as a bitmap, or not defined, leaves room for a tertiary bitmap.
    fn compile(fields: Vec<Option<Field>>, aliases: FxHashMap<Text, Target>, is_hex: bool) -> Spec {
        let mut gauges = Box::new([[Gauge::UNDEFINED; 64]; 3]);
        for (gauge, field) in gauges.as_flattened_mut().iter_mut().zip(fields.iter().skip(1)).skip(1) {
            *gauge = field.as_ref().map_or(Gauge::UNDEFINED, Gauge::new);
        }
        let mut aliased: Vec<(Text, Target)> = aliases.clone().into_iter().collect();
        aliased.sort_unstable_by(|(a, left), (b, right)| (left.field, a).cmp(&(right.field, b)));
        let alias_heads = aliases.keys().map(|alias| split(alias).0.into()).collect();
        let mti_encoding = fields[0].as_ref().map_or(Encoding::Ascii, |mti| mti.encoding);
        let has_tertiary = fields[65].is_none();
        Spec {
            id: Text::default(),
            name: Text::default(),
            version: Text::default(),
            fingerprint: 0,
            semantics: serde_json::Map::new(),
            warnings: Report::default(),
            fields,
            gauges,
            aliases,
            aliased,
            alias_heads,
            bitmap: BitmapForm { is_hex, has_tertiary },
            mti_encoding,
            mti_bytes: mti_encoding.unit().bytes(4),
        }
    }
}

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spec({} {})", self.id, self.version)
    }
}
