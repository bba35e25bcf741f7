//! The filters of all subscribers, as one trie by topic level: a message finds its subscribers without scanning them.
//!
//! Invariants: a node exists while a subscription lies at or below it; a client has at most one subscription for a
//! filter; wildcards in the first level do not match topics that begin with `$` (section 4.7.2). Bounds: subscriptions
//! and nodes, both under a grant; when full, a SUBSCRIBE is refused with 0x97. Matching visits a node at most once.

use super::codec::Qos;
use crate::limits::{
    MQTT_SUBSCRIPTION_BYTES, MQTT_SUBSCRIPTION_NODE_BYTES, MQTT_SUBSCRIPTION_NODES_MAX, MQTT_SUBSCRIPTIONS_MAX,
};
use crate::memory::{Account, Grant};
use crate::types::ConnId;

const ROOT: u32 = 0;

/// One client's interest in one filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The subscriber.
    pub conn: ConnId,
    /// The most it gets.
    pub qos: Qos,
    /// Its number for this subscription; 0: none.
    pub id: u32,
    /// Not what it publishes itself.
    pub no_local: bool,
    /// The retain flag as the publisher set it.
    pub retain_as_published: bool,
    /// A filter of `$SYS`: needs no log.
    pub is_sys: bool,
}

/// Where a subscription lies, for `remove`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    node: u32,
    /// The filter ends in `#` below the node.
    rest: bool,
}

#[derive(Debug, Default)]
struct Node {
    parent: u32,
    /// By name, in order.
    children: Vec<(Box<str>, u32)>,
    /// `+`
    one: Option<u32>,
    /// Filters that end here.
    here: Vec<Subscription>,
    /// Filters that end in `#` below here.
    rest: Vec<Subscription>,
}

impl Node {
    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.one.is_none() && self.here.is_empty() && self.rest.is_empty()
    }

    fn child(&self, name: &str) -> Result<u32, usize> {
        let found = self.children.binary_search_by(|(other, _)| (**other).cmp(name));
        found.map(|index| self.children.get(index).map_or(ROOT, |(_, child)| *child))
    }

    fn list(&mut self, rest: bool) -> &mut Vec<Subscription> {
        if rest { &mut self.rest } else { &mut self.here }
    }
}

/// All subscriptions of this node's clients.
#[derive(Debug)]
pub struct Subscriptions {
    nodes: Vec<Node>,
    free: Vec<u32>,
    count: usize,
    /// Those with `is_sys`.
    sys: usize,
    /// Of all nodes' names.
    name_bytes: usize,
    /// Accounts for nodes, names and subscriptions.
    grant: Grant,
    /// Scratch of `matching`.
    visits: Vec<(u32, usize)>,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Subscriptions {
            nodes: vec![Node::default()],
            free: Vec::new(),
            count: 0,
            sys: 0,
            name_bytes: 0,
            grant: Grant::none(),
            visits: Vec::new(),
        }
    }
}

impl Subscriptions {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// How many need the log's tails.
    pub fn live(&self) -> usize {
        self.count - self.sys
    }

    /// How many want to know about this server.
    pub fn sys(&self) -> usize {
        self.sys
    }

    /// Adds, or replaces the client's subscription to the same filter. `filter` is a checked one. `None`: full.
    pub fn add(&mut self, filter: &str, subscription: Subscription, account: &Account) -> Option<Place> {
        let levels = filter.split('/').count();
        if self.count >= MQTT_SUBSCRIPTIONS_MAX || self.used_nodes() + levels > MQTT_SUBSCRIPTION_NODES_MAX {
            return None;
        }
        // As if every level were new; what is not goes back at once.
        let most = levels * MQTT_SUBSCRIPTION_NODE_BYTES + filter.len() + MQTT_SUBSCRIPTION_BYTES;
        self.grant.join(account.take(most)?);
        let place = self.insert(filter, subscription);
        self.settle_grant();
        place
    }

    fn insert(&mut self, filter: &str, subscription: Subscription) -> Option<Place> {
        let mut node = ROOT;
        let mut rest = false;
        for level in filter.split('/') {
            match level {
                "#" => rest = true,
                level => node = self.child_or_new(node, level),
            }
        }
        let list = self.node_mut(node)?.list(rest);
        match list.iter_mut().find(|other| other.conn == subscription.conn) {
            Some(other) => *other = subscription,
            None => {
                list.push(subscription);
                self.count += 1;
                self.sys += subscription.is_sys as usize;
            }
        }
        Some(Place { node, rest })
    }

