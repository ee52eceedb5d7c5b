//! Module rules of `src/`, read as text: who may call whom, who may name which crate, headers,
//! SQL only where SQL belongs, and nothing that names the machine it was written on.
//!
//! [`check`] judges one file; the tests below it feed it small bad samples, so that every rule is
//! seen to fail, and the last test walks the tree.
//!
//! Invariants
//! T1. A rule looks at code, never at comments; strings are looked at only by the rules on text.
//! T2. Unit tests at the end of a file (`#[cfg(test)] mod …`) may name what they like.

use std::fs;
use std::path::{Path, PathBuf};

/// Which modules a module may name. A module that is not listed has no rule yet, which is an error:
/// whoever adds one says here what it may know.
const MAY_CALL: &[(&str, &[&str])] = &[
    ("net", &["util"]),
    ("faces", &["net", "auth", "engine", "live", "schema", "util", "crypto"]),
    ("auth", &["engine", "crypto", "util", "schema", "net::client"]),
    ("engine", &["schema", "store", "util", "crypto", "journal", "blob"]),
    ("store", &["schema", "util", "crypto"]),
    ("journal", &["store", "util"]),
    ("blob", &["store", "util", "crypto"]),
    ("live", &["engine", "journal", "util", "schema"]),
    ("jobs", &["engine", "journal", "net::client", "schema", "util", "crypto"]),
    ("script", &["engine", "schema", "util"]),
    ("schema", &["util", "crypto"]),
    ("crypto", &["util"]),
    ("util", &[]),
    ("config", &["util"]),
    ("openapi", &["net", "faces", "schema", "util"]),
    // The exception: verify, doctor and backup work on a file that no engine has opened.
    ("cli", &["config", "app", "engine", "util", "schema", "store", "crypto"]),
    ("main", &["cli", "config", "app", "util"]),
];

/// The files that build everything and therefore may name everything.
const MAY_CALL_ALL: &[&str] = &["app", "lib"];

/// A crate (or part of one) and the only modules that may name it.
const ONLY_IN: &[(&str, &[&str], &str)] = &[
    ("rusqlite", &["store"], "only store/ knows SQLite"),
    ("hyper", &["net"], "only net/ knows hyper; the types of the http crate are fine"),
    ("hyper_util", &["net"], "only net/ knows hyper"),
    ("tokio::net", &["net"], "sockets belong to net/"),
    (
        "anyhow",
        &["cli", "main"],
        "modules have errors of their own; anyhow is for the command line",
    ),
    ("clap", &["cli", "main", "config"], "flags end in config"),
];

/// Names nobody may use in code, and why.
const BANNED: &[(&str, &str)] = &[
    ("chrono", "time is jiff"),
    ("lazy_static", "use std::sync::OnceLock or LazyLock"),
    ("once_cell", "use std::sync::OnceLock or LazyLock"),
    ("reqwest", "outbound requests leave through net::client"),
    ("ureq", "outbound requests leave through net::client"),
    ("openssl", "TLS is rustls, cryptography is ring"),
    ("unimplemented", "finish it, or leave it out"),
    ("todo", "finish it, or leave it out"),
];

/// Modules whose work on the database must stay off tokio's blocking pool, which has no bound.
const NO_SPAWN_BLOCKING: &[&str] = &["engine", "store", "live", "faces"];

/// File names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "helpers", "helper", "misc", "manager", "stuff"];

/// Starts of SQL statements. Upper case, as STYLE wants SQL to be.
const SQL_STARTS: &[&str] = &[
    "SELECT ",
    "INSERT INTO ",
    "INSERT OR ",
    "DELETE FROM ",
    "CREATE TABLE ",
    "CREATE INDEX ",
    "PRAGMA ",
];

/// Parts of SQL statements that give away a statement built by `format!`.
const SQL_PARTS: &[&str] = &[
    "SELECT ",
    "INSERT INTO ",
    "DELETE FROM ",
    "CREATE TABLE ",
    "CREATE INDEX ",
    "CREATE UNIQUE INDEX ",
    "PRAGMA ",
    " WHERE ",
    "ORDER BY ",
    "DROP ",
    "ALTER TABLE ",
    " SET ",
];

