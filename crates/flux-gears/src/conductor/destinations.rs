//! Which destination a request goes to: a tree of groups over the destinations that are available.

use std::sync::Arc;

use flux_gear::{GearContext, Link, OutPort};

use super::{
    config::{Destination as Written, Group},
    valet::NOWHERE,
};

/// Groups within groups, at most.
const TREE_DEPTH_MAX: usize = 8;

/// Every destination that a route names, by number.
#[derive(Default)]
pub(crate) struct Destinations {
    names: Vec<String>,
    all: Vec<Destination>,
}

/// One destination.
pub(crate) struct Destination {
    /// Where requests leave for it.
    pub(crate) port: OutPort,
    /// The link behind the port, where one I/O gear answers there; without it the destination counts as up.
    link: Option<Arc<Link>>,
}

/// A choice among destinations.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    One(u16),
    Group {
        policy: Policy,
        members: Vec<Tree>,
        /// Where the next turn begins.
        next: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Failover,
    RoundRobin,
    LeastLoaded,
}

impl Destinations {
    /// Compiles what is written, and adds the destinations it names.
    pub(crate) fn tree(&mut self, written: &Written, ctx: &GearContext) -> Result<Tree, String> {
        self.subtree(written, ctx, TREE_DEPTH_MAX)
    }

    fn subtree(&mut self, written: &Written, ctx: &GearContext, room: usize) -> Result<Tree, String> {
        let (policy, members) = match written {
            Written::Leaf(name) => return self.named(name, ctx).map(Tree::One),
            Written::Group(Group::Failover(members)) => (Policy::Failover, members),
            Written::Group(Group::RoundRobin(members)) => (Policy::RoundRobin, members),
            Written::Group(Group::LeastLoaded(members)) => (Policy::LeastLoaded, members),
        };
        let room = room.checked_sub(1).ok_or_else(|| format!("groups nest deeper than {TREE_DEPTH_MAX}"))?;
        if members.is_empty() {
            return Err("a group of destinations must not be empty".into());
        }
        let members =
            members.iter().map(|member| self.subtree(member, ctx, room)).collect::<Result<_, _>>()?;
        Ok(Tree::Group { policy, members, next: 0 })
    }

    fn named(&mut self, name: &str, ctx: &GearContext) -> Result<u16, String> {
        if name == "response" || name.starts_with("response_") {
            return Err(format!("no destination is called `{name}`: `out_response` is where answers leave"));
        }
        let at = match self.names.iter().position(|known| known == name) {
            Some(at) => at,
            None => {
                let port = format!("out_{name}");
                let link = ctx.binding(&port).map(|gear| ctx.control().link(gear));
                let port = ctx.output(&port).map_err(|fault| fault.message().to_owned())?;
                self.names.push(name.into());
                self.all.push(Destination { port, link });
                self.all.len() - 1
            }
        };
        u16::try_from(at).map_err(|_| "too many destinations".into())
    }

    /// A destination by number.
    pub(crate) fn get(&self, number: u16) -> &Destination {
        &self.all[usize::from(number)]
    }

    /// The name of a destination; nothing for [`NOWHERE`].
    pub(crate) fn name(&self, number: u16) -> &str {
        self.names.get(usize::from(number)).map_or("", String::as_str)
    }

