//! "Did you mean": the known name that is nearest to a misspelt one.

/// The entry of `known` with the smallest edit distance to `given`. `known` is not empty.
pub(crate) fn nearest<'a>(given: &str, known: &[&'a str]) -> &'a str {
    let given = given.to_lowercase();
    known.iter().min_by_key(|name| distance(&given, name)).expect("there is at least one known name")
}

/// Levenshtein's distance, in characters. Names are short: two rows of a table will do.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        let known = ["redis", "rediss", "redis+socket", "sqlite"];
        assert_eq!(nearest("reddis", &known), "redis");
        assert_eq!(nearest("sqllite", &known), "sqlite");
        assert_eq!(nearest("redis+sock", &known), "redis+socket");
        assert_eq!(distance("", "abc"), 3);
    }
}