/// Stands above the one place that builds SQL from parts, followed by the reason.
const SQL_MARKER: &str = "// tidy: sql";
/// In the header of a file whose whole purpose is to build statements; followed by the reason.
const SQL_BUILDER: &str = "//! tidy: sql:";

/// First segments of absolute paths that only exist on somebody's machine.
const PRIVATE_ROOTS: &[&str] = &["home", "root", "Users", "work", "workspace"];

/// A file below `src/`: its path (`faces/stack/routes.rs`) and its text.
struct File<'a> {
    path: &'a str,
    text: &'a str,
}

impl File<'_> {
    /// `["faces", "stack", "routes"]`; a `mod.rs` is its folder.
    fn module(&self) -> Vec<&str> {
        let stem = self.path.trim_end_matches(".rs");
        let mut parts: Vec<&str> = stem.split('/').collect();
        if parts.len() > 1 && parts.last() == Some(&"mod") {
            parts.pop();
        }
        parts
    }
}

/// Every rule this file breaks, as `path:line: what`.
fn check(file: &File<'_>) -> Vec<String> {
    let scan = Scan::new(file.text);
    let mut faults = Vec::new();
    layers(file, &scan, &mut faults);
    crates(file, &scan, &mut faults);
    sql(file, &scan, &mut faults);
    text(file, &mut faults);
    faults
}

/// Code with comments and literals blanked, and the literals by line. Both stop at the unit tests.
struct Scan {
    code: Vec<String>,
    /// Line (0-based) where a string literal starts, and its text.
    strings: Vec<(usize, String)>,
}

impl Scan {
    fn new(text: &str) -> Self {
        let (code, strings) = blank(text);
        let mut code: Vec<String> = code.lines().map(str::to_owned).collect();
        let end = code.iter().enumerate().position(|(n, line)| {
            line.trim() == "#[cfg(test)]"
                && code.get(n + 1).is_some_and(|next| next.trim_start().starts_with("mod "))
        });
        code.truncate(end.unwrap_or(code.len()));
        let lines = code.len();
        Scan { code, strings: strings.into_iter().filter(|(line, _)| *line < lines).collect() }
    }
}