    /// Where the client's subscription to `filter` lies.
    pub fn find(&self, filter: &str, conn: ConnId) -> Option<Place> {
        let mut place = Place { node: ROOT, rest: false };
        for level in filter.split('/') {
            match level {
                "#" => place.rest = true,
                "+" => place.node = self.node(place.node)?.one?,
                level => place.node = self.node(place.node)?.child(level).ok()?,
            }
        }
        let node = self.node(place.node)?;
        let list = if place.rest { &node.rest } else { &node.here };
        list.iter().any(|subscription| subscription.conn == conn).then_some(place)
    }

    /// Removes the client's subscription at `place`. False: there is none.
    pub fn remove(&mut self, place: Place, conn: ConnId) -> bool {
        let Some(node) = self.node_mut(place.node) else { return false };
        let list = node.list(place.rest);
        let Some(index) = list.iter().position(|subscription| subscription.conn == conn) else { return false };
        let removed = list.swap_remove(index);
        if list.is_empty() {
            *list = Vec::new();
        }
        self.count -= 1;
        self.sys -= removed.is_sys as usize;
        self.prune(place.node);
        self.settle_grant();
        true
    }

    /// Replaces the content of `out` by the subscriptions that match `topic`, a client's own ones side by side.
    pub fn matching(&mut self, topic: &str, out: &mut Vec<Subscription>) {
        out.clear();
        if self.count == 0 {
            return;
        }
        let reserved = topic.starts_with('$');
        let mut visits = std::mem::take(&mut self.visits);
        visits.push((ROOT, 0));
        while let Some((index, position)) = visits.pop() {
            let Some(node) = self.node(index) else { continue };
            let first = index == ROOT;
            if !(first && reserved) {
                out.extend_from_slice(&node.rest);
            }
            // One beyond the end: all levels are used up.
            let Some(rest) = topic.get(position..) else {
                out.extend_from_slice(&node.here);
                continue;
            };
            let level = rest.split('/').next().unwrap_or_default();
            let next = position + level.len() + 1;
            if let Ok(child) = node.child(level) {
                visits.push((child, next));
            }
            if let Some(child) = node.one
                && !(first && reserved)
            {
                visits.push((child, next));
            }
        }
        self.visits = visits;
        if out.len() > 1 {
            out.sort_unstable_by_key(|subscription| (subscription.conn, subscription.id));
        }
    }

    fn node(&self, index: u32) -> Option<&Node> {
        self.nodes.get(index as usize)
    }

    fn node_mut(&mut self, index: u32) -> Option<&mut Node> {
        self.nodes.get_mut(index as usize)
    }

    fn used_nodes(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Gives back what the nodes and subscriptions there are do not need.
    fn settle_grant(&mut self) {
        let nodes = MQTT_SUBSCRIPTION_NODE_BYTES * (self.used_nodes() - 1) + self.name_bytes;
        let needed = nodes + MQTT_SUBSCRIPTION_BYTES * self.count;
        drop(self.grant.split(self.grant.bytes().saturating_sub(needed)));
    }

    fn child_or_new(&mut self, parent: u32, level: &str) -> u32 {
        let known = self.node(parent).and_then(|node| match level {
            "+" => node.one,
            level => node.child(level).ok(),
        });
        if let Some(child) = known {
            return child;
        }
        let child = match self.free.pop() {
            Some(index) => index,
            None => {
                self.nodes.push(Node::default());
                self.nodes.len() as u32 - 1
            }
        };
        self.name_bytes += level.len();
        if let Some(place) = self.node_mut(child) {
            place.parent = parent;
        }
        if let Some(parent) = self.node_mut(parent) {
            match (level, parent.child(level)) {
                ("+", _) => parent.one = Some(child),
                (level, Err(index)) => parent.children.insert(index, (level.into(), child)),
                (_, Ok(_)) => {} // known above
            }
        }
        child
    }

    /// Frees `node` and its ancestors as far as nothing is left of them.
    fn prune(&mut self, mut index: u32) {
        while index != ROOT && self.node(index).is_some_and(Node::is_empty) {
            let Some(node) = self.node_mut(index).map(std::mem::take) else { return };
            let mut name_bytes = 1; // of `+`
            if let Some(parent) = self.node_mut(node.parent) {
                let named = parent.children.iter().position(|(_, child)| *child == index);
                match named {
                    Some(position) => name_bytes = parent.children.remove(position).0.len(),
                    None => parent.one = None,
                }
                if parent.children.is_empty() {
                    parent.children = Vec::new();
                }
            }
            self.name_bytes -= name_bytes;
            self.free.push(index);
            index = node.parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Rng;

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 1 }
    }

    fn subscription(index: u32) -> Subscription {
        Subscription {
            conn: conn(index),
            qos: Qos::AtMostOnce,
            id: 0,
            no_local: false,
            retain_as_published: false,
            is_sys: false,
        }
    }

    fn matched(subscriptions: &mut Subscriptions, topic: &str) -> Vec<u32> {
        let mut out = Vec::new();
        subscriptions.matching(topic, &mut out);
        out.iter().map(|subscription| subscription.conn.index).collect()
    }

    /// Section 4.7 said plainly, one pair at a time.
    fn reference(filter: &str, topic: &str) -> bool {
        if topic.starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let (filter, topic): (Vec<_>, Vec<_>) = (filter.split('/').collect(), topic.split('/').collect());
        for (index, level) in filter.iter().enumerate() {
            match (*level, topic.get(index)) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (level, Some(name)) if level == *name => {}
                _ => return false,
            }
        }
        filter.len() == topic.len()
    }

