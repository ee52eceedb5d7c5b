//! Who is in which room right now (live 15): in memory, nothing is kept.
//!
//! A member is one connection. What happens in a room is told to all its members at most once per [`WINDOW_MS`]; what
//! happened since a member was last told is one message to it. The first news after a pause goes out at once, the rest by
//! a thread that sleeps while nothing is due.
//!
//! Knows rooms, members, windows. Does not know sockets, dialects or credentials.
//!
//! Invariants
//! P1. A member is told of every change of a room after it entered, and of none before; `peers` is the room as it is then.
//! P2. Nothing is told to a member about a room it has left.
//! P3. Rooms, members of one, rooms of one member and data have named bounds; a room without members is not kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::util::clock::Clock;

/// Between two messages about one room: 20 a second.
pub const WINDOW_MS: i64 = 50;
/// A member without a sign of life is gone after this.
pub const SILENCE_MS_MAX: i64 = 60_000;
/// How often the silent ones are looked for.
const SWEEP_MS: i64 = 5_000;
/// Longest name of a room.
pub const ROOM_BYTES_MAX: usize = 256;
/// Largest data of a member, as JSON text.
pub const DATA_BYTES_MAX: usize = 16 * 1024;
pub const PEERS_MAX: usize = 500;
pub const ROOMS_MAX: usize = 10_000;
/// Rooms that one connection may be in.
pub const ROOMS_PER_MEMBER_MAX: usize = 100;

pub type Data = Map<String, Value>;

/// A member of a room, as others see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// The connection's id.
    pub id: Arc<str>,
    pub user_id: Arc<str>,
    pub data: Arc<Data>,
    /// Unix milliseconds.
    pub last_seen: i64,
}

/// What a member is told about a room. Members that missed the same share it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct News {
    pub room: Arc<str>,
    /// Everybody who is in it, in order of entry.
    pub peers: Vec<Peer>,
    pub joined: Vec<Peer>,
    pub updated: Vec<Peer>,
    pub left: Vec<Peer>,
}

impl News {
    /// Joins what happened after `self`, for a listener that has not passed `self` on yet.
    #[must_use]
    pub fn and_then(&self, later: &Self) -> Self {
        let is_in = |list: &[Peer], id: &Arc<str>| list.iter().any(|peer| peer.id == *id);
        let mut all =
            Self { peers: later.peers.clone(), room: Arc::clone(&later.room), ..Self::default() };
        for left in self.left.iter().chain(&later.left) {
            if !is_in(&later.peers, &left.id) && !is_in(&self.joined, &left.id) {
                all.left.push(left.clone());
            }
        }
        for peer in &later.peers {
            if is_in(&self.joined, &peer.id) || is_in(&later.joined, &peer.id) {
                all.joined.push(peer.clone());
            } else if is_in(&self.updated, &peer.id) || is_in(&later.updated, &peer.id) {
                all.updated.push(peer.clone());
            }
        }
        all
    }
}

/// Where news goes. Called with the rooms locked; must not block, nor call back.
pub trait Listener: Send + Sync {
    fn hear(&self, news: Arc<News>);
}

/// Why somebody did not get into a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("a room has a name of 1 to {ROOM_BYTES_MAX} bytes")]
    Name,
    #[error("presence data may have {DATA_BYTES_MAX} bytes")]
    Data,
    #[error("the room is full")]
    RoomFull,
    #[error("there are too many rooms")]
    TooManyRooms,
    #[error("a connection may be in {ROOMS_PER_MEMBER_MAX} rooms")]
    TooManyOfOne,
}

/// What new data does to the old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    Replace,
    /// Field by field.
    Merge,
}

/// A connection as the rooms know it.
pub struct Member {
    id: Arc<str>,
    user_id: Arc<str>,
    seen_ms: AtomicI64,
    listener: Weak<dyn Listener>,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Member({})", self.id)
    }
}

impl Member {
    #[must_use]
    pub fn new(id: &str, user_id: &str, now_ms: i64, listener: Weak<dyn Listener>) -> Arc<Self> {
        let (id, user_id) = (Arc::from(id), Arc::from(user_id));
        Arc::new(Self { id, user_id, seen_ms: AtomicI64::new(now_ms), listener })
    }

    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// Notes a sign of life.
    pub fn seen(&self, now_ms: i64) {
        self.seen_ms.store(now_ms, Ordering::Relaxed);
    }
}

