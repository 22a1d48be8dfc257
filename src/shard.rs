//! Work that is split into equal parts: which part a task does.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// One of so many equal parts of a list. Written `2/3`: the second of three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    of: usize,
}

/// Why there is no such part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// No part is called so.
    #[error("a part is I/N, with I from 1 to N: 2/3 is the second of three parts, not `{given}`")]
    Part {
        /// What was given.
        given: String,
    },
    /// SLURM did not say it.
    #[error(
        "{name} is not set: SLURM sets it in a job array (sbatch --array=1-8); elsewhere the part is I/N, as in 2/3"
    )]
    Missing {
        /// The variable.
        name: &'static str,
    },
    /// A variable that is no number.
    #[error("{name} is `{value}`: it must be a whole number")]
    NoNumber {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// Variables that are of no array.
    #[error("{name} is {value}, which does not go with {others}; {advice}")]
    Inconsistent {
        /// The variable.
        name: &'static str,
        /// Its value.
        value: u64,
        /// The others that it does not go with, and their values.
        others: String,
        /// What to do.
        advice: &'static str,
    },
}

const ID: &str = "SLURM_ARRAY_TASK_ID";
const MIN: &str = "SLURM_ARRAY_TASK_MIN";
const MAX: &str = "SLURM_ARRAY_TASK_MAX";
const STEP: &str = "SLURM_ARRAY_TASK_STEP";
const COUNT: &str = "SLURM_ARRAY_TASK_COUNT";

impl Shard {
    /// The only part: everything.
    pub const WHOLE: Self = Self { index: 1, of: 1 };

    /// Part `index` of `of` parts, counted from 1.
    ///
    /// # Errors
    /// When `index` is not from 1 to `of`.
    pub fn new(index: usize, of: usize) -> Result<Self, ShardError> {
        match (1..=of).contains(&index) {
            true => Ok(Self { index, of }),
            false => Err(ShardError::Part { given: format!("{index}/{of}") }),
        }
    }

    /// The part of this task of a SLURM job array: its place among the array's numbers. `variable` gives the value of an environment
    /// variable.
    ///
    /// # Errors
    /// When a variable is missing, or they are not those of an array of equal steps without gaps; the error names it.
    pub fn of_slurm_array(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ShardError> {
        let given = |name: &'static str| -> Result<Option<u64>, ShardError> {
            let number = |value: String| value.trim().parse().map_err(|_| ShardError::NoNumber { name, value });
            variable(name).map(number).transpose()
        };
        let needed = |name| given(name)?.ok_or(ShardError::Missing { name });
        let [id, min, max, step] = [needed(ID)?, needed(MIN)?, needed(MAX)?, needed(STEP)?];
        const FAULTY: &str = "give the part as I/N";
        let inconsistent = |name, value, others: &[(&str, u64)], advice| {
            let others: Vec<_> = others.iter().map(|(name, value)| format!("{name} {value}")).collect();
            Err(ShardError::Inconsistent { name, value, others: others.join(" and "), advice })
        };
        if max < min {
            return inconsistent(MAX, max, &[(MIN, min)], FAULTY);
        }
        if step == 0 {
            return inconsistent(STEP, step, &[(MIN, min), (MAX, max)], FAULTY);
        }
        if !(min..=max).contains(&id) || (id - min) % step != 0 {
            return inconsistent(ID, id, &[(MIN, min), (MAX, max), (STEP, step)], FAULTY);
        }
        // a list with gaps (--array=1,4,9) has fewer tasks than its ends and step say: parts would be done by nobody
        let last = (max - min) / step;
        if let Some(count) = given(COUNT)?
            && count.checked_sub(1) != Some(last)
        {
            const GAPS: &str = "number the array without gaps (sbatch --array=1-8), or give the part as I/N";
            return inconsistent(COUNT, count, &[(MIN, min), (MAX, max), (STEP, step)], GAPS);
        }
        let place = |number: u64| usize::try_from(number).ok().and_then(|number| number.checked_add(1));
        match (place((id - min) / step), place(last)) {
            (Some(index), Some(of)) => Self::new(index, of),
            _ => inconsistent(MAX, max, &[(MIN, min)], FAULTY),
        }
    }

    /// Which part it is, from 1.
    pub fn index(self) -> usize {
        self.index
    }

    /// How many parts there are.
    pub fn of(self) -> usize {
        self.of
    }