/// Replaces comments and the inside of literals by blanks, keeping lines; returns the literals too.
fn blank(text: &str) -> (String, Vec<(usize, String)>) {
    let chars: Vec<char> = text.chars().collect();
    let (mut out, mut strings) = (String::with_capacity(text.len()), Vec::new());
    let (mut at, mut line) = (0, 0);
    let next = |at: usize, n: usize| chars.get(at + n).copied().unwrap_or('\0');
    while at < chars.len() {
        let from = at;
        let here = chars[at];
        let word_before = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
        if here == '/' && next(at, 1) == '/' {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if here == '/' && next(at, 1) == '*' {
            at += 2;
            while at < chars.len() && !(chars[at] == '*' && next(at, 1) == '/') {
                at += 1;
            }
            at += 2;
        } else if here == '"' {
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
            strings.push((line, chars[from + 1..(at - 1).min(chars.len())].iter().collect()));
        } else if here == 'r' && !word_before && (next(at, 1) == '"' || next(at, 1) == '#') {
            let hashes = (1..).take_while(|n| next(at, *n) == '#').count();
            if next(at, 1 + hashes) != '"' {
                out.push(here); // r#name
                at += 1;
                continue;
            }
            at += 2 + hashes;
            let start = at;
            let closes = |at: usize| chars[at] == '"' && (1..=hashes).all(|n| next(at, n) == '#');
            while at < chars.len() && !closes(at) {
                at += 1;
            }
            strings.push((line, chars[start..at].iter().collect()));
            at += 1 + hashes;
        } else if here == '\'' && (next(at, 1) == '\\' || next(at, 2) == '\'') {
            at += if next(at, 1) == '\\' { 3 } else { 2 };
            while at < chars.len() && chars[at] != '\'' {
                at += 1;
            }
            at += 1;
        } else {
            out.push(here);
            line += usize::from(here == '\n');
            at += 1;
            continue;
        }
        for skipped in &chars[from..at.min(chars.len())] {
            out.push(if *skipped == '\n' { '\n' } else { ' ' });
            line += usize::from(*skipped == '\n');
        }
    }
    (out, strings)
}

/// Who may call whom.
fn layers(file: &File<'_>, scan: &Scan, faults: &mut Vec<String>) {
    let module = file.module();
    let home = module[0];
    if MAY_CALL_ALL.contains(&home) {
        return;
    }
    let Some((_, may)) = MAY_CALL.iter().find(|(name, _)| *name == home) else {
        faults.push(format!("{}:1: module {home} has no line in MAY_CALL", file.path));
        return;
    };
    for (line, path) in calls(&module, scan) {
        let target = path[0].as_str();
        let known = MAY_CALL.iter().any(|(name, _)| *name == target) || target == "app";
        let whole = path.join("::");
        let allowed =
            may.iter().any(|m| *m == target || whole == *m || whole.starts_with(&format!("{m}::")));
        if known && target != home && !allowed {
            faults.push(format!("{}:{line}: {home} may not name {whole}", file.path));
        }
        // A face is a folder in faces/; a file there is shared by all of them.
        let other = path.get(1).map_or("", String::as_str);
        if home == "faces"
            && target == "faces"
            && module.len() > 2
            && other != module[1]
            && FACES.contains(&other)
        {
            faults.push(format!(
                "{}:{line}: face {} may not name face {other}",
                file.path, module[1]
            ));
        }
    }
}

const FACES: &[&str] = &["stack", "live", "tables", "objects", "studio"];

/// Every `crate::…`, `cairn::…` and `super::…` path in the code, from the crate's root, with its line.
fn calls(module: &[&str], scan: &Scan) -> Vec<(usize, Vec<String>)> {
    let code = scan.code.join("\n");
    let mut found = Vec::new();
    for (at, word) in words(&code) {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        if before == ':' || before == '_' || before.is_alphanumeric() {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let (root, mut rest) = match word {
            "crate" | "cairn" => (Vec::new(), &code[at + word.len()..]),
            "super" => {
                let mut rest = &code[at..];
                let mut up = 0;
                while let Some(after) = rest.strip_prefix("super::") {
                    rest = after;
                    up += 1;
                }
                let keep = module.len().saturating_sub(up);
                if up == 0 {
                    continue;
                }
                let base: Vec<String> = module[..keep].iter().map(|m| (*m).to_owned()).collect();
                expand(&base, rest, &mut |path| found.push((line, path)));
                continue;
            }
            _ => continue,
        };
        if let Some(after) = rest.strip_prefix("::") {
            rest = after;
            expand(&root, rest, &mut |path| found.push((line, path)));
        }
    }
    found
}

/// Follows `a::b::{c, d::e}` from `base` and reports each path with at least one segment.
fn expand(base: &[String], rest: &str, report: &mut dyn FnMut(Vec<String>)) {
    let mut path = base.to_vec();
    let mut rest = rest.trim_start();
    loop {
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if length > 0 {
            path.push(rest[..length].to_owned());
            rest = &rest[length..];
        }
        match rest.strip_prefix("::") {
            Some(after) => rest = after.trim_start(),
            None => break,
        }
        if rest.starts_with('{') {
            break;
        }
    }
    let Some(group) = rest.strip_prefix('{').filter(|_| rest.starts_with('{')) else {
        if !path.is_empty() {
            report(path);
        }
        return;
    };
    let (mut depth, mut start) = (0usize, 0);
    for (at, sign) in group.char_indices() {
        match sign {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                if !group[start..at].trim().is_empty() {
                    expand(&path, &group[start..at], report);
                }
                start = at + 1;
                if sign == '}' {
                    return;
                }
            }
            _ => {}
        }
    }
}

/// Identifiers of a text, with the byte where each starts.
fn words(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, sign) in text.char_indices().chain([(text.len(), ' ')]) {
        let inside = sign.is_alphanumeric() || sign == '_';
        match (inside, start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                found.push((from, &text[from..at]));
                start = None;
            }
            _ => {}
        }
    }
    found
}