/// A member's place in a room.
struct Seat {
    member: Arc<Member>,
    data: Arc<Data>,
    /// Counts of the room: when it entered, when its data last changed, what it was told last.
    entered: u64,
    changed: u64,
    told: u64,
}

impl Seat {
    fn peer(&self) -> Peer {
        Peer {
            id: Arc::clone(&self.member.id),
            user_id: Arc::clone(&self.member.user_id),
            data: Arc::clone(&self.data),
            last_seen: self.member.seen_ms.load(Ordering::Relaxed),
        }
    }
}

/// Somebody who left and of whom not everybody was told.
struct Departed {
    peer: Peer,
    entered: u64,
    left: u64,
}

#[derive(Default)]
struct Room {
    seats: Vec<Seat>,
    departed: Vec<Departed>,
    /// Counts what happens here.
    events: u64,
    told_ms: Option<i64>,
    /// Something is to be told, at this time.
    due_ms: Option<i64>,
}

impl Room {
    fn peers(&self) -> Vec<Peer> {
        self.seats.iter().map(Seat::peer).collect()
    }

    /// Something happened that is to be told; returns its number.
    fn event(&mut self, now_ms: i64) -> u64 {
        self.events += 1;
        if self.due_ms.is_none() {
            // A clock that was set back must not silence the room.
            let last = self.told_ms.filter(|last| *last <= now_ms);
            self.due_ms = Some(last.map_or(now_ms, |last| now_ms.max(last + WINDOW_MS)));
        }
        self.events
    }

    /// What happened after event number `told`.
    fn news(&self, room: &Arc<str>, told: u64) -> News {
        let mut news = News { room: Arc::clone(room), peers: self.peers(), ..News::default() };
        for seat in &self.seats {
            if seat.entered > told {
                news.joined.push(seat.peer());
            } else if seat.changed > told {
                news.updated.push(seat.peer());
            }
        }
        let is_back = |peer: &Peer| self.seats.iter().any(|seat| seat.member.id == peer.id);
        for gone in &self.departed {
            if gone.left > told && gone.entered <= told && !is_back(&gone.peer) {
                news.left.push(gone.peer.clone());
            }
        }
        news
    }

    fn tell(&mut self, name: &Arc<str>, now_ms: i64) {
        self.due_ms = None;
        self.told_ms = Some(now_ms);
        let mut made: BTreeMap<u64, Arc<News>> = BTreeMap::new();
        for seat in self.seats.iter().filter(|seat| seat.told < self.events) {
            let news =
                made.entry(seat.told).or_insert_with(|| Arc::new(self.news(name, seat.told)));
            let silent = news.joined.is_empty() && news.updated.is_empty() && news.left.is_empty();
            if let Some(listener) = seat.member.listener.upgrade().filter(|_| !silent) {
                listener.hear(Arc::clone(news));
            }
        }
        for seat in &mut self.seats {
            seat.told = self.events;
        }
        self.departed.clear();
    }

    fn leave(&mut self, id: &str, now_ms: i64) -> Option<Peer> {
        let place = self.seats.iter().position(|seat| *seat.member.id == *id)?;
        let left = self.event(now_ms);
        let seat = self.seats.remove(place);
        let peer = seat.peer();
        self.departed.push(Departed { peer: peer.clone(), entered: seat.entered, left });
        Some(peer)
    }
}

/// The rooms, without a thread: time is given by whoever calls.
#[derive(Default)]
struct Rooms {
    rooms: HashMap<Arc<str>, Room>,
    of_member: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Rooms with something to tell.
    due: BTreeSet<(i64, Arc<str>)>,
    swept_ms: i64,
    stopped: bool,
}

