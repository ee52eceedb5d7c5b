//! One record at a time, beside the bare answer of every server: by the owner, by a token with a
//! grant, by nobody.

use anyhow::Result;

use super::{Bench, Visit, reads_of};
use crate::load::{Expect, Order, Requests};

/// Records that everybody may read; `auth-read` reads as many.
pub const PUBLIC_RECORDS: u64 = 5_000;
/// Records that `read-hot` asks for again and again.
const HOT_RECORDS: usize = 100;

/// `hello`, `read`, `read-hot`, `read-public`, `auth-read`.
pub fn point(bench: &mut Bench) -> Result<()> {
    let mut visits = Vec::new();
    for (n, instance) in bench.fleet().iter().enumerate() {
        if instance.has("hello") {
            let mut requests = Requests::new(Order::Random, Expect::Nothing);
            requests.push(&instance.template("hello")?.render(&[]));
            visits.push(Visit::new(n, instance, "hello", requests));
        }
        if instance.has("read") {
            let ids = instance.ids("create")?;
            visits.push(Visit::new(n, instance, "read", reads_of(instance, "read", ids)?));
            let hot = &ids[..HOT_RECORDS.min(ids.len())];
            visits.push(Visit::new(n, instance, "read-hot", reads_of(instance, "read", hot)?));
        }
        if instance.has("read-public") && instance.has("create-public") {
            let requests = reads_of(instance, "read-public", instance.ids("create-public")?)?;
            visits.push(Visit::new(n, instance, "read-public", requests));
        }
        if instance.has("read-issued") {
            let ids = instance.ids("create")?;
            let ids = &ids[..ids.len().min(PUBLIC_RECORDS as usize)];
            visits.push(Visit::new(
                n,
                instance,
                "auth-read",
                reads_of(instance, "read-issued", ids)?,
            ));
        }
    }
    let connections = bench.options.connections.clone();
    bench.alternate(&connections, &visits);
    Ok(())
}
