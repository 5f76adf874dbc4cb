//! One run of a mapping over one message: statements in order, within a budget.

mod evaluate;
mod failure;
mod operate;

pub use failure::RunError;
pub(crate) use failure::{Failure, Outcome, fail};
pub(crate) use operate::compare;

use std::sync::Arc;

use crate::limits::{EVALUATION_DEPTH_MAX, VALUE_DEPTH_MAX};
use crate::message::{Mapped, Message, Root};
use crate::node::{Body, Program, Step, Target};
use crate::{Object, Value, path};

/// The state of a run.
pub(crate) struct Runner<'a> {
    pub(crate) program: &'a Program,
    /// What is running: the mapping, or one of its maps.
    pub(crate) body: &'a Body,
    pub(crate) batch: &'a [Message],
    /// The message that is mapped.
    pub(crate) index: usize,
    /// The message that functions look at; another one within `from`.
    pub(crate) perspective: usize,
    /// Contexts and variables, those of the running body from `base` on.
    slots: Vec<Value>,
    base: usize,
    root: Value,
    metadata: Arc<Object>,
    steps: u64,
    bytes: usize,
    depth: usize,
}

/// Runs a program over a message of a batch. The new document begins as `root`.
pub(crate) fn run(
    program: &Program,
    batch: &[Message],
    index: usize,
    root: Value,
) -> Result<Mapped, RunError> {
    let Some(message) = batch.get(index) else { return Err(RunError::no_message(&program.body, index)) };
    let mut runner = Runner::new(program, batch, index, root, Arc::clone(&message.metadata));
    if let Err(failure) = runner.steps(&program.body.steps) {
        return Err(RunError::new(*failure, &program.body));
    }
    Ok(runner.mapped())
}

