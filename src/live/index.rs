//! Which groups a changed record can concern: by collection, and by the value of a field where a query asks for one.

use std::collections::{HashMap, HashSet};

use super::hub::GroupId;
use crate::engine::{Followed, Watched, value_key};

#[derive(Debug, Default)]
struct Family {
    /// Groups without an equality.
    any: HashSet<GroupId>,
    /// Field, then value, then groups.
    by_value: HashMap<String, HashMap<String, HashSet<GroupId>>>,
}

/// The index over all groups.
#[derive(Debug, Default)]
pub(super) struct Index {
    families: HashMap<String, Family>,
    /// Groups that any change may concern.
    all: HashSet<GroupId>,
}

impl Index {
    pub(super) fn add(&mut self, id: GroupId, watched: &Watched) {
        for watch in &watched.roots {
            if watch.follows_all() {
                self.all.insert(id);
                continue;
            }
            let family = self.families.entry(watch.family().to_owned()).or_default();
            match &watch.equality {
                Some((field, value)) => {
                    let values = family.by_value.entry(field.clone()).or_default();
                    values.entry(value.clone()).or_default().insert(id);
                }
                None => {
                    family.any.insert(id);
                }
            }
        }
    }

    pub(super) fn remove(&mut self, id: GroupId, watched: &Watched) {
        self.all.remove(&id);
        for watch in &watched.roots {
            let Some(family) = self.families.get_mut(watch.family()) else { continue };
            family.any.remove(&id);
            if let Some((field, value)) = &watch.equality
                && let Some(values) = family.by_value.get_mut(field)
            {
                if let Some(groups) = values.get_mut(value) {
                    groups.remove(&id);
                    if groups.is_empty() {
                        values.remove(value);
                    }
                }
                if values.is_empty() {
                    family.by_value.remove(field);
                }
            }
            if family.any.is_empty() && family.by_value.is_empty() {
                self.families.remove(watch.family());
            }
        }
    }

    /// Adds the groups that a change can concern.
    pub(super) fn concerned(&self, change: &Followed, out: &mut HashSet<GroupId>) {
        out.extend(&self.all);
        let Some(family) = self.families.get(&change.family) else { return };
        out.extend(&family.any);
        for (field, values) in &family.by_value {
            for value in change.values(field).into_iter().flatten() {
                if let Some(groups) = value_key(value).and_then(|key| values.get(&key)) {
                    out.extend(groups);
                }
            }
        }
    }
}