    /// The trie agrees with the plain rule on random filters and topics, through additions and removals; in the end
    /// nothing is left of it.
    #[test]
    fn agrees_with_the_rule() {
        let mut rng = Rng::new(11);
        let mut trie = Subscriptions::default();
        let account = Account::new(1 << 20);
        let mut filters: Vec<(u32, String)> = Vec::new();
        let words = ["", "a", "b", "$s", "\u{e4}"];
        let path = |rng: &mut Rng, wild: bool| {
            let count = 1 + rng.below(4);
            let mut levels: Vec<&str> = (0..count).map(|_| words[rng.below(5) as usize]).collect();
            if wild {
                for level in &mut levels {
                    if rng.one_in(3) {
                        *level = "+";
                    }
                }
                if rng.one_in(3) {
                    levels.push("#");
                }
            }
            levels.join("/")
        };
        for round in 0..4000 {
            if rng.one_in(2) && filters.len() < 40 {
                let filter = path(&mut rng, true);
                if !super::super::codec::is_filter(&filter) {
                    continue;
                }
                trie.add(&filter, subscription(round), &account).unwrap();
                filters.push((round, filter));
            } else if rng.one_in(3) && !filters.is_empty() {
                let (index, filter) = filters.swap_remove(rng.below(filters.len() as u64) as usize);
                let place = trie.find(&filter, conn(index)).unwrap();
                assert!(trie.remove(place, conn(index)));
                assert_eq!(trie.find(&filter, conn(index)), None);
            }
            let topic = path(&mut rng, false);
            let mut expected: Vec<u32> =
                filters.iter().filter(|(_, filter)| reference(filter, &topic)).map(|(index, _)| *index).collect();
            expected.sort_unstable();
            assert_eq!(matched(&mut trie, &topic), expected, "{topic}");
        }
        for (index, filter) in filters {
            let place = trie.find(&filter, conn(index)).unwrap();
            assert!(trie.remove(place, conn(index)));
        }
        assert_eq!((trie.len(), trie.used_nodes(), trie.name_bytes, account.used_bytes()), (0, 1, 0, 0));
    }

    /// The same filter again replaces; overlapping filters of a client lie side by side.
    #[test]
    fn replace_and_overlap() {
        let mut trie = Subscriptions::default();
        let account = Account::new(1 << 20);
        trie.add("a/#", subscription(1), &account).unwrap();
        trie.add("a/#", Subscription { qos: Qos::AtLeastOnce, ..subscription(1) }, &account).unwrap();
        trie.add("a/+", subscription(2), &account).unwrap();
        trie.add("a/b", subscription(1), &account).unwrap();
        assert_eq!(trie.len(), 3);
        assert_eq!(matched(&mut trie, "a/b"), [1, 1, 2]);
        assert_eq!(matched(&mut trie, "a"), [1]);
    }

    /// Full means refused, and what was there stays.
    #[test]
    fn bounds() {
        let mut trie = Subscriptions::default();
        let account = Account::new(1 << 20);
        let deep = "/".repeat(MQTT_SUBSCRIPTION_NODES_MAX);
        assert_eq!(trie.add(&deep, subscription(1), &account), None);
        for index in 0..MQTT_SUBSCRIPTIONS_MAX as u32 {
            assert!(trie.add("x", subscription(index), &account).is_some());
        }
        assert_eq!(trie.add("y", subscription(1), &account), None);
        assert_eq!(matched(&mut trie, "x").len(), MQTT_SUBSCRIPTIONS_MAX);
        let (mut trie, small) = (Subscriptions::default(), Account::new(1000));
        assert_eq!(trie.add("a/b/c/d/e/f/g", subscription(1), &small), None);
        assert!(trie.add("a", subscription(1), &small).is_some());
        assert_eq!(trie.len(), 1);
    }
}