impl<'a> Runner<'a> {
    fn new(
        program: &'a Program,
        batch: &'a [Message],
        index: usize,
        root: Value,
        metadata: Arc<Object>,
    ) -> Runner<'a> {
        Runner {
            program,
            body: &program.body,
            batch,
            index,
            perspective: index,
            slots: vec![Value::Nothing; program.body.slots],
            base: 0,
            root,
            metadata,
            steps: program.limits.steps_max,
            bytes: program.limits.bytes_max,
            depth: 0,
        }
    }

    fn mapped(self) -> Mapped {
        let root = match self.root {
            Value::Nothing => Root::Unchanged,
            Value::Deleted => Root::Deleted,
            value => Root::New(value),
        };
        Mapped { root, metadata: self.metadata }
    }

    fn steps(&mut self, steps: &'a [Step]) -> Outcome<()> {
        for step in steps {
            match step {
                Step::Assign { target, span, value } => {
                    let done = self.evaluate(value).and_then(|value| self.assign(target, value));
                    done.map_err(|failure| failure.in_assignment(*span))?;
                }
                Step::If { branches, otherwise, span } => {
                    let chosen = self.choose(branches).map_err(|failure| failure.in_assignment(*span))?;
                    self.steps(chosen.map_or(otherwise, |chosen| chosen))?;
                }
            }
        }
        Ok(())
    }

    fn choose(&mut self, branches: &'a [(crate::node::Node, Vec<Step>)]) -> Outcome<Option<&'a [Step]>> {
        for (condition, body) in branches {
            if self.condition(condition)? {
                return Ok(Some(body));
            }
        }
        Ok(None)
    }

    fn assign(&mut self, target: &Target, value: Value) -> Outcome<()> {
        match (target, value) {
            (_, Value::Nothing) => {}
            (Target::Slot(slot), Value::Deleted) => self.set_slot(*slot, Value::Nothing),
            (Target::Slot(slot), value) => self.set_slot(*slot, value),
            (Target::Meta(None), Value::Deleted) => self.metadata = Arc::default(),
            (Target::Meta(None), Value::Object(object)) => self.metadata = object,
            (Target::Meta(None), other) => {
                fail!("metadata as a whole is an object, not {}", other.type_name())
            }
            (Target::Meta(Some(key)), Value::Deleted) => {
                Arc::make_mut(&mut self.metadata).remove(key);
            }
            (Target::Meta(Some(key)), value) => {
                Arc::make_mut(&mut self.metadata).insert(key.clone(), value);
            }
            (Target::Root(path), value) if path.is_empty() => self.root = value,
            (Target::Root(path), Value::Deleted) => path::delete(&mut self.root, path),
            (Target::Root(path), value) => {
                let written = path::set(&mut self.root, path, value);
                written.map_err(|blocked| Failure::new(blocked.message(path)))?;
                self.check(&self.root)?;
            }
        }
        Ok(())
    }

    /// Applies a map to a value: a body of its own, with slots and a document of its own.
    pub(crate) fn apply(&mut self, number: usize, value: Value) -> Outcome {
        self.descend()?;
        let program = self.program;
        let map = &program.maps[number];
        let (body, base) = (std::mem::replace(&mut self.body, map), self.base);
        self.base = self.slots.len();
        self.slots.resize(self.base + map.slots, Value::Nothing);
        let root = std::mem::replace(&mut self.root, Value::Nothing);
        self.set_slot(0, value.clone());
        let done = self.steps(&map.steps).map_err(|failure| failure.in_body(map));
        let made = std::mem::replace(&mut self.root, root);
        self.slots.truncate(self.base);
        (self.body, self.base) = (body, base);
        self.depth -= 1;
        done?;
        // A map that assigned nothing leaves its target as it was.
        Ok(if made == Value::Nothing { value } else { made })
    }

    /// Runs another program on a message of its own, within this run's budget.
    pub(crate) fn nested(&mut self, program: &Program, message: &Message) -> Outcome<Root> {
        self.descend()?;
        let (batch, metadata) = (std::slice::from_ref(message), Arc::clone(&message.metadata));
        let mut runner = Runner::new(program, batch, 0, Value::Nothing, metadata);
        (runner.steps, runner.bytes, runner.depth) = (self.steps, self.bytes, self.depth);
        let done = runner.steps(&program.body.steps).map_err(|failure| failure.in_body(&program.body));
        (self.steps, self.bytes) = (runner.steps, runner.bytes);
        self.depth -= 1;
        done?;
        Ok(runner.mapped().root)
    }

    pub(crate) fn set_slot(&mut self, slot: usize, value: Value) {
        let at = self.base + slot;
        self.slots[at] = value;
    }

    /// Takes steps from the budget.
    pub(crate) fn spend(&mut self, steps: usize) -> Outcome<()> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        match self.steps.checked_sub(steps) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => {
                self.steps = 0;
                Err(Failure::exhausted(format!("over {} steps", self.program.limits.steps_max)))
            }
        }
    }

    /// Takes bytes from the budget: before something big is made, or after something was.
    pub(crate) fn reserve(&mut self, bytes: usize) -> Outcome<()> {
        match self.bytes.checked_sub(bytes) {
            Some(left) => {
                self.bytes = left;
                self.spend(bytes / 64)
            }
            None => {
                self.bytes = 0;
                Err(Failure::exhausted(format!("over {} bytes of values", self.program.limits.bytes_max)))
            }
        }
    }

    /// How many bytes may still be made.
    pub(crate) fn bytes_left(&self) -> usize {
        self.bytes
    }

    /// Counts a value that was made.
    pub(crate) fn made(&mut self, value: Value) -> Outcome {
        self.reserve(value.size())?;
        self.check(&value)?;
        Ok(value)
    }

    /// Whether a value can be walked: parts that it shares are met again and again.
    fn check(&self, value: &Value) -> Outcome<()> {
        if value.depth() > VALUE_DEPTH_MAX {
            return Err(Failure::exhausted(format!("a value nests over {VALUE_DEPTH_MAX} deep")));
        }
        let bytes_max = self.program.limits.bytes_max;
        if value.weight() > bytes_max {
            return Err(Failure::exhausted(format!("a value of over {bytes_max} bytes")));
        }
        Ok(())
    }

    /// Takes the walk over a value from the budget.
    pub(crate) fn walk(&mut self, value: &Value) -> Outcome<()> {
        self.spend(value.weight() / 64)
    }

    fn descend(&mut self) -> Outcome<()> {
        if self.depth == EVALUATION_DEPTH_MAX {
            return Err(Failure::exhausted("a map applies itself without end, or too deeply".into()));
        }
        self.depth += 1;
        Ok(())
    }

    /// The message that functions look at.
    pub(crate) fn message(&self) -> &'a Message {
        &self.batch[self.perspective]
    }

    /// The metadata as the mapping has changed it.
    pub(crate) fn metadata(&self) -> &Arc<Object> {
        &self.metadata
    }
}
