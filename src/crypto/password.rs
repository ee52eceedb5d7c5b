//! Password hashes: Argon2id as PHC strings.
//!
//! Knows the text form `$argon2id$v=19$m=…,t=…,p=…$salt$tag` and the cost in use. Does not know
//! which passwords are acceptable, whose they are, or how many may be hashed at once: one hash takes
//! tens of milliseconds and [`Cost::STANDARD`] 19 MiB, so callers go through a bounded pool.
//!
//! Invariants
//! P1. A hash is verified with the parameters it carries, whatever the cost in use is now.
//! P2. A stored text cannot ask for more than [`Cost`]'s bounds; beyond them it is not a hash.
//! P3. [`verify_dummy`] does the work of one verification, so that an unknown name costs the same.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::constant_time_eq;
use crate::util::rng::Rng;

const SALT_BYTES: usize = 16;
const TAG_BYTES: usize = 32;
/// Bounds on what a stored hash may carry.
const SALT_BYTES_MAX: usize = 64;
const TAG_BYTES_MAX: usize = 64;
const PHC_CHARS_MAX: usize = 256;
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;

/// The memory for a hash was not to be had. Says nothing about the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not enough memory to hash a password")]
pub struct OutOfMemory;

/// How much work one hash is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// 19 MiB, two passes, one lane (SECURITY S31).
    pub const STANDARD: Self = Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 };
    /// The least that Argon2 allows, for tests.
    pub const LEAST: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };

    /// `None` outside Argon2's bounds (8 KiB a lane, one pass, one lane at least) or ours.
    #[must_use]
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Option<Self> {
        let fits = (1..=LANES_MAX).contains(&lanes)
            && (1..=PASSES_MAX).contains(&passes)
            && (8 * lanes..=MEMORY_KIB_MAX).contains(&memory_kib);
        fits.then_some(Self { memory_kib, passes, lanes })
    }
}

/// The PHC string of `password` under a fresh salt.
///
/// # Errors
/// [`OutOfMemory`].
pub fn hash_password(password: &str, cost: Cost, rng: &Rng) -> Result<String, OutOfMemory> {
    let salt: [u8; SALT_BYTES] = rng.bytes();
    let tag = tag_of(password, &salt, cost, TAG_BYTES)?;
    Ok(print(cost, &salt, &tag))
}

/// Whether `password` is the one `phc` was made of. A text that is no hash matches nothing.
///
/// # Errors
/// [`OutOfMemory`].
pub fn verify_password(password: &str, phc: &str) -> Result<bool, OutOfMemory> {
    let Some(stored) = Stored::read(phc) else { return Ok(false) };
    let tag = tag_of(password, &stored.salt, stored.cost, stored.tag.len())?;
    Ok(constant_time_eq(&tag, &stored.tag))
}

/// The work of [`verify_password`] against a hash of this cost, for a name that has none.
///
/// # Errors
/// [`OutOfMemory`].
pub fn verify_dummy(password: &str, cost: Cost) -> Result<(), OutOfMemory> {
    let tag = tag_of(password, &[0; SALT_BYTES], cost, TAG_BYTES)?;
    // The comparison belongs to the work; its result does not matter.
    let _ = std::hint::black_box(constant_time_eq(&tag, &[0; TAG_BYTES]));
    Ok(())
}

/// Whether a hash is weaker than `cost`, or not readable, so that the next sign-in should replace it.
#[must_use]
pub fn needs_rehash(phc: &str, cost: Cost) -> bool {
    Stored::read(phc).is_none_or(|stored| {
        stored.cost.memory_kib < cost.memory_kib
            || stored.cost.passes < cost.passes
            || stored.salt.len() < SALT_BYTES
            || stored.tag.len() < TAG_BYTES
    })
}

struct Stored {
    cost: Cost,
    salt: Vec<u8>,
    tag: Vec<u8>,
}

