//! Directed graphs of small numbers: strongly connected parts, a shortest cycle, and an order that starts at sources.

use std::collections::{BTreeSet, VecDeque};

/// A graph of nodes `0..len`.
pub(crate) struct Graph {
    /// Successors of each node, sorted, each once.
    next: Vec<Vec<usize>>,
}

impl Graph {
    pub(crate) fn new(len: usize, edges: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut next = vec![Vec::new(); len];
        for (from, to) in edges {
            next[from].push(to);
        }
        for list in &mut next {
            list.sort_unstable();
            list.dedup();
        }
        Graph { next }
    }

    /// Everything that can be reached from some nodes, those included.
    pub(crate) fn reachable(&self, from: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut open: Vec<usize> = from.into_iter().collect();
        let mut seen: BTreeSet<usize> = open.iter().copied().collect();
        while let Some(node) = open.pop() {
            open.extend(self.next[node].iter().copied().filter(|&next| seen.insert(next)));
        }
        seen
    }

    /// Whether some way leads from the nodes of a part back to themselves.
    pub(crate) fn is_cyclic(&self, part: &[usize]) -> bool {
        part.len() > 1 || part.iter().any(|&node| self.next[node].contains(&node))
    }

    /// A shortest way from `start` back to itself, `start` first, when there is one.
    pub(crate) fn cycle_through(&self, start: usize) -> Option<Vec<usize>> {
        let mut came_from = vec![None; self.next.len()];
        let mut open = VecDeque::from([start]);
        while let Some(node) = open.pop_front() {
            for &next in &self.next[node] {
                if next == start {
                    let mut path = vec![node];
                    while let Some(before) = came_from[path[path.len() - 1]] {
                        path.push(before);
                    }
                    path.reverse();
                    return Some(path);
                }
                if came_from[next].is_none() {
                    came_from[next] = Some(node);
                    open.push_back(next);
                }
            }
        }
        None
    }

    /// The strongly connected parts, each sorted. A part comes before every part that leads to it (Tarjan, with a
    /// stack of its own, since a scenario from outside must not use up ours).
    pub(crate) fn parts(&self) -> Vec<Vec<usize>> {
        const UNSEEN: usize = usize::MAX;
        let len = self.next.len();
        let (mut order, mut low, mut on_stack) = (vec![UNSEEN; len], vec![0; len], vec![false; len]);
        let (mut stack, mut parts, mut count) = (Vec::new(), Vec::new(), 0);
        for root in 0..len {
            let mut calls = if order[root] == UNSEEN { vec![(root, 0)] } else { Vec::new() };
            while let Some((node, edge)) = calls.pop() {
                if edge == 0 {
                    (order[node], low[node], on_stack[node]) = (count, count, true);
                    count += 1;
                    stack.push(node);
                }
                if let Some(&next) = self.next[node].get(edge) {
                    calls.push((node, edge + 1));
                    if order[next] == UNSEEN {
                        calls.push((next, 0));
                    } else if on_stack[next] {
                        low[node] = low[node].min(order[next]);
                    }
                    continue;
                }
                if let Some(&(caller, _)) = calls.last() {
                    low[caller] = low[caller].min(low[node]);
                }
                if low[node] == order[node] {
                    let at =
                        stack.iter().rposition(|&other| other == node).expect("a node is on its own stack");
                    let mut part = stack.split_off(at);
                    part.iter().for_each(|&member| on_stack[member] = false);
                    part.sort_unstable();
                    parts.push(part);
                }
            }
        }
        parts
    }

    /// An order in which a node comes after what leads to it, wherever the graph allows: parts in topological order,
    /// and inside a part outward from its first node by `rank` (smaller first, then by index).
    pub(crate) fn sources_first<R: Ord>(&self, rank: impl Fn(usize) -> R) -> Vec<usize> {
        let parts = self.parts();
        let mut part_of = vec![0; self.next.len()];
        for (index, part) in parts.iter().enumerate() {
            part.iter().for_each(|&node| part_of[node] = index);
        }
        let mut waits_for = vec![0_usize; parts.len()];
        for (node, list) in self.next.iter().enumerate() {
            for &next in list.iter().filter(|&&next| part_of[next] != part_of[node]) {
                waits_for[part_of[next]] += 1;
            }
        }
        let first = |part: usize| {
            parts[part].iter().copied().min_by_key(|&node| (rank(node), node)).expect("a part has a node")
        };
        let mut ready: BTreeSet<(R, usize, usize)> = (0..parts.len())
            .filter(|&part| waits_for[part] == 0)
            .map(|part| (rank(first(part)), first(part), part))
            .collect();
        let mut order = Vec::with_capacity(self.next.len());
        while let Some((_, start, part)) = ready.pop_first() {
            order.extend(self.outward(start, |node| part_of[node] == part));
            for &node in &parts[part] {
                for &next in self.next[node].iter().filter(|&&next| part_of[next] != part) {
                    let other = part_of[next];
                    waits_for[other] -= 1;
                    if waits_for[other] == 0 {
                        ready.insert((rank(first(other)), first(other), other));
                    }
                }
            }
        }
        order
    }

    /// The nodes of one part by distance from one of them.
    fn outward(&self, start: usize, is_inside: impl Fn(usize) -> bool) -> Vec<usize> {
        let mut order = vec![start];
        let mut seen = BTreeSet::from([start]);
        let mut at = 0;
        while let Some(&node) = order.get(at) {
            order
                .extend(self.next[node].iter().copied().filter(|&next| is_inside(next) && seen.insert(next)));
            at += 1;
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_ring_with_a_tail() {
        let graph = Graph::new(5, [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4)]);
        assert_eq!(graph.parts(), [vec![4], vec![3], vec![0, 1, 2]]);
        assert_eq!(graph.cycle_through(1), Some(vec![1, 2, 0]));
        assert_eq!(graph.cycle_through(3), None);
        assert_eq!(graph.sources_first(|node| node != 2), [2, 0, 1, 3, 4], "2 ranks first in its ring");
        assert_eq!(graph.reachable([3]), BTreeSet::from([3, 4]));
        assert_eq!(Graph::new(1, [(0, 0)]).cycle_through(0), Some(vec![0]));
    }

    #[test]
    fn a_very_long_chain_does_not_use_up_the_stack() {
        let graph = Graph::new(200_000, (1..200_000).map(|node| (node - 1, node)));
        assert_eq!(graph.parts().len(), 200_000);
        assert_eq!(graph.sources_first(|_| 0).first(), Some(&0));
    }

    proptest! {
        #[test]
        fn the_order_holds_every_node_once_and_respects_acyclic_edges(
            edges in proptest::collection::vec((0usize..12, 0usize..12), 0..30),
        ) {
            let acyclic: Vec<_> = edges.iter().copied().filter(|(from, to)| from < to).collect();
            let order = Graph::new(12, acyclic.iter().copied()).sources_first(std::cmp::Reverse);
            let place = |node| order.iter().position(|&other| other == node).unwrap();
            for (from, to) in acyclic {
                prop_assert!(place(from) < place(to));
            }
            let mut any = Graph::new(12, edges).sources_first(|_| 0);
            any.sort_unstable();
            prop_assert_eq!(any, (0..12).collect::<Vec<_>>());
        }
    }
}
