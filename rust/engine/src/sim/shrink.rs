//! Makes a failing schedule as small as it can be: delta debugging (Zeller and Hildebrandt 2002) over letters and
//! accidents, with several tries of chance for each candidate, since fewer letters shift every delay.

use super::case::Case;

/// Tries of chance for a candidate.
const TRIES: u64 = 12;
/// Schedules played at most for one shrinking.
const MOST_RUNS: u32 = 20_000;

/// The smallest schedule found that breaks the same rule. Plays up to 20,000 schedules. A case that does not fail
/// comes back as it is.
pub fn shrink(case: &Case) -> Case {
    let Err(violation) = case.run(false).0 else {
        return case.clone();
    };
    let mut shrinker = Shrinker { rule: violation.rule().to_owned(), runs: 0, best: case.clone() };
    let (plan, _) = case.plan();
    let letters = case.letters.clone().unwrap_or_else(|| (0..plan.letters.len()).collect());
    let accidents = case.accidents.clone().unwrap_or_else(|| (0..plan.accidents.len()).collect());
    // Both, twice: a smaller list of one sometimes lets more of the other go.
    let (mut letters, mut accidents) = (letters, accidents);
    for _ in 0..2 {
        accidents = shrinker.reduce(accidents, |best, kept| best.accidents = Some(kept));
        letters = shrinker.reduce(letters, |best, kept| best.letters = Some(kept));
    }
    shrinker.best
}

struct Shrinker {
    rule: String,
    runs: u32,
    best: Case,
}

impl Shrinker {
    /// Leaves ever smaller parts out, as long as it still fails without them.
    fn reduce(&mut self, mut all: Vec<usize>, set: impl Fn(&mut Case, Vec<usize>)) -> Vec<usize> {
        let mut part = all.len().div_ceil(2).max(1);
        while !all.is_empty() && self.runs < MOST_RUNS {
            let mut start = 0;
            let mut has_shrunk = false;
            while start < all.len() {
                let mut kept = all.clone();
                kept.drain(start..(start + part).min(all.len()));
                if self.still_fails(|case| set(case, kept.clone())) {
                    all = kept;
                    has_shrunk = true;
                } else {
                    start += part;
                }
            }
            if part == 1 && !has_shrunk {
                break;
            }
            part = part.div_ceil(2).max(1);
        }
        all
    }

    fn still_fails(&mut self, change: impl FnOnce(&mut Case)) -> bool {
        let mut candidate = self.best.clone();
        change(&mut candidate);
        let first = candidate.noise;
        for noise in std::iter::once(first).chain((0..TRIES).map(Some)) {
            if self.runs >= MOST_RUNS {
                return false;
            }
            self.runs += 1;
            candidate.noise = noise;
            if candidate.run(false).0.is_err_and(|violation| violation.rule() == self.rule) {
                self.best = candidate;
                return true;
            }
        }
        false
    }
}