/// Whether `name` (`rusqlite`, `tokio::net`) stands in this line as whole words.
fn names(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back().unwrap_or(' ');
        let after = line[at + name.len()..].chars().next().unwrap_or(' ');
        let word = |c: char| c.is_alphanumeric() || c == '_';
        !word(before) && !word(after)
    })
}

/// Crates with one home, and names nobody may use.
fn crates(file: &File<'_>, scan: &Scan, faults: &mut Vec<String>) {
    let module = file.module();
    for (n, line) in scan.code.iter().enumerate() {
        let n = n + 1;
        for (name, homes, why) in ONLY_IN {
            if names(line, name) && !homes.contains(&module[0]) {
                faults.push(format!("{}:{n}: names {name}: {why}", file.path));
            }
        }
        for (name, why) in BANNED {
            if names(line, name) {
                faults.push(format!("{}:{n}: names {name}: {why}", file.path));
            }
        }
        if names(line, "spawn_blocking") && NO_SPAWN_BLOCKING.contains(&module[0]) {
            faults.push(format!(
                "{}:{n}: spawn_blocking: use the query threads, they are bounded",
                file.path
            ));
        }
    }
    for part in &module {
        if EMPTY_NAMES.contains(part) {
            faults.push(format!("{}:1: the name {part} says nothing", file.path));
        }
    }
}

/// SQL lives in store/; built from parts only under the marker.
fn sql(file: &File<'_>, scan: &Scan, faults: &mut Vec<String>) {
    let module = file.module();
    let lines: Vec<&str> = file.text.lines().collect();
    let sql_home = module[0] == "store";
    let builder =
        lines.iter().take_while(|l| l.starts_with("//!")).any(|l| l.starts_with(SQL_BUILDER));
    for (line, text) in &scan.strings {
        let starts = SQL_STARTS.iter().any(|s| text.trim_start().starts_with(s));
        if starts && !sql_home {
            faults.push(format!("{}:{}: SQL outside store/", file.path, line + 1));
        }
        let built = SQL_PARTS.iter().any(|p| text.contains(p)) && text.contains('{');
        let macro_near =
            (line.saturating_sub(2)..=*line).filter_map(|n| scan.code.get(n)).any(|code| {
                ["format!", "write!", "writeln!", "format_args!"].iter().any(|m| code.contains(m))
            });
        if built && macro_near && !builder && !marked(&lines, *line, file.path, faults) {
            faults.push(format!(
                "{}:{}: SQL built by a format; bind values, or mark the one place",
                file.path,
                line + 1
            ));
        }
    }
    for (n, line) in lines.iter().enumerate() {
        if line.trim_start().starts_with(SQL_MARKER) && !sql_home {
            faults.push(format!("{}:{}: SQL may be built in store/ only", file.path, n + 1));
        }
    }
}

/// Whether one of the six lines above carries the marker; a marker without a reason is a fault.
fn marked(lines: &[&str], at: usize, path: &str, faults: &mut Vec<String>) -> bool {
    let found =
        (at.saturating_sub(6)..=at).find(|n| lines.get(*n).is_some_and(|l| l.contains(SQL_MARKER)));
    let Some(n) = found else { return false };
    let after = lines[n].split(SQL_MARKER).nth(1).unwrap_or("");
    if after.trim_matches([' ', ':', '-']).len() < 8 {
        faults.push(format!("{path}:{}: the marker needs a reason: `{SQL_MARKER}: why`", n + 1));
    }
    true
}

/// The header, and nothing that names the machine the code was written on.
fn text(file: &File<'_>, faults: &mut Vec<String>) {
    let header = file.text.lines().find(|line| !line.trim().is_empty() && !line.starts_with("#!["));
    let said =
        header.and_then(|line| line.strip_prefix("//! ")).map_or(0, |text| text.trim().len());
    if said < 12 {
        faults.push(format!("{}:1: no //! header that says what the file is", file.path));
    }
    for (n, line) in file.text.lines().enumerate() {
        if let Some(root) = private_path(line) {
            faults.push(format!("{}:{}: a path of somebody's machine: /{root}/", file.path, n + 1));
        }
    }
}

