//! The page's protocols under loom: every interleaving of two threads, and every value that each load may see.

use loom::sync::Arc;
use loom::thread;

use crate::atomic::AtomicU64;
use crate::claim::Claim;
use crate::memory::SharedMemory;
use crate::ring::Ring;
use crate::running::Running;

#[test]
fn each_number_is_either_started_or_recalled_and_never_both() {
    loom::model(|| {
        let claim = Arc::new(Claim::starting_at(u32::MAX));
        assert_eq!(claim.extend(2), u32::MAX);
        let child = {
            let claim = claim.clone();
            thread::spawn(move || [u32::MAX, 0, 1].map(|number| claim.claim(number)))
        };
        let from = claim.recall();
        // Dispatch after a recall: the numbers go on behind what was recalled.
        assert_eq!(claim.extend(1), 1);
        let started = child.join().unwrap();
        let recalled = [from == u32::MAX, from == u32::MAX || from == 0];
        assert_eq!([!started[0], !started[1]], recalled, "recalled from {from}");
        // The child may have looked before the last one was dispatched; then it looks again.
        assert_eq!(claim.claim(1), !started[2]);
        assert_eq!(claim.next(), 2);
    });
}

#[test]
fn a_task_that_was_started_before_the_recall_is_seen_running_after_it() {
    loom::model(|| {
        let words = Arc::new((Claim::starting_at(0), AtomicU64::new(0), AtomicU64::new(0)));
        words.0.extend(2);
        let child = {
            let words = words.clone();
            thread::spawn(move || {
                for number in 0..2 {
                    if words.0.claim(number) {
                        Running { number: &words.1, started_us: &words.2 }.set(number, 100 + u64::from(number));
                    }
                }
            })
        };
        let from = words.0.recall();
        let running = Running { number: &words.1, started_us: &words.2 };
        if let Some((number, started_us)) = running.get() {
            assert!(number < from, "{number} runs, and was recalled from {from}");
            assert_eq!(started_us, 100 + u64::from(number));
        }
        child.join().unwrap();
        assert_eq!(running.get().map(|(number, _)| number), from.checked_sub(1));
    });
}

#[test]
fn tasks_in_several_slots_are_each_started_or_recalled_and_seen_running() {
    loom::model(|| {
        type Words = (Claim, [AtomicU64; 2], [AtomicU64; 2]);
        fn slot(words: &Words, slot: usize) -> Running<'_> {
            Running { number: &words.1[slot], started_us: &words.2[slot] }
        }
        let zeros = || [AtomicU64::new(0), AtomicU64::new(0)];
        let words: Arc<Words> = Arc::new((Claim::starting_at(0), zeros(), zeros()));
        words.0.extend(2);
        let child = {
            let words = words.clone();
            // One thread claims; the task in the first slot may end while the second one starts.
            thread::spawn(move || {
                for number in 0..2u32 {
                    if words.0.claim(number) {
                        slot(&words, number as usize).set(number, 100);
                    }
                }
                slot(&words, 0).clear();
            })
        };
        let from = words.0.recall();
        let seen = [0, 1].map(|index| slot(&words, index).get());
        for (number, _) in seen.into_iter().flatten() {
            assert!(number < from, "{number} runs, and was recalled from {from}");
        }
        child.join().unwrap();
        assert_eq!(slot(&words, 0).get(), None);
        let last = slot(&words, 1).get();
        assert_eq!(last.is_some(), from == 2);
    });
}

#[test]
fn a_start_is_never_told_of_another_task() {
    loom::model(|| {
        let words = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
        let child = {
            let words = words.clone();
            thread::spawn(move || {
                let running = Running { number: &words.0, started_us: &words.1 };
                running.set(7, 107);
                running.clear();
                running.set(8, 108);
            })
        };
        let running = Running { number: &words.0, started_us: &words.1 };
        let seen = running.get();
        assert!(matches!(seen, None | Some((7, 107) | (8, 108))), "{seen:?}");
        child.join().unwrap();
        assert_eq!(running.get(), Some((8, 108)));
    });
}

/// The ring, and its counters.
struct Pipe {
    memory: SharedMemory,
    head: AtomicU64,
    tail: AtomicU64,
}

impl Pipe {
    fn new(capacity: usize) -> Arc<Pipe> {
        Arc::new(Pipe { memory: SharedMemory::of(capacity), head: AtomicU64::new(0), tail: AtomicU64::new(0) })
    }

    fn ring(&self) -> Ring<'_> {
        let capacity = self.memory.len();
        Ring { memory: &self.memory, head: &self.head, tail: &self.tail, start: 0, capacity }
    }
}

#[test]
fn records_arrive_whole_and_in_order_while_the_writer_goes_on() {
    loom::model(|| {
        // Room for two records: the third one wraps, and meets a full ring unless the reader was there.
        let pipe = Pipe::new(16);
        let child = {
            let pipe = pipe.clone();
            thread::spawn(move || [1u8, 2, 3].map(|byte| pipe.ring().push(&[byte; 3])))
        };
        let mut seen = Vec::new();
        let mut buffer = Vec::new();
        for _ in 0..2 {
            pipe.ring().drain(&mut buffer, |record| seen.push(record.to_vec())).unwrap();
        }
        let pushed = child.join().unwrap();
        pipe.ring().drain(&mut buffer, |record| seen.push(record.to_vec())).unwrap();
        let expected: Vec<_> = [1u8, 2, 3].iter().zip(pushed).filter(|(_, ok)| *ok).map(|(b, _)| vec![*b; 3]).collect();
        assert_eq!(seen, expected);
        assert!(pushed[0] && pushed[1], "there was room");
        assert_eq!(pipe.ring().used(), 0);
    });
}