impl Rooms {
    fn put(
        &mut self,
        name: &str,
        member: &Arc<Member>,
        data: Data,
        write: Write,
        now_ms: i64,
    ) -> Result<News, Refusal> {
        if !(1..=ROOM_BYTES_MAX).contains(&name.len()) {
            return Err(Refusal::Name);
        }
        let known = self.rooms.get_key_value(name).map(|(name, _)| Arc::clone(name));
        let is_in = known.as_ref().is_some_and(|name| {
            self.of_member.get(&member.id).is_some_and(|rooms| rooms.contains(name))
        });
        if !is_in {
            let rooms = self.of_member.get(&member.id).map_or(0, BTreeSet::len);
            if rooms >= ROOMS_PER_MEMBER_MAX {
                return Err(Refusal::TooManyOfOne);
            }
            if known.is_none() && self.rooms.len() >= ROOMS_MAX {
                return Err(Refusal::TooManyRooms);
            }
        }
        if known.as_ref().is_some_and(|name| !is_in && self.rooms[name].seats.len() >= PEERS_MAX) {
            return Err(Refusal::RoomFull);
        }
        let before = known.as_ref().filter(|_| is_in).and_then(|name| self.seat(name, &member.id));
        let data = match (write, before) {
            (Write::Merge, Some(seat)) => {
                let mut merged = Data::clone(&seat.data);
                merged.extend(data);
                merged
            }
            _ => data,
        };
        if serde_json::to_string(&data).map_or(usize::MAX, |text| text.len()) > DATA_BYTES_MAX {
            return Err(Refusal::Data);
        }
        let name = known.unwrap_or_else(|| Arc::from(name));
        let room = self.rooms.entry(Arc::clone(&name)).or_default();
        let was_due = room.due_ms;
        let number = room.event(now_ms);
        let data = Arc::new(data);
        match room.seats.iter_mut().find(|seat| seat.member.id == member.id) {
            Some(seat) => {
                seat.data = data;
                seat.changed = number;
            }
            None => {
                let (entered, changed, told) = (number, number, number);
                let member = Arc::clone(member);
                let rooms = self.of_member.entry(Arc::clone(&member.id)).or_default();
                rooms.insert(Arc::clone(&name));
                room.seats.push(Seat { member, data, entered, changed, told });
            }
        }
        let own = |peers: Vec<Peer>| peers.into_iter().filter(|p| p.id == member.id).collect();
        let mut news = room.news(&name, number - 1);
        (news.joined, news.updated) = (own(news.joined), own(news.updated));
        news.left.clear();
        if was_due.is_none()
            && let Some(due) = room.due_ms
        {
            self.due.insert((due, name));
        }
        Ok(news)
    }

    fn seat(&self, room: &str, id: &str) -> Option<&Seat> {
        self.rooms.get(room)?.seats.iter().find(|seat| *seat.member.id == *id)
    }

    /// Its own last news, when the member was there.
    fn leave(&mut self, name: &str, id: &str, now_ms: i64) -> Option<News> {
        let name = Arc::clone(self.rooms.get_key_value(name)?.0);
        let room = self.rooms.get_mut(&name)?;
        let was_due = room.due_ms;
        let peer = room.leave(id, now_ms)?;
        let news = News {
            room: Arc::clone(&name),
            peers: room.peers(),
            left: vec![peer],
            ..News::default()
        };
        let (due, is_empty) = (room.due_ms, room.seats.is_empty());
        if let Some(rooms) = self.of_member.get_mut(id) {
            rooms.remove(&name);
            if rooms.is_empty() {
                self.of_member.remove(id);
            }
        }
        if is_empty {
            self.rooms.remove(&name);
            if let Some(due) = was_due {
                self.due.remove(&(due, name));
            }
        } else if was_due.is_none()
            && let Some(due) = due
        {
            self.due.insert((due, name));
        }
        Some(news)
    }

    fn leave_all(&mut self, id: &str, now_ms: i64) {
        for name in self.of_member.get(id).cloned().unwrap_or_default() {
            self.leave(&name, id, now_ms);
        }
    }

    /// Does what is due; returns when to come back.
    fn run(&mut self, now_ms: i64) -> Option<i64> {
        if !(0..SWEEP_MS).contains(&(now_ms - self.swept_ms)) {
            self.swept_ms = now_ms;
            let mut silent = BTreeSet::new();
            for seat in self.rooms.values().flat_map(|room| &room.seats) {
                let seen_ms = seat.member.seen_ms.load(Ordering::Relaxed);
                if now_ms - seen_ms >= SILENCE_MS_MAX {
                    silent.insert(Arc::clone(&seat.member.id));
                }
            }
            for id in silent {
                self.leave_all(&id, now_ms);
            }
        }
        self.tell_due(now_ms);
        let next = self.due.first().map(|(due, _)| *due);
        let sweep = (!self.of_member.is_empty()).then_some(self.swept_ms + SWEEP_MS);
        next.into_iter().chain(sweep).min()
    }

    fn tell_due(&mut self, now_ms: i64) {
        // A time further away than a window was set before the clock was set back.
        while let Some((due, name)) =
            self.due.first().filter(|(due, _)| !(1..=WINDOW_MS).contains(&(due - now_ms))).cloned()
        {
            self.due.remove(&(due, Arc::clone(&name)));
            if let Some(room) = self.rooms.get_mut(&name) {
                room.tell(&name, now_ms);
            }
        }
    }
}