/// The first segment of an absolute path that only exists on somebody's machine.
fn private_path(line: &str) -> Option<&'static str> {
    PRIVATE_ROOTS.iter().copied().find(|root| {
        line.match_indices(&format!("/{root}/")).any(|(at, _)| {
            let before = line[..at].chars().next_back().unwrap_or(' ');
            before.is_whitespace() || "\"'`(=:".contains(before)
        })
    })
}

/// All `.rs` files below `folder`, sorted, so that faults come in a stable order.
fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .expect("src is readable")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The tree obeys the rules. Tests run in the package's root, so `src` is enough.
#[test]
fn source_is_tidy() {
    let mut files = Vec::new();
    rust_files(Path::new("src"), &mut files);
    assert!(files.len() > 5, "found only {} files: wrong folder?", files.len());
    let mut faults = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).expect("a source file is UTF-8");
        let below = path.strip_prefix("src").expect("it was found there");
        let below = below.to_string_lossy().replace('\\', "/");
        faults.extend(check(&File { path: &below, text: &text }));
    }
    assert!(faults.is_empty(), "{} fault(s):\n{}", faults.len(), faults.join("\n"));
}

const HEADER: &str = "//! A sample file with a proper header.\n";

/// Runs the rules over one sample and expects exactly this many faults, the first holding `wanted`.
#[track_caller]
fn sample(path: &str, body: &str, wanted: &str) {
    let text = format!("{HEADER}{body}\n");
    let faults = check(&File { path, text: &text });
    if wanted.is_empty() {
        assert!(faults.is_empty(), "{path} should pass: {faults:?}");
    } else {
        assert_eq!(faults.len(), 1, "{path}: {faults:?}");
        assert!(faults[0].contains(wanted), "{path}: {faults:?}");
    }
}

#[test]
fn layers_are_seen() {
    sample(
        "faces/stack/routes.rs",
        "use crate::engine::Engine;\nuse crate::net::{Call, Reply};",
        "",
    );
    sample(
        "faces/stack/routes.rs",
        "use crate::store::Reader;",
        "faces may not name store::Reader",
    );
    // Two faults in one group, so they are counted by hand.
    let text = format!("{HEADER}use crate::{{engine, store::{{Reader, Writer}}}};\n");
    assert_eq!(check(&File { path: "faces/stack/routes.rs", text: &text }).len(), 2);
    sample("faces/stack/routes.rs", "fn f() { crate::store::open() }", "may not name store");
    sample(
        "faces/stack/routes.rs",
        "use crate::faces::live::dto::Row;",
        "face stack may not name face live",
    );
    sample(
        "faces/stack/routes.rs",
        "use super::super::live::Row;",
        "face stack may not name face live",
    );
    sample("faces/stack/routes.rs", "use crate::faces::shared::page;\nuse super::dto::Record;", "");
    sample("faces/mod.rs", "use crate::faces::live::routes;\nuse self::stack::routes as r;", "");
    sample("net/server.rs", "use crate::engine::Engine;", "net may not name engine");
    sample("engine/access/rules.rs", "use crate::faces::stack;", "engine may not name faces");
    sample("engine/mod.rs", "use super::net;", "engine may not name net");
    sample(
        "engine/query/plan.rs",
        "use super::super::super::live::Hub;",
        "engine may not name live",
    );
    sample("auth/oauth.rs", "use crate::net::client::Client;", "");
    sample("auth/oauth.rs", "use crate::net::Router;", "auth may not name net::Router");
    sample("schema/mod.rs", "use crate::store::Txn;", "schema may not name store");
    sample("util/mod.rs", "use crate::crypto::sha256;", "util may not name crypto");
    sample("live/hub.rs", "use crate::store::Reader;", "live may not name store");
    sample("cli/verify.rs", "use crate::store::Store;", "");
    sample("cli/serve.rs", "use crate::faces::all;", "cli may not name faces");
    sample("app.rs", "use crate::{store, faces, net};", "");
    sample("newcomer/mod.rs", "", "no line in MAY_CALL");
    // Comments, strings and unit tests are not calls.
    sample("net/a.rs", "// crate::store\nconst A: &str = \"crate::store\";", "");
    sample("net/a.rs", "#[cfg(test)]\nmod tests {\n    use crate::engine::Engine;\n}", "");
}