    /// Which of `count` items are this part's: the stretches of all parts follow each other, hold every item once, and differ in length
    /// by one at most. With more parts than items some are empty.
    pub fn stretch(self, count: usize) -> Range<usize> {
        // no more than `count`, so that it is a usize again
        let end = |parts: usize| (parts as u128 * count as u128 / self.of as u128) as usize;
        end(self.index - 1)..end(self.index)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let refused = || ShardError::Part { given: text.to_string() };
        let (index, of) = text.split_once('/').ok_or_else(refused)?;
        // `parse` takes a sign
        let number = |digits: &str| digits.parse().ok().filter(|_| digits.bytes().all(|digit| digit.is_ascii_digit()));
        let (index, of) = number(index).zip(number(of)).ok_or_else(refused)?;
        Self::new(index, of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_every_item_once() {
        for (count, of) in [(0, 1), (0, 3), (1, 1), (2, 5), (200, 3), (7, 7), (10, 4)] {
            let mut next = 0;
            for index in 1..=of {
                let stretch = Shard::new(index, of).unwrap().stretch(count);
                assert_eq!(stretch.start, next, "{index}/{of} of {count}");
                assert!((count / of..=count.div_ceil(of)).contains(&stretch.len()), "{index}/{of} of {count}");
                next = stretch.end;
            }
            assert_eq!(next, count, "{of}");
        }
        assert_eq!(Shard::new(2, 3).unwrap().stretch(200), 66..133);
        assert_eq!(Shard::new(usize::MAX, usize::MAX).unwrap().stretch(usize::MAX), usize::MAX - 1..usize::MAX);
        assert_eq!(Shard::WHOLE.stretch(9), 0..9);
    }

    #[test]
    fn parts_are_read_as_they_are_written() {
        let part: Shard = "2/3".parse().unwrap();
        assert_eq!((part.index(), part.of(), &part.to_string()[..]), (2, 3, "2/3"));
        for wrong in
            ["", "2", "0/3", "4/3", "1/0", "2/3/4", "-1/3", "+1/3", " 1/3", "1/3 ", "a/b", "1/99999999999999999999"]
        {
            let error = wrong.parse::<Shard>().unwrap_err().to_string();
            assert!(error.contains("2/3") && error.contains(&format!("`{wrong}`")), "{error}");
        }
    }

    fn of_slurm(variables: &[(&str, &str)]) -> Result<Shard, ShardError> {
        Shard::of_slurm_array(|name| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| value.to_string())
        })
    }

    const ARRAY: [(&str, &str); 4] = [(ID, "5"), (MIN, "1"), (MAX, "9"), (STEP, "4")];

    #[test]
    fn a_task_of_an_array_is_the_part_at_its_place() {
        assert_eq!(of_slurm(&ARRAY), Shard::new(2, 3));
        assert_eq!(of_slurm(&[&ARRAY[..], &[(COUNT, "3")]].concat()), Shard::new(2, 3));
        assert_eq!(of_slurm(&[(ID, "0"), (MIN, "0"), (MAX, "0"), (STEP, "1")]), Ok(Shard::WHOLE));
    }

    #[test]
    fn what_is_wrong_with_the_variables_is_named() {
        for left_out in 0..ARRAY.len() {
            let mut variables = ARRAY.to_vec();
            let (name, _) = variables.remove(left_out);
            let error = of_slurm(&variables).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} is not set")), "{error}");
        }
        let cases = [
            (ID, "x", "SLURM_ARRAY_TASK_ID is `x`"),
            (ID, "-1", "SLURM_ARRAY_TASK_ID is `-1`"),
            (ID, "4", "SLURM_ARRAY_TASK_ID is 4"),
            (ID, "13", "SLURM_ARRAY_TASK_ID is 13"),
            (MAX, "0", "SLURM_ARRAY_TASK_MAX is 0"),
            (STEP, "0", "SLURM_ARRAY_TASK_STEP is 0"),
        ];
        for (name, value, expected) in cases {
            let changed = ARRAY.map(|(other, old)| (other, if other == name { value } else { old }));
            let error = of_slurm(&changed).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        // --array=1,5,6,9 is said to have the step 1
        let gaps = [(ID, "5"), (MIN, "1"), (MAX, "9"), (STEP, "1"), (COUNT, "4")];
        let error = of_slurm(&gaps).unwrap_err().to_string();
        assert!(error.starts_with("SLURM_ARRAY_TASK_COUNT is 4") && error.contains("gaps"), "{error}");
    }
}