struct Inner {
    clock: Clock,
    rooms: Mutex<Rooms>,
    /// There is something to do earlier than the thread thinks.
    wake: Condvar,
}

impl Inner {
    /// A panic of another holder leaves every room whole.
    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_in_time(&self) {
        let mut rooms = self.rooms();
        while !rooms.stopped {
            let now_ms = self.clock.now_ms();
            let pause = rooms.run(now_ms).map(|next| {
                Duration::from_millis(u64::try_from(next - now_ms).unwrap_or(0).max(1))
            });
            rooms = match pause {
                Some(pause) => match self.wake.wait_timeout(rooms, pause) {
                    Ok((rooms, _)) => rooms,
                    Err(poisoned) => poisoned.into_inner().0,
                },
                None => self.wake.wait(rooms).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// The rooms of a server. Cheap to clone; the thread ends with the last clone.
#[derive(Clone)]
pub struct Presence {
    inner: Arc<Inner>,
    _thread: Arc<Thread>,
}

impl std::fmt::Debug for Presence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presence")
    }
}

struct Thread {
    inner: Arc<Inner>,
    handle: Option<JoinHandle<()>>,
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.inner.rooms().stopped = true;
        self.inner.wake.notify_one();
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
    }
}

impl Presence {
    /// Starts the thread that tells what waits.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(clock: Clock) -> std::io::Result<Self> {
        let (rooms, wake) = (Mutex::default(), Condvar::new());
        let inner = Arc::new(Inner { clock, rooms, wake });
        let shared = Arc::clone(&inner);
        let name = "presence".to_owned();
        let handle = std::thread::Builder::new().name(name).spawn(move || shared.tell_in_time())?;
        let thread = Arc::new(Thread { inner: Arc::clone(&inner), handle: Some(handle) });
        Ok(Self { inner, _thread: thread })
    }

    /// Enters a room, or writes the member's data there. The others are told; `News` is the member's own copy.
    ///
    /// # Errors
    /// [`Refusal`]
    pub fn put(
        &self,
        room: &str,
        member: &Arc<Member>,
        data: Data,
        write: Write,
    ) -> Result<News, Refusal> {
        self.change(|rooms, now_ms| rooms.put(room, member, data, write, now_ms))
    }

    /// Leaves a room; the member's own last news of it, when it was there.
    pub fn leave(&self, room: &str, member: &Member) -> Option<News> {
        self.change(|rooms, now_ms| rooms.leave(room, &member.id, now_ms))
    }

    /// The connection is gone.
    pub fn leave_all(&self, member: &Member) {
        self.change(|rooms, now_ms| rooms.leave_all(&member.id, now_ms));
    }

    /// The member's own place in a room.
    #[must_use]
    pub fn own(&self, room: &str, member: &Member) -> Option<Peer> {
        self.inner.rooms().seat(room, &member.id).map(Seat::peer)
    }

