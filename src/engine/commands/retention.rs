//! Earlier versions that rules let go, and the purge that leaves no byte.
//!
//! Invariants
//! R1. Without a rule for its collection nothing of a record is ever let go.
//! R2. What was let go is said: in the log, in the journal, and in what `doctor` and the figures show.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::commit;
use super::update::existing;
use crate::engine::backups::Cancel;
use crate::engine::error::{Error, Result};
use crate::engine::{Caller, Engine};
use crate::store::{Actor, Kept};

/// Records looked at in one unit.
const PAGE: i64 = 100;
const DONE: &str = "versions_pruned";

/// What stays of the history of one collection: what either limit keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRule {
    /// A collection, or `*` for every one without a rule of its own.
    pub collection: String,
    /// Versions replaced less than this long ago.
    pub age_ms: Option<i64>,
    /// So many of the newest.
    pub newest: Option<i64>,
}

/// What a run let go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// When, in milliseconds.
    pub at: i64,
    pub versions: i64,
    /// By collection.
    pub collections: BTreeMap<String, i64>,
}

fn rule_for<'a>(rules: &'a [VersionRule], collection: &str) -> Option<&'a VersionRule> {
    let own = rules.iter().find(|rule| rule.collection == collection);
    // The product's own records are let go only by a rule that names them.
    own.or_else(|| rules.iter().find(|rule| rule.collection == "*" && !collection.starts_with('_')))
}

impl VersionRule {
    fn kept(&self, now: i64) -> Kept {
        Kept {
            since: self.age_ms.map(|age| now.saturating_sub(age)),
            newest: self.newest.unwrap_or(0),
        }
    }
}

impl Engine {
    /// Lets go of the earlier versions that no rule keeps. Runs on the calling thread, in small units.
    ///
    /// # Errors
    /// [`Error::Denied`] to all but the owner acting alone.
    pub fn prune_versions(&self, caller: &Caller, cancel: &Cancel) -> Result<Pruned> {
        self.check_alone(caller)?;
        let now = self.clock().now_ms();
        let mut pruned = Pruned { at: now, ..Pruned::default() };
        let rules = &self.options().version_rules;
        if rules.is_empty() {
            return Ok(pruned);
        }
        let mut after = 0;
        while !cancel.is_cancelled() {
            let (page, last) = self.store().read(|view| {
                let (page, last) = view.with_history(after, PAGE)?;
                let mut due = Vec::new();
                for record in page {
                    let Some(rule) = rule_for(rules, &record.collection) else { continue };
                    let kept = rule.kept(now);
                    if view.prunable(record.rid, kept)? > 0 {
                        due.push((record, kept));
                    }
                }
                Ok::<_, Error>((due, last))
            })?;
            let Some(last) = last else { break };
            after = last;
            if page.is_empty() {
                continue;
            }
            let part = self.store().write_blocking(move |unit| {
                let mut part = BTreeMap::new();
                for (record, kept) in page {
                    *part.entry(record.collection).or_insert(0) +=
                        unit.prune_versions(record.rid, kept)?;
                }
                unit.append_prune(Actor::default())?;
                Ok::<_, Error>(part)
            })?;
            for (collection, versions) in part {
                pruned.versions += versions;
                *pruned.collections.entry(collection).or_insert(0) += versions;
            }
        }
        if pruned.versions > 0 {
            for (collection, versions) in &pruned.collections {
                tracing::info!(collection, versions, "earlier versions were let go by rule");
            }
        }
        let text = serde_json::to_string(&pruned).unwrap_or_default();
        self.store()
            .write_blocking(move |unit| Ok::<_, Error>(unit.set_meta_text(DONE, &text)?))?;
        Ok(pruned)
    }

