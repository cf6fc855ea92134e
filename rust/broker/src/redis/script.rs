//! Lua scripts and their names on the server.

use std::sync::LazyLock;

/// A script, called by the SHA-1 of its text.
pub(super) struct Script {
    pub(super) source: String,
    pub(super) sha: String,
}

impl Script {
    fn new(parts: &[&str]) -> Self {
        let source = parts.concat();
        let sha = redis::Script::new(&source).get_hash().to_owned();
        Self { source, sha }
    }
}

macro_rules! scripts {
    ($($name:ident = $($file:literal)+;)+) => {
        $(pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::new(&[$(include_str!(concat!("lua/", $file))),+]));)+
    };
}

scripts! {
    FETCH = "fetch.lua";
    SETTLE = "store_function.lua" "part_function.lua" "settle.lua";
    PART = "part_function.lua" "part.lua";
    BEGIN_CHORD = "begin_chord.lua";
    ADD_TO_CHORD = "add_to_chord.lua";
    HOLD_CHORD = "hold_chord.lua";
    FORGET_CHORD = "keep_function.lua" "forget_chord.lua";
    JOINS = "joins.lua";
    FINISH_JOIN = "store_function.lua" "join_function.lua" "keep_function.lua" "finish_join.lua";
    STORE = "store_function.lua" "store.lua";
    HEARTBEAT = "heartbeat.lua";
    ABSENT = "absent.lua";
    RETIRE = "retire.lua";
    RESTORE = "restore.lua";
    RELEASE = "parked_function.lua" "release.lua";
    PARKED_PAGE = "parked_page.lua";
    RELEASE_PARKED = "release_parked.lua";
    HASTEN_PARKED = "hasten_parked.lua";
    CANCEL_PARKED = "store_function.lua" "replace_function.lua" "cancel_parked.lua";
    REPLACE = "store_function.lua" "replace_function.lua" "replace.lua";
    EXPIRED = "expired.lua";
    UNLOCK = "unlock.lua";
    ACQUIRE = "acquire.lua";
    DRAW = "draw.lua";
    UNLANE = "unlane.lua";
    EARLY_ACK = "early_ack.lua";
    BEGIN_ATTEMPT = "begin_attempt.lua";
    RETRY_DEAD = "retry_dead.lua";
    REPLY = "reply.lua";
    MARK_REVOKED = "mark_revoked.lua";
    REVOKED = "revoked.lua";
    ENLIST = "enlist.lua";
    COPIES = "copies.lua";
    FORGET_COPIES = "forget_copies.lua";
}
