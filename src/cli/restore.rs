//! `cairn restore`: a backup in the place of the file, beside it, or record by record.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use serde_json::json;

use super::offline::{self, FileFlag, Offline, explain_open, must_exist};
use super::progress::Progress;
use super::{Outcome, Usage, backup, interrupt, output};
use crate::engine::backups::{Cancel, RestoreOptions, Restored, Wanted, restore_over, restore_to};
use crate::engine::{AsOf, Error};
use crate::store::{Archive, StoreError, finish_restore, restore_waits};

/// How long a running server may take to notice a restored file, and how often it is looked whether it has.
const TAKEN_OVER_MAX: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(super) struct RestoreArgs {
    /// The backup: a file that `cairn backup` wrote, or any stack file
    backup: PathBuf,
    #[command(flatten)]
    target: FileFlag,
    /// Write a new file instead of replacing the stack file
    #[arg(long, value_name = "NEW", conflicts_with_all = ["record", "type_id"])]
    into: Option<PathBuf>,
    /// The state at an earlier moment: a tx number, or an instant such as 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TX|TIME", conflicts_with_all = ["record", "type_id"])]
    as_of: Option<String>,
    /// Bring back one record, as a new version of what is there
    #[arg(long, value_name = "ID", conflicts_with = "type_id")]
    record: Option<String>,
    /// Bring back every record of a type or collection, as new versions of what is there
    #[arg(long = "type", value_name = "TYPE")]
    type_id: Option<String>,
    /// End every session and token that the backup holds, and replace its signing keys
    #[arg(long, conflicts_with_all = ["record", "type_id"])]
    end_sessions: bool,
    /// Print one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &RestoreArgs) -> Result<Outcome> {
    let as_of = match &args.as_of {
        None => None,
        Some(text) => Some(AsOf::parse(text).ok_or_else(|| {
            Usage(format!("--as-of {text:?} is neither a tx number nor an instant such as 2030-01-31T12:00:00Z"))
        })?),
    };
    let path = &args.backup;
    if !path.exists() {
        bail!("{} does not exist; `cairn backup` makes one", path.display());
    }
    let source = Archive::open(path).map_err(|error| explain_open(path, Error::Storage(error)))?;
    let wanted = match (&args.record, &args.type_id) {
        (Some(id), _) => Some(Wanted::Record(id.clone())),
        (_, Some(name)) => Some(Wanted::Type(name.clone())),
        _ => None,
    };
    if let Some(wanted) = wanted {
        return bring_back(args, &source, &wanted);
    }
    let options = RestoreOptions { as_of, end_sessions: args.end_sessions };
    let opening = offline::options()?;
    let cancel = Cancel::default();
    interrupt::cancels(&cancel)?;
    let file = &args.target.file;
    if args.into.is_none() && same(path, file) {
        bail!(
            "{} is the stack file itself; name a backup, or a new file with --into",
            path.display()
        );
    }
    let mut progress = Progress::new("restore", None, args.json);
    let mut show = |stage| backup::show(&mut progress, &stage);
    let made = match &args.into {
        Some(into) => restore_to(&source, into, options, &opening, &cancel, &mut show),
        None => restore_over(&source, file, options, &opening, &cancel, &mut show),
    };
    progress.end();
    drop(source);
    let target = args.into.as_ref().unwrap_or(file);
    let restored = made.map_err(|error| explain(target, &error))?;
    let old = match &args.into {
        Some(_) => Old::None,
        None => swap(file)?,
    };
    report(args, target, &restored, &old)?;
    Ok(Outcome::Done)
}

/// Where the file that was there is.
enum Old {
    None,
    Kept(PathBuf),
    /// The server that had the file did it, and says so in its log.
    ByServer,
}