    /// Who is in a room; nobody in one that is not.
    #[must_use]
    pub fn peers(&self, room: &str) -> Vec<Peer> {
        self.inner.rooms().rooms.get(room).map_or_else(Vec::new, Room::peers)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Rooms, i64) -> T) -> T {
        let now_ms = self.inner.clock.now_ms();
        let mut rooms = self.inner.rooms();
        let result = change(&mut rooms, now_ms);
        rooms.tell_due(now_ms);
        drop(rooms);
        self.inner.wake.notify_one();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[derive(Default)]
    struct Ear(Mutex<Vec<Arc<News>>>);

    impl Listener for Ear {
        fn hear(&self, news: Arc<News>) {
            self.0.lock().unwrap().push(news);
        }
    }

    struct Who {
        member: Arc<Member>,
        ear: Arc<Ear>,
    }

    impl Who {
        fn new(id: &str) -> Self {
            let ear = Arc::new(Ear::default());
            let weak: Weak<Ear> = Arc::downgrade(&ear);
            Self { member: Member::new(id, &format!("usr_{id}"), 0, weak), ear }
        }

        /// What was heard since the last look, as `joined/updated/left of peers`.
        fn heard(&self) -> Vec<String> {
            std::mem::take(&mut *self.ear.0.lock().unwrap()).iter().map(|n| shown(n)).collect()
        }
    }

    fn shown(news: &News) -> String {
        let names = |peers: &[Peer]| peers.iter().map(|p| &*p.id).collect::<Vec<_>>().join(",");
        let (joined, updated) = (names(&news.joined), names(&news.updated));
        format!("+{joined} ~{updated} -{} = {}", names(&news.left), names(&news.peers))
    }

    fn data(value: Value) -> Data {
        value.as_object().unwrap().clone()
    }

    fn put(rooms: &mut Rooms, room: &str, who: &Who, value: Value, now_ms: i64) -> String {
        let news = rooms.put(room, &who.member, data(value), Write::Merge, now_ms).unwrap();
        rooms.tell_due(now_ms);
        shown(&news)
    }

    /// Chapter 22, "Presence".
    #[test]
    fn the_transcript() {
        let (mut rooms, one, two) = (Rooms::default(), Who::new("c1"), Who::new("c2"));
        assert_eq!(put(&mut rooms, "d", &one, json!({"name": "A"}), 1_000), "+c1 ~ - = c1");
        assert_eq!(put(&mut rooms, "d", &two, json!({"name": "B"}), 2_000), "+c2 ~ - = c1,c2");
        assert_eq!(one.heard(), ["+c2 ~ - = c1,c2"]);
        put(&mut rooms, "d", &two, json!({"cursor": {"x": 1}}), 3_000);
        assert_eq!(one.heard(), ["+ ~c2 - = c1,c2"]);
        assert_eq!(two.heard(), ["+ ~c2 - = c1,c2"]);
        let peers = rooms.rooms["d"].peers();
        assert_eq!(*peers[1].data, data(json!({"name": "B", "cursor": {"x": 1}})));
        rooms.leave_all("c2", 4_000);
        rooms.tell_due(4_000);
        assert_eq!(one.heard(), ["+ ~ -c2 = c1"]);
        assert_eq!(two.heard(), [""; 0], "nothing after leaving");
        let last = rooms.leave("d", "c1", 5_000).unwrap();
        assert_eq!(shown(&last), "+ ~ -c1 = ");
        assert!(rooms.rooms.is_empty() && rooms.due.is_empty() && rooms.of_member.is_empty());
        assert!(rooms.leave("d", "c1", 5_000).is_none());
    }

    /// 15.2: one message a window, with the latest state.
    #[test]
    fn updates_are_coalesced() {
        let (mut rooms, one, two) = (Rooms::default(), Who::new("c1"), Who::new("c2"));
        put(&mut rooms, "d", &one, json!({}), 0);
        put(&mut rooms, "d", &two, json!({}), 1_000);
        one.heard();
        for n in 0..40 {
            put(&mut rooms, "d", &two, json!({"n": n}), 1_001 + n);
        }
        assert_eq!(one.heard(), [""; 0], "within the window of the join");
        assert_eq!(rooms.run(1_041), Some(1_050));
        rooms.run(1_050);
        let heard = std::mem::take(&mut *one.ear.0.lock().unwrap());
        assert_eq!(heard.len(), 1);
        assert_eq!(*heard[0].updated[0].data, data(json!({"n": 39})));
        // A second of a client that never stops: 20 messages.
        for n in 0..1_000 {
            put(&mut rooms, "d", &two, json!({"n": n}), 2_000 + n);
        }
        rooms.run(3_000);
        let heard = one.heard().len();
        assert!((19..=21).contains(&heard), "{heard}");
    }

    /// P1: who comes between two messages hears of what came after, and of nothing twice.
    #[test]
    fn a_newcomer_hears_what_it_has_not_seen() {
        let mut rooms = Rooms::default();
        let [one, two, three, four] = ["c1", "c2", "c3", "c4"].map(Who::new);
        put(&mut rooms, "d", &one, json!({}), 0);
        put(&mut rooms, "d", &two, json!({}), 1_000);
        one.heard();
        put(&mut rooms, "d", &three, json!({}), 1_010);
        assert_eq!(put(&mut rooms, "d", &four, json!({}), 1_020), "+c4 ~ - = c1,c2,c3,c4");
        rooms.leave("d", "c2", 1_030);
        rooms.run(1_050);
        assert_eq!(one.heard(), ["+c3,c4 ~ -c2 = c1,c3,c4"]);
        assert_eq!(three.heard(), ["+c4 ~ -c2 = c1,c3,c4"]);
        assert_eq!(four.heard(), ["+ ~ -c2 = c1,c3,c4"]);
        // Gone again before anybody was told.
        put(&mut rooms, "d", &two, json!({}), 1_060);
        rooms.leave("d", "c2", 1_070);
        rooms.run(1_200);
        assert_eq!(one.heard(), [""; 0]);
    }

    #[test]
    fn the_silent_are_gone_after_a_minute() {
        let (mut rooms, one, two) = (Rooms::default(), Who::new("c1"), Who::new("c2"));
        put(&mut rooms, "d", &one, json!({}), 0);
        put(&mut rooms, "d", &two, json!({}), 0);
        one.heard();
        for now in (0..SILENCE_MS_MAX).step_by(1_000) {
            one.member.seen(now);
            rooms.run(now);
        }
        one.heard();
        assert_eq!(rooms.rooms["d"].seats.len(), 2);
        rooms.run(SILENCE_MS_MAX + SWEEP_MS);
        assert_eq!(one.heard(), ["+ ~ -c2 = c1"]);
    }

    #[test]
    fn a_clock_that_is_set_back_silences_nobody() {
        let (mut rooms, one, two) = (Rooms::default(), Who::new("c1"), Who::new("c2"));
        put(&mut rooms, "d", &one, json!({}), 1_000_000);
        one.member.seen(10);
        put(&mut rooms, "d", &two, json!({}), 10);
        assert_eq!(one.heard(), ["+c2 ~ - = c1,c2"]);
    }

    #[test]
    fn bounds() {
        let (mut rooms, one) = (Rooms::default(), Who::new("c1"));
        let mut enter = |room: &str, who: &Who, value: Value, write| {
            rooms.put(room, &who.member, data(value), write, 0).map(|_| ())
        };
        assert_eq!(enter("", &one, json!({}), Write::Merge), Err(Refusal::Name));
        assert_eq!(enter(&"x".repeat(257), &one, json!({}), Write::Merge), Err(Refusal::Name));
        let half = json!({"a": "x".repeat(9_000)});
        assert_eq!(enter("d", &one, half, Write::Merge), Ok(()));
        let half = json!({"b": "x".repeat(9_000)});
        assert_eq!(enter("d", &one, half.clone(), Write::Merge), Err(Refusal::Data), "merged");
        assert_eq!(enter("d", &one, half, Write::Replace), Ok(()));
        for n in 1..PEERS_MAX {
            assert_eq!(enter("d", &Who::new(&format!("p{n}")), json!({}), Write::Merge), Ok(()));
        }
        assert_eq!(enter("d", &Who::new("late"), json!({}), Write::Merge), Err(Refusal::RoomFull));
        for n in 1..ROOMS_PER_MEMBER_MAX {
            assert_eq!(enter(&format!("r{n}"), &one, json!({}), Write::Merge), Ok(()));
        }
        assert_eq!(enter("one more", &one, json!({}), Write::Merge), Err(Refusal::TooManyOfOne));
    }

    #[test]
    fn what_was_not_passed_on_is_joined() {
        let peer = |id: &str| Peer {
            id: id.into(),
            user_id: "u".into(),
            data: Arc::default(),
            last_seen: 0,
        };
        let [a, b, c] = ["a", "b", "c"].map(peer);
        let all = |peers: &[&Peer]| peers.iter().map(|p| (*p).clone()).collect::<Vec<_>>();
        let first = News {
            room: "d".into(),
            peers: all(&[&a, &b]),
            joined: all(&[&b]),
            updated: all(&[&a]),
            left: all(&[&c]),
        };
        let second = News {
            room: "d".into(),
            peers: all(&[&a, &c]),
            joined: all(&[&c]),
            updated: all(&[]),
            left: all(&[&b]),
        };
        assert_eq!(shown(&first.and_then(&second)), "+c ~a - = a,c");
    }

    #[test]
    fn the_thread_tells_what_waits() {
        let presence = Presence::start(Clock::system()).unwrap();
        let (sender, heard) = std::sync::mpsc::channel();
        struct Line(Mutex<std::sync::mpsc::Sender<usize>>);
        impl Listener for Line {
            fn hear(&self, news: Arc<News>) {
                let _ = self.0.lock().unwrap().send(news.peers.len());
            }
        }
        let line = Arc::new(Line(Mutex::new(sender)));
        let weak: Weak<Line> = Arc::downgrade(&line);
        let one = Member::new("c1", "u", Clock::system().now_ms(), weak);
        presence.put("d", &one, Data::new(), Write::Merge).unwrap();
        let two = Who::new("c2");
        two.member.seen(Clock::system().now_ms());
        presence.put("d", &two.member, Data::new(), Write::Merge).unwrap();
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)), Ok(2));
        presence.leave("d", &two.member);
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)), Ok(1));
        assert_eq!(presence.peers("d").len(), 1);
        assert_eq!(presence.own("d", &one).unwrap().id, *one.id());
    }
}
