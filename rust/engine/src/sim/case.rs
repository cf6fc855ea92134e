//! One schedule by name: a seed, and what shrinking has left of it.

use std::fmt::{self, Display, Formatter};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

use super::plan::Plan;
use super::report::{Report, Violation};
use super::rng::Rng;
use super::world::World;

/// A seed with the letters and accidents that are left, as text: `seed`, or `seed/letters/accidents/noise` with
/// indices joined by `.`, or `-` for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Makes the plan.
    pub seed: u64,
    /// Indices of the letters that are sent; `None` for all.
    pub letters: Option<Vec<usize>>,
    /// Indices of the accidents that happen; `None` for all.
    pub accidents: Option<Vec<usize>>,
    /// Decides the delays; `None`: the seed's own.
    pub noise: Option<u64>,
}

impl Case {
    /// The whole schedule of a seed.
    pub fn new(seed: u64) -> Case {
        Case { seed, letters: None, accidents: None, noise: None }
    }

    /// The plan, and the chance that plays it.
    pub fn plan(&self) -> (Plan, Rng) {
        let mut rng = Rng::new(self.seed);
        let mut plan = Plan::random(&mut rng);
        keep(&mut plan.letters, self.letters.as_deref());
        keep(&mut plan.accidents, self.accidents.as_deref());
        (plan, self.noise.map_or(rng, Rng::new))
    }

    /// Plays it; a panic of the engine counts as a broken promise. `has_story`: a line for everything that happened.
    pub fn run(&self, has_story: bool) -> (Result<Report, Violation>, Vec<String>) {
        let (plan, rng) = self.plan();
        let world = World::new(plan, rng, has_story);
        catch_unwind(AssertUnwindSafe(|| world.play())).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            let what = format!("no_panic: {}", text.unwrap_or_default());
            (Err(Violation { at_us: 0, what }), Vec::new())
        })
    }
}

fn keep<T: Clone>(all: &mut Vec<T>, indices: Option<&[usize]>) {
    if let Some(indices) = indices {
        *all = indices.iter().filter_map(|&index| all.get(index).cloned()).collect();
    }
}

impl Display for Case {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let join = |indices: &Option<Vec<usize>>| {
            let texts = indices.as_ref().map(|it| it.iter().map(usize::to_string).collect::<Vec<_>>().join("."));
            texts.unwrap_or_else(|| "-".to_owned())
        };
        write!(f, "{}", self.seed)?;
        if *self != Case::new(self.seed) {
            let noise = self.noise.map_or_else(|| "-".to_owned(), |noise| noise.to_string());
            write!(f, "/{}/{}/{noise}", join(&self.letters), join(&self.accidents))?;
        }
        Ok(())
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Case, String> {
        let wrong = || format!("schedule {text:?}: expected seed or seed/letters/accidents/noise, such as 7/0.3/-/5");
        let indices = |part: &str| match part {
            "-" => Ok(None),
            "" => Ok(Some(Vec::new())),
            part => part.split('.').map(|it| it.parse().map_err(|_| wrong())).collect::<Result<_, _>>().map(Some),
        };
        let parts: Vec<&str> = text.split('/').collect();
        let seed = parts[0].parse().map_err(|_| wrong())?;
        match parts[..] {
            [_] => Ok(Case::new(seed)),
            [_, letters, accidents, noise] => {
                let noise = if noise == "-" { None } else { Some(noise.parse().map_err(|_| wrong())?) };
                Ok(Case { seed, letters: indices(letters)?, accidents: indices(accidents)?, noise })
            }
            _ => Err(wrong()),
        }
    }
}