/// Puts the restored file in place, by ourselves or by the server that has the file.
fn swap(file: &Path) -> Result<Old> {
    match finish_restore(file) {
        Ok(old) => Ok(old.map_or(Old::None, Old::Kept)),
        Err(StoreError::InUse { holder, .. }) => {
            let never = Cancel::default();
            let looks = TAKEN_OVER_MAX.as_millis() / LOOK_EVERY.as_millis();
            for _ in 0..looks {
                if !restore_waits(file) {
                    return Ok(Old::ByServer);
                }
                never.wait(LOOK_EVERY);
            }
            bail!(
                "the backup is verified and lies beside {0}, but {holder} did not take it over; it does when it opens {0} next",
                file.display()
            )
        }
        Err(error) => Err(explain_open(file, Error::Storage(error))),
    }
}

fn report(args: &RestoreArgs, target: &Path, restored: &Restored, old: &Old) -> Result<()> {
    let name = target.display();
    if args.json {
        let mut line = json!({
            "file": name.to_string(), "tx": restored.tx, "records": restored.records,
            "deletedRecords": restored.deleted_records, "blobs": restored.files,
            "byServer": matches!(old, Old::ByServer),
            "old": match old { Old::Kept(old) => Some(old.display().to_string()), _ => None },
        });
        if let Some(rewound) = restored.rewound {
            line["asOf"] = json!({
                "tx": rewound.tx, "changed": rewound.changed, "removed": rewound.removed,
                "unknown": rewound.unknown, "purged": rewound.purged,
            });
        }
        return output::json(&line);
    }
    output::line(format_args!(
        "restored {name}: tx {}, {} records, {} deleted, {} blobs",
        restored.tx, restored.records, restored.deleted_records, restored.files
    ))?;
    if let Some(rewound) = restored.rewound {
        output::line(format_args!(
            "as of tx {}: {} records taken back, {} did not exist yet",
            rewound.tx, rewound.changed, rewound.removed
        ))?;
        if rewound.unknown > 0 {
            output::line(format_args!(
                "{} are as in the backup: what they were at tx {} was pruned",
                output::counted(rewound.unknown, "record"),
                rewound.tx
            ))?;
        }
        if rewound.purged > 0 {
            output::line(format_args!(
                "{} removed for good since then cannot come back",
                output::counted(rewound.purged, "record")
            ))?;
        }
    }
    match old {
        Old::None => Ok(()),
        Old::Kept(old) => output::line(format_args!("the file before it is {}", old.display())),
        Old::ByServer => output::line(format_args!(
            "the server that has it took it over; the file before it lies beside it as {name}.before-restore-…"
        )),
    }
}

fn bring_back(args: &RestoreArgs, source: &Archive, wanted: &Wanted) -> Result<Outcome> {
    let file = &args.target.file;
    must_exist(file)?;
    let cancel = Cancel::default();
    interrupt::cancels(&cancel)?;
    let offline = Offline::open(file).map_err(|error| match error.to_string() {
        text if text.contains("in use by") => anyhow!(
            "{text}. To bring records back while it runs: POST /_/backups/NAME/restore with {{\"record\":…}} or {{\"type\":…}}"
        ),
        _ => error,
    })?;
    let owner = offline.engine.owner_caller();
    let done =
        offline.engine.bring_back(&owner, source, wanted, &cancel).map_err(
            |error| match error {
                Error::Missing { what, id } => {
                    anyhow!("{} has no {what} {id}", args.backup.display())
                }
                other => explain(file, &other),
            },
        )?;
    if args.json {
        output::json(&json!({
            "file": file.display().to_string(), "created": done.created, "changed": done.changed,
            "unchanged": done.unchanged, "blobs": done.files,
        }))?;
    } else {
        output::line(format_args!(
            "brought back into {}: {} made again, {} changed, {} as they were; {}",
            file.display(),
            output::counted(done.created, "record"),
            done.changed,
            done.unchanged,
            output::counted(done.files, "file")
        ))?;
    }
    Ok(Outcome::Done)
}

fn same(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// The sentence for a restore that was not done: nothing has changed.
fn explain(target: &Path, error: &Error) -> anyhow::Error {
    anyhow!(
        "{} was not restored and nothing was changed: {}",
        target.display(),
        offline::reason(error)
    )
}
