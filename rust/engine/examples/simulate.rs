//! The long simulation: `make sim`.
//!
//! `simulate [schedules [first seed [threads]]]` plays schedules, prints what they came to, and exits with 1 at the
//! first broken promise, which it shrinks to a short story. `simulate replay CASE` plays one schedule and prints
//! everything that happens in it.

use std::process::ExitCode;

use fastworker_engine::sim::{Case, campaign, shrink};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // A panic of the engine is caught, and reported as a broken promise.
    std::panic::set_hook(Box::new(|_| {}));
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["replay", text] => match text.parse() {
            Ok(case) => replay(&case),
            Err(wrong) => complain(&wrong),
        },
        ["hunt", ref numbers @ ..] => play(numbers, false),
        ref numbers => play(numbers, true),
    }
}

fn complain(text: &str) -> ExitCode {
    eprintln!("simulate: {text}");
    ExitCode::from(2)
}

fn play(numbers: &[&str], has_story: bool) -> ExitCode {
    let numbers: Result<Vec<u64>, _> = numbers.iter().map(|text| text.parse()).collect();
    let Ok(numbers) = numbers else {
        return complain("expected [hunt] [schedules [first seed [threads]]], or: replay CASE");
    };
    let schedules = numbers.first().copied().unwrap_or(1_000_000);
    let first = numbers.get(1).copied().unwrap_or(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = numbers.get(2).map_or(cores, |&threads| threads as usize);
    let tally = campaign(first..first.saturating_add(schedules), threads, |line| println!("{line}"));
    println!("{tally}");
    let Some((seed, violation)) = tally.failure else {
        return ExitCode::SUCCESS;
    };
    println!("\nseed {seed}: {violation}");
    if !has_story {
        return ExitCode::FAILURE;
    }
    println!("shrinking…");
    replay(&shrink(&Case::new(seed)))
}

fn replay(case: &Case) -> ExitCode {
    let (plan, _) = case.plan();
    let (played, story) = case.run(true);
    println!("{:#?}\n{:#?}", plan.config, plan.accidents);
    for (index, letter) in plan.letters.iter().enumerate() {
        println!("message {index}: {letter:?}");
    }
    story.iter().for_each(|line| println!("{line}"));
    match played {
        Ok(_) => {
            println!("every promise was kept");
            ExitCode::SUCCESS
        }
        Err(violation) => {
            println!("BROKEN {violation}\nreplay: make sim REPLAY={case}");
            ExitCode::FAILURE
        }
    }
}