#[test]
fn crates_have_homes() {
    sample("store/reader.rs", "use rusqlite::Connection;", "");
    sample("engine/mod.rs", "fn f(c: &rusqlite::Connection) {}", "names rusqlite");
    sample("net/server.rs", "use hyper::body::Incoming;", "");
    sample("faces/stack/dto.rs", "use hyper::StatusCode;", "names hyper");
    sample("faces/stack/dto.rs", "use http::StatusCode;", "");
    sample("live/hub.rs", "use tokio::net::TcpStream;", "names tokio::net");
    sample("engine/mod.rs", "use anyhow::Result;", "names anyhow");
    sample("util/time.rs", "use chrono::Utc;", "names chrono");
    sample("util/time.rs", "fn f() { todo!() }", "names todo");
    sample("engine/run.rs", "fn f() { tokio::task::spawn_blocking(g); }", "spawn_blocking");
    sample("auth/password.rs", "fn f() { tokio::task::spawn_blocking(g); }", "");
    sample("net/utils.rs", "", "says nothing");
}

#[test]
fn sql_stays_home() {
    sample("store/page.rs", "const A: &str = \"\n    SELECT rid\n      FROM record\";", "");
    sample(
        "engine/commands/a.rs",
        "const A: &str = \"\n    SELECT rid FROM record\";",
        "SQL outside store/",
    );
    sample("engine/query/plan.rs", "const A: &str = \"SELECT rid \";", "SQL outside store/");
    let built = "let s = format!(\"SELECT {x} FROM record\");";
    sample("store/page.rs", built, "SQL built by a format");
    sample(
        "store/query.rs",
        &format!("// tidy: sql: names come from the schema, quoted\n{built}"),
        "",
    );
    sample("store/query.rs", &format!("// tidy: sql\n{built}"), "the marker needs a reason");
    sample(
        "store/page.rs",
        "let s = format!(\"{a} AND x WHERE rid = {rid}\");",
        "SQL built by a format",
    );
    sample("store/page.rs", "let s = format!(r#\"DELETE FROM {t}\"#);", "SQL built by a format");
    let header = "//! Finds records by their conditions.\n//!\n//! tidy: sql: only numbers and quoted registered names are literal\n";
    let faults =
        check(&File { path: "store/find.rs", text: &format!("{header}\nfn f() {{ {built} }}\n") });
    assert!(faults.is_empty(), "{faults:?}");
    sample("net/a.rs", "// tidy: sql: because I can\n", "store/ only");
    sample("net/a.rs", "let s = format!(\"the SELECTION {x}\");", "");
}

#[test]
fn text_is_ours() {
    let bare = check(&File { path: "net/a.rs", text: "fn f() {}\n" });
    assert!(bare.len() == 1 && bare[0].contains("header"), "{bare:?}");
    let short = check(&File { path: "net/a.rs", text: "//! To come.\n" });
    assert!(short.len() == 1 && short[0].contains("header"), "{short:?}");
    for root in PRIVATE_ROOTS {
        sample("net/a.rs", &format!("// see /{root}/notes"), "somebody's machine");
        sample("net/a.rs", &format!("const A: &str = \"/api/{root}/items\";"), "");
    }
}

#[test]
fn blanking_keeps_lines() {
    let (code, strings) =
        blank("a /* x\ny */ b\n\"q\\\"\nr\" c 'x' '\\'' 'life r#\"raw\"q\"# d // e");
    assert_eq!(code.lines().count(), 4);
    assert!(
        code.contains('a') && code.contains('b') && code.contains('c') && code.contains("'life")
    );
    assert!(!code.contains('q') && !code.contains('e') || code.contains("'life"), "{code}");
    assert_eq!(strings, [(2, "q\\\"\nr".to_owned()), (3, "raw\"q".to_owned())]);
}
