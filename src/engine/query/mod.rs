//! Pages of records: the internal form of every list and query, its cursor, and its way to the store.

mod cursor;
pub(crate) mod describe;
pub(crate) mod run;
pub mod tree;
pub(crate) mod watch;

use crate::engine::access::Access;
use crate::engine::error::{Error, Result};
use crate::engine::record::AsOf;
use crate::engine::{Caller, Engine, Record};
use crate::schema::words::Search;
use crate::store::{Direction, Find, Related, SortKey, Span, ValueTest, View};

/// Rows of a page, when not said otherwise and at most.
pub const PAGE_ROWS_DEFAULT: u32 = 50;
pub const PAGE_ROWS_MAX: u32 = 1_000;
const _: () = assert!(PAGE_ROWS_DEFAULT <= PAGE_ROWS_MAX);
/// Members of one list in a query, and conditions in all (SECURITY S57).
const LIST_MAX: usize = 1_000;
const CONDITIONS_MAX: usize = 200;

/// What to look for; all conditions hold together.
#[derive(Clone, Debug)]
pub struct Query {
    /// Exact types, any of; empty for all.
    pub types: Vec<String>,
    /// `Some(None)`: records without a parent.
    pub parent: Option<Option<String>>,
    /// Any of; empty for all.
    pub apps: Vec<String>,
    pub subjects: Vec<String>,
    pub principals: Vec<String>,
    /// All of.
    pub tags: Vec<String>,
    pub has_attachment: Option<String>,
    pub file: Option<String>,
    /// Target and label.
    pub related: Option<(String, Option<String>)>,
    pub created: Span,
    pub updated: Span,
    /// As the user typed it.
    pub search: Option<String>,
    /// Equality with top-level fields; `null` also finds records without the field.
    pub content: Vec<(String, serde_json::Value)>,
    pub include_deleted: bool,
    pub sort: SortKey,
    pub direction: Direction,
    /// At most [`PAGE_ROWS_MAX`].
    pub limit: u32,
    pub cursor: Option<String>,
    pub as_of: Option<AsOf>,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            types: Vec::new(),
            parent: None,
            apps: Vec::new(),
            subjects: Vec::new(),
            principals: Vec::new(),
            tags: Vec::new(),
            has_attachment: None,
            file: None,
            related: None,
            created: Span::default(),
            updated: Span::default(),
            search: None,
            content: Vec::new(),
            include_deleted: false,
            sort: SortKey::Created,
            direction: Direction::Descending,
            limit: PAGE_ROWS_DEFAULT,
            cursor: None,
            as_of: None,
        }
    }
}

/// A page, and how to go on; no cursor: that was all.
#[derive(Clone, Debug)]
pub struct Page {
    pub records: Vec<Record>,
    pub cursor: Option<String>,
}

impl Engine {
    /// A page of what the caller may read.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for a cursor that is not one of this query's, or a search that cannot be read;
    /// [`Error::Timeout`] past the deadline.
    pub async fn query(&self, caller: &Caller, query: Query) -> Result<Page> {
        if query.limit == 0 || query.limit > PAGE_ROWS_MAX {
            return Err(Error::BadRequest(format!("limit is 1 to {PAGE_ROWS_MAX}")));
        }
        let lists = [&query.types, &query.apps, &query.subjects, &query.principals, &query.tags];
        let conditions = query.tags.len() + query.content.len();
        if lists.iter().any(|list| list.len() > LIST_MAX) || conditions > CONDITIONS_MAX {
            return Err(Error::BadRequest("the filter has too many conditions".into()));
        }
        let mut find = Find {
            include_deleted: query.include_deleted,
            sort: query.sort,
            direction: query.direction,
            limit: i64::from(query.limit) + 1,
            parent: query.parent,
            apps: listed(query.apps),
            subjects: listed(query.subjects),
            principals: listed(query.principals),
            tags: query.tags,
            has_attachment: query.has_attachment,
            file: query.file,
            related: query.related.map(|(target, label)| Related { target, label }),
            created: query.created,
            updated: query.updated,
            ..Find::default()
        };
        if let Some(cursor) = &query.cursor {
            find.after = Some(cursor::parse(cursor, query.sort)?);
        }
        if let Some(text) = &query.search {
            let search =
                Search::parse(text).map_err(|fault| Error::BadRequest(fault.to_string()))?;
            if search.is_nothing() {
                // Nothing to look for finds nothing.
                return Ok(Page { records: Vec::new(), cursor: None });
            }
            find.search = Some(search);
        }
        self.name_types(&mut find, &query.types, query.content);
        // Rights need the file; for the owner alone the plan is known before.
        find.scope.all = self.is_owner_alone(caller);
        let (caller, inner, as_of) =
            (caller.clone(), std::sync::Arc::clone(&self.inner), query.as_of);
        let (rows_max, sort) = (query.limit as usize, query.sort);
        let plan = find.clone();
        self.store()
            .page(&plan, move |view: &View<'_>| {
                let mut find = find.clone();
                let access = Access::new(&inner, view, &caller);
                find.scope = access.scope(as_of.is_some())?;
                find.as_of_tx = as_of.map(|moment| moment.tx(view)).transpose()?;
                let mut rows = view.find(&find)?;
                let more = rows.len() > rows_max;
                rows.truncate(rows_max);
                let cursor =
                    if more { rows.last().map(|row| cursor::text(row, sort)) } else { None };
                let records = rows
                    .into_iter()
                    .map(|row| Record::from_row(view, row))
                    .collect::<Result<Vec<_>>>()?;
                Ok::<_, Error>(Page { records, cursor })
            })
            .await
    }

    /// Type names become row numbers; the settings record is never found.
    fn name_types(
        &self,
        find: &mut Find,
        names: &[String],
        content: Vec<(String, serde_json::Value)>,
    ) {
        let types = self.types();
        find.hidden_types = types.family("_config").to_vec();
        if !names.is_empty() {
            let mut rows: Vec<i64> = names
                .iter()
                .filter_map(|name| types.get(name))
                .map(|info| info.row_id)
                .filter(|row| !find.hidden_types.contains(row))
                .collect();
            rows.sort_unstable();
            rows.dedup();
            find.types = Some(rows);
        }
        find.content =
            content.into_iter().map(|(field, value)| ValueTest { field, value }).collect();
    }
}

fn listed(list: Vec<String>) -> Option<Vec<String>> {
    (!list.is_empty()).then_some(list)
}