    /// The names, by number.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The number of a destination, or [`NOWHERE`] when no route names it.
    pub(crate) fn number(&self, name: &str) -> u16 {
        let at = self.names.iter().position(|known| known == name);
        at.and_then(|at| u16::try_from(at).ok()).unwrap_or(NOWHERE)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// The names of those that count as up whatever happens, because no single I/O gear answers for them.
    pub(crate) fn unbound(&self) -> impl Iterator<Item = &str> {
        self.names.iter().zip(&self.all).filter(|(_, one)| one.link.is_none()).map(|(name, _)| name.as_str())
    }
}

impl Destination {
    /// Whether it can be reached now.
    pub(crate) fn is_up(&self) -> bool {
        self.link.as_ref().is_none_or(|link| link.is_up())
    }
}

impl Tree {
    /// The destination whose turn it is, if any is up. `is_up` and `load` answer by number of destination.
    pub(crate) fn choose(&mut self, is_up: &impl Fn(u16) -> bool, load: &impl Fn(u16) -> u32) -> Option<u16> {
        match self {
            Tree::One(number) => is_up(*number).then_some(*number),
            Tree::Group { policy: Policy::Failover, members, .. } => {
                members.iter_mut().find_map(|member| member.choose(is_up, load))
            }
            Tree::Group { policy: Policy::RoundRobin, members, next } => {
                let (first, count) = (*next, members.len());
                (0..count).map(|turn| (first + turn) % count).find_map(|at| {
                    let chosen = members[at].choose(is_up, load)?;
                    *next = (at + 1) % count;
                    Some(chosen)
                })
            }
            Tree::Group { policy: Policy::LeastLoaded, members, next } => {
                let count = members.len();
                // Of equals `min_by_key` returns the first, and `next` is behind the one chosen last.
                let at = (0..count)
                    .map(|turn| (*next + turn) % count)
                    .filter(|&at| members[at].is_available(is_up))
                    .min_by_key(|&at| members[at].load(load))?;
                *next = (at + 1) % count;
                members[at].choose(is_up, load)
            }
        }
    }

    fn is_available(&self, is_up: &impl Fn(u16) -> bool) -> bool {
        match self {
            Tree::One(number) => is_up(*number),
            Tree::Group { members, .. } => members.iter().any(|member| member.is_available(is_up)),
        }
    }

    fn load(&self, load: &impl Fn(u16) -> u32) -> u64 {
        match self {
            Tree::One(number) => u64::from(load(*number)),
            Tree::Group { members, .. } => members.iter().map(|member| member.load(load)).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(number: u16) -> Tree {
        Tree::One(number)
    }

    fn group(policy: Policy, members: impl IntoIterator<Item = Tree>) -> Tree {
        Tree::Group { policy, members: members.into_iter().collect(), next: 0 }
    }

    /// Chooses once for each text, in which `-` is a destination that is down and a digit the load of one that is up.
    fn check(mut tree: Tree, turns: &[&str], chosen: &[Option<u16>]) {
        let got: Vec<_> = turns
            .iter()
            .map(|turn| {
                let at = |number: u16| turn.as_bytes()[usize::from(number)];
                tree.choose(&|number| at(number) != b'-', &|number| u32::from(at(number) - b'0'))
            })
            .collect();
        assert_eq!(got, chosen, "{turns:?}");
    }

    #[test]
    fn each_policy_chooses_among_those_that_are_up() {
        use Policy::{Failover, LeastLoaded, RoundRobin};
        check(one(0), &["0", "-"], &[Some(0), None]);
        check(
            group(Failover, [one(0), one(1)]),
            &["99", "-9", "99", "--"],
            &[Some(0), Some(1), Some(0), None],
        );
        check(
            group(RoundRobin, [one(0), one(1), one(2)]),
            &["000", "000", "000", "000", "0-0", "000", "---"],
            &[Some(0), Some(1), Some(2), Some(0), Some(2), Some(0), None],
        );
        check(
            group(LeastLoaded, [one(0), one(1), one(2)]),
            &["312", "31-", "222", "222", "222", "-0-", "---"],
            &[Some(1), Some(1), Some(2), Some(0), Some(1), Some(1), None],
        );
    }

    #[test]
    fn groups_nest() {
        use Policy::{Failover, LeastLoaded, RoundRobin};
        let pair = |a, b| group(RoundRobin, [one(a), one(b)]);
        check(
            group(Failover, [pair(0, 1), one(2)]),
            &["000", "000", "-00", "--0", "000"],
            &[Some(0), Some(1), Some(1), Some(2), Some(0)],
        );
        check(
            group(LeastLoaded, [pair(0, 1), one(2)]),
            &["113", "112", "--9", "--0"],
            &[Some(0), Some(2), Some(2), Some(2)],
        );
    }
}