    /// The last run of the rules, if there was one.
    ///
    /// # Errors
    /// The store's.
    pub fn last_pruned(&self) -> Result<Option<Pruned>> {
        let text = self.store().read(|view| view.meta_text(DONE))?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Purges records for good, current and earlier states, and the words of them in the index of the search, and overwrites
    /// their bytes in the pages they were on. Bytes that earlier changes left in free space are gone once the file was
    /// compacted. Runs on the calling thread, a record in a unit; for files that nobody serves.
    ///
    /// # Errors
    /// [`Error::Denied`], [`Error::Missing`]; then none was purged.
    pub fn purge_for_privacy(&self, caller: &Caller, ids: &[String]) -> Result<u64> {
        self.check_alone(caller)?;
        self.store().read(|view| ids.iter().try_for_each(|id| existing(view, id).map(|_| ())))?;
        let mut purged = 0;
        for id in ids {
            let (inner, caller, id) = (Arc::clone(&self.inner), caller.clone(), id.clone());
            purged += self.store().write_blocking(move |unit| {
                // Named twice, or a file's own record that went with it.
                let Ok(row) = existing(unit, &id) else { return Ok(0) };
                super::delete::refuse_config(unit, &row)?;
                let actor = commit::actor(unit, &caller)?;
                commit::purge(&inner, unit, &row, actor)?;
                Ok::<_, Error>(1)
            })?;
        }
        self.store().write_blocking(|unit| {
            unit.merge_search()?;
            Ok::<_, Error>(unit.forget_answers()?)
        })?;
        Ok(purged)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::engine::{EngineOptions, NewRecord, NewTypeInput, Since};
    use crate::util::clock::Clock;

    const DAY_MS: i64 = 86_400_000;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            _ => Map::new(),
        }
    }

    /// Ten versions, one a day, in three collections with three kinds of rules. Numbers, the current state and the journal stay.
    #[test]
    fn rules_let_go_what_neither_limit_keeps() {
        let folder = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual(1_704_067_200_000);
        let mut options = EngineOptions::default();
        options.store.clock = clock;
        let rule = |name: &str, age_days: Option<i64>, newest: Option<i64>| VersionRule {
            collection: name.to_owned(),
            age_ms: age_days.map(|days| days * DAY_MS),
            newest,
        };
        options.version_rules = vec![
            rule("com.example/aged", Some(3), None),
            rule("com.example/counted", None, Some(2)),
            rule("*", Some(2), Some(5)),
        ];
        let engine = Engine::open(&folder.path().join("a.cairn"), &options).unwrap();
        let owner = engine.owner_caller();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let names = ["aged", "counted", "other"];
        let mut ids = Vec::new();
        runtime.block_on(async {
            for name in names {
                let id = format!("com.example/{name}@1");
                let input = NewTypeInput {
                    id: id.clone(),
                    name: name.to_owned(),
                    schema: Map::new(),
                    schema_hash: None,
                    migrates_from: None,
                    search: None,
                };
                engine.register_type(&owner, input).await.unwrap();
                let content = object(json!({ "n": 1 }));
                let new = NewRecord { type_id: id, content, ..NewRecord::default() };
                ids.push(engine.create(&owner, new).await.unwrap().id);
            }
            for n in 2..=11 {
                hand.advance_ms(DAY_MS);
                for id in &ids {
                    engine.update(&owner, id, object(json!({ "n": n })), None).await.unwrap();
                }
            }
        });
        let versions = |id: &str| -> Vec<i64> {
            let (states, _) = engine.versions(&owner, id, None).unwrap();
            states.into_iter().map(|state| state.version).collect()
        };
        assert_eq!(versions(&ids[0]), (1..=10).rev().collect::<Vec<_>>());
        let before = (engine.counts().unwrap().changes, engine.last_tx());
        let pruned = engine.prune_versions(&owner, &Cancel::default()).unwrap();
        // Replaced three days ago or less: versions 7 to 10.
        assert_eq!(versions(&ids[0]), [10, 9, 8, 7]);
        assert_eq!(versions(&ids[1]), [10, 9]);
        assert_eq!(versions(&ids[2]), [10, 9, 8, 7, 6], "the count keeps more than the age");
        assert_eq!(pruned.versions, 6 + 8 + 5);
        assert_eq!(pruned.collections["com.example/counted"], 8);
        for id in &ids {
            let record = engine.get(&owner, id, None).unwrap();
            assert_eq!((record.version, record.content.as_str()), (11, "{\"n\":11}"));
        }
        let after = (engine.counts().unwrap().changes, engine.last_tx());
        assert_eq!(after, (before.0 + 1, before.1 + 1), "one entry says so, and none went");
        let feed =
            runtime.block_on(engine.changes(&owner, Since::Tx(before.1), 10, Vec::new())).unwrap();
        assert!(feed.entries.is_empty(), "{feed:?}");
        assert_eq!(engine.last_pruned().unwrap().unwrap(), pruned);
        // Nothing more is due, and the settings record has no rule.
        let again = engine.prune_versions(&owner, &Cancel::default()).unwrap();
        assert_eq!((again.versions, engine.last_tx()), (0, after.1));
        assert!(engine.verify(|_| ()).unwrap().faults.is_empty());
        let nobody = Caller::of("did:web:a", "did:web:a");
        assert!(matches!(engine.prune_versions(&nobody, &Cancel::default()), Err(Error::Denied)));
        engine.close();
    }
}
