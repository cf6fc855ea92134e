//! Counts by equal stretches of time: the latest so many, and nothing of what is older.

/// A ring of `LEN` counts. A place is known by its number: Unix time divided by a place's length.
#[derive(Debug)]
pub(crate) struct Bins<const LEN: usize> {
    counts: Box<[u32]>,
    newest: i64,
}

impl<const LEN: usize> Bins<LEN> {
    pub(crate) fn new() -> Bins<LEN> {
        Bins { counts: vec![0; LEN].into(), newest: i64::MIN }
    }

    /// Counts one more. What is older than all that is kept is passed by.
    pub(crate) fn add(&mut self, at: i64) {
        self.advance(at);
        if let Some(count) = self.at(at) {
            *count = count.saturating_add(1);
        }
    }

    /// Counts one less, if it is still there.
    pub(crate) fn take_back(&mut self, at: i64) {
        if at > self.newest {
            return;
        }
        if let Some(count) = self.at(at) {
            *count = count.saturating_sub(1);
        }
    }

    /// The first place that has any, and the counts from there to `until`, which may be later than all that was counted.
    pub(crate) fn read(&mut self, until: i64) -> (i64, Vec<u32>) {
        self.advance(until);
        let oldest = self.newest - LEN as i64 + 1;
        let counts = (oldest..=self.newest).map(|at| self.counts[place::<LEN>(at)]);
        let counts: Vec<u32> = counts.skip_while(|count| *count == 0).collect();
        (self.newest + 1 - counts.len() as i64, counts)
    }

    fn at(&mut self, at: i64) -> Option<&mut u32> {
        (at > self.newest.saturating_sub(LEN as i64)).then(|| &mut self.counts[place::<LEN>(at)])
    }

    fn advance(&mut self, to: i64) {
        if to <= self.newest {
            return;
        }
        let from = self.newest.saturating_add(1).max(to - LEN as i64 + 1);
        (from..=to).for_each(|at| self.counts[place::<LEN>(at)] = 0);
        self.newest = to;
    }
}

fn place<const LEN: usize>(at: i64) -> usize {
    at.rem_euclid(LEN as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(moments: &[i64]) -> Bins<4> {
        let mut bins = Bins::new();
        moments.iter().for_each(|at| bins.add(*at));
        bins
    }

    #[test]
    fn what_is_counted_is_read_from_the_first_that_has_any() {
        assert_eq!(of(&[10, 12, 12]).read(12), (10, vec![1, 0, 2]));
        assert_eq!(of(&[11]).read(13), (11, vec![1, 0, 0]));
    }

    #[test]
    fn what_is_old_is_forgotten() {
        assert_eq!(of(&[10, 11, 14]).read(14), (11, vec![1, 0, 0, 1]));
        assert_eq!(of(&[10, 11, 1_000]).read(1_000), (1_000, vec![1]));
        assert_eq!(of(&[10]).read(14), (15, vec![]));
    }

    #[test]
    fn a_clock_that_was_set_back_counts_what_is_still_kept() {
        assert_eq!(of(&[10, 8, 3]).read(10), (8, vec![1, 0, 1]));
    }

    #[test]
    fn what_went_back_is_not_counted() {
        let mut bins = of(&[10, 10, 12]);
        for at in [10, 99, 5, 11] {
            bins.take_back(at);
        }
        assert_eq!(bins.read(12), (10, vec![1, 0, 1]));
    }

    #[test]
    fn nothing_is_read_of_nothing() {
        assert_eq!(of(&[]).read(7), (8, vec![]));
    }
}