impl Stored {
    fn read(phc: &str) -> Option<Self> {
        if phc.len() > PHC_CHARS_MAX {
            return None;
        }
        let rest = phc.strip_prefix("$argon2id$v=19$")?;
        let (parameters, rest) = rest.split_once('$')?;
        let (salt, tag) = rest.split_once('$')?;
        let mut parameters = parameters.split(',');
        let mut number = |name: &str| -> Option<u32> {
            let digits = parameters.next()?.strip_prefix(name)?;
            digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        let cost = Cost::new(number("m=")?, number("t=")?, number("p=")?)?;
        if parameters.next().is_some() {
            return None;
        }
        let salt = STANDARD_NO_PAD.decode(salt).ok()?;
        let tag = STANDARD_NO_PAD.decode(tag).ok()?;
        let fits =
            (8..=SALT_BYTES_MAX).contains(&salt.len()) && (16..=TAG_BYTES_MAX).contains(&tag.len());
        fits.then_some(Self { cost, salt, tag })
    }
}

fn print(cost: Cost, salt: &[u8], tag: &[u8]) -> String {
    format!(
        "$argon2id$v=19$m={},t={},p={}${}${}",
        cost.memory_kib,
        cost.passes,
        cost.lanes,
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(tag)
    )
}

fn tag_of(
    password: &str,
    salt: &[u8],
    cost: Cost,
    tag_bytes: usize,
) -> Result<Vec<u8>, OutOfMemory> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(tag_bytes))
        .expect("a cost and a tag length were checked when they were made");
    let mut tag = vec![0; tag_bytes];
    // Lengths are in bounds, which leaves the allocation as the one thing that can fail.
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut tag)
        .map_err(|_| OutOfMemory)?;
    Ok(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the reference implementation, `test.c`: 2 passes, 256 KiB, 1 lane.
    const REFERENCE: &str =
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

    #[test]
    fn agrees_with_the_reference() {
        assert_eq!(verify_password("password", REFERENCE), Ok(true));
        assert_eq!(verify_password("Password", REFERENCE), Ok(false));
        assert_eq!(verify_password("", REFERENCE), Ok(false));
    }

    /// S31: parameters, salt and tag of the standard cost.
    #[test]
    fn the_standard_is_what_security_asks() {
        let printed = print(Cost::STANDARD, &[1; SALT_BYTES], &[2; TAG_BYTES]);
        assert!(printed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{printed}");
        let stored = Stored::read(&printed).unwrap();
        assert_eq!((stored.salt.len(), stored.tag.len()), (16, 32));
        assert!(!needs_rehash(&printed, Cost::STANDARD));
    }

    #[test]
    fn round_trip_salted_and_whole() {
        let rng = Rng::seeded(1);
        let long = "ü".repeat(64);
        for password in ["correct horse", "", "päß wörd", long.as_str()] {
            let one = hash_password(password, Cost::LEAST, &rng).unwrap();
            let two = hash_password(password, Cost::LEAST, &rng).unwrap();
            assert_ne!(one, two);
            assert_eq!(verify_password(password, &one), Ok(true));
            assert_eq!(verify_password(&format!("{password}x"), &one), Ok(false));
        }
        verify_dummy("anything", Cost::LEAST).unwrap();
    }

    #[test]
    fn weaker_hashes_are_replaced_stronger_ones_kept() {
        assert!(needs_rehash(REFERENCE, Cost::STANDARD));
        assert!(needs_rehash("garbage", Cost::LEAST));
        // The reference salt is 8 bytes.
        assert!(needs_rehash(REFERENCE, Cost::LEAST));
        let ours = hash_password("x", Cost::new(64, 2, 1).unwrap(), &Rng::seeded(2)).unwrap();
        assert!(!needs_rehash(&ours, Cost::LEAST));
        assert!(needs_rehash(&ours, Cost::new(65, 2, 1).unwrap()));
        assert!(needs_rehash(&ours, Cost::new(64, 3, 1).unwrap()));
    }

    #[test]
    fn hostile_hashes_match_nothing_and_cost_nothing() {
        let salt_tag = "c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let texts = [
            String::new(),
            "$argon2id$".to_owned(),
            format!("$argon2i$v=19$m=256,t=2,p=1${salt_tag}"),
            format!("$argon2id$v=16$m=256,t=2,p=1${salt_tag}"),
            format!("$argon2id$v=19$m=4294967295,t=2,p=1${salt_tag}"),
            format!("$argon2id$v=19$m=256,t=4294967295,p=1${salt_tag}"),
            format!("$argon2id$v=19$m=256,t=2,p=400${salt_tag}"),
            format!("$argon2id$v=19$m=+256,t=2,p=1${salt_tag}"),
            format!("$argon2id$v=19$m=256,t=2,p=1,x=1${salt_tag}"),
            format!("$argon2id$v=19$t=2,m=256,p=1${salt_tag}"),
            "$argon2id$v=19$m=256,t=2,p=1$$".to_owned(),
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65".to_owned(),
            format!("$argon2id$v=19$m=256,t=2,p=1${salt_tag}{}", "A".repeat(300)),
        ];
        for text in texts {
            assert_eq!(verify_password("password", &text), Ok(false), "{text}");
        }
        assert_eq!(Cost::new(7, 1, 1), None);
        assert_eq!(Cost::new(8, 1, 2), None);
        assert_eq!(Cost::new(8, 0, 1), None);
    }
}
