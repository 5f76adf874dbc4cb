//! Budget for building a [`Node`] tree from outside text: how deep, how many values, how many bytes.

use crate::codes::Code;
use crate::limits::{DEPTH_MAX, FILE_BYTES_MAX, NODES_MAX};
use crate::node::{Node, Value};
use crate::report::Issue;
use crate::source::Span;

/// How much a tree holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extent {
    pub(crate) nodes: usize,
    pub(crate) bytes: usize,
    pub(crate) height: usize,
}

impl Extent {
    pub(crate) fn of(node: &Node) -> Extent {
        let mut extent = Extent { nodes: 1, bytes: 0, height: 1 };
        let mut take = |child: &Node, key_bytes: usize| {
            let inner = Extent::of(child);
            extent.nodes += inner.nodes;
            extent.bytes += inner.bytes + key_bytes;
            extent.height = extent.height.max(inner.height + 1);
        };
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| take(item, 0)),
            Value::Table(entries) => entries.iter().for_each(|entry| take(&entry.node, entry.key.len())),
            Value::Text(text) => extent.bytes = text.len(),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        extent
    }
}

/// What is left of the limits while a file is read.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    spent: Extent,
}

impl Budget {
    /// Accounts for a value, or for a whole repeated tree, that starts below `depth` open lists and tables.
    pub(crate) fn spend(&mut self, extent: Extent, depth: usize, span: Span) -> Result<(), Issue> {
        self.spent.nodes += extent.nodes;
        self.spent.bytes += extent.bytes;
        let too_large =
            |message: String, help: &str| Err(Issue::new(Code::TooLarge, span, message).help(help));
        if depth + extent.height > DEPTH_MAX {
            return too_large(format!("nested deeper than {DEPTH_MAX} levels"), "flatten it");
        }
        if self.spent.nodes > NODES_MAX {
            return too_large(
                format!("more than {NODES_MAX} values"),
                "split the file, or repeat less by alias",
            );
        }
        if self.spent.bytes > 2 * FILE_BYTES_MAX {
            return too_large(
                format!("more than {} bytes of text", 2 * FILE_BYTES_MAX),
                "repeat less by alias",
            );
        }
        Ok(())
    }
}
