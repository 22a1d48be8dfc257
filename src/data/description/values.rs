//! What values of masks mean, from what is given and what the layout of a set says.

use super::classes::GivenClasses;
use crate::data::classes::class::{ClassKind, Classes};
use crate::data::classes::values::{IGNORED, PixelValue, ValueTable};
use crate::data::error::DataError;
use crate::data::layout::parts::ClassTable;

/// Masks whose values are numbers of classes. Without names the classes are not known yet. One name is one class: 0 is the background,
/// 1 the class.
pub(super) fn index(
    given: Option<&GivenClasses>,
    of_layout: Option<&ClassTable>,
    ignore: Option<&[PixelValue]>,
) -> Result<(ValueTable, Option<Classes>), DataError> {
    let usual = PixelValue::Number(i64::from(IGNORED));
    let mut ignored = ignored(given, ignore);
    let names: Option<Vec<String>> = match (given, of_layout) {
        (Some(given), _) => Some(given.names()),
        (None, Some(layout)) => Some(layout.names.clone()),
        (None, None) => None,
    };
    let Some(names) = names else {
        let ignored = if ignored.is_empty() { vec![usual] } else { ignored };
        let mut values = indices(usize::from(IGNORED));
        values.iter_mut().for_each(|own| own.retain(|value| !ignored.contains(value)));
        return Ok((ValueTable::index_table(&values, &ignored)?, None));
    };
    let mut values = match given.filter(|given| given.has_values()) {
        Some(given) => values_of_each(given)?,
        None if names.len() == 1 => indices(2),
        None => indices(names.len()),
    };
    for (value, class) in of_layout.iter().flat_map(|layout| &layout.values) {
        let value = PixelValue::Number(*value);
        values.iter_mut().for_each(|own| own.retain(|other| *other != value));
        match class {
            Some(class) => values.get_mut(*class).into_iter().for_each(|own| own.push(value)),
            None if ignored.contains(&value) => {}
            None => ignored.push(value),
        }
    }
    if ignore.is_none() && given.is_none_or(|given| given.ignored().is_empty()) && !values.concat().contains(&usual) {
        ignored.push(usual);
        ignored.sort_unstable();
        ignored.dedup();
    }
    let kind = if names.len() == 1 { ClassKind::Overlapping } else { ClassKind::Exclusive };
    let shown = if names.len() == 1 { ["background".to_string(), names[0].clone()].to_vec() } else { names.clone() };
    check_apart(&shown, &values, &ignored)?;
    let classes = given.cloned().unwrap_or_default().coloured(kind, &names)?;
    Ok((ValueTable::index_table(&values, &ignored)?, Some(classes)))
}

/// Masks whose values, or colours, mean classes by a table.
pub(super) fn table(
    given: Option<&GivenClasses>,
    ignore: Option<&[PixelValue]>,
) -> Result<(ValueTable, Option<Classes>), DataError> {
    let Some(given) = given.filter(|given| given.has_values()) else {
        let reason = "`labels` is table, which needs the values of each class: `classes` with a file like \"background = 0\", \
                      \"polyp = [255, 0, 0]\"";
        return Err(DataError::Description(reason.to_string()));
    };
    let (names, values, ignored) = (given.names(), values_of_each(given)?, ignored(Some(given), ignore));
    if let [only] = &names[..] {
        return Err(DataError::Description(format!(
            "the table of values has one class, `{only}`; say, too, which value is none of it: background = 0"
        )));
    }
    check_apart(&names, &values, &ignored)?;
    Ok((ValueTable::table(&values, &ignored)?, Some(given.coloured(ClassKind::Exclusive, &names)?)))
}

/// The values of each class, all of which must have some.
fn values_of_each(given: &GivenClasses) -> Result<Vec<Vec<PixelValue>>, DataError> {
    let values = given.values();
    match given.names().iter().zip(&values).find(|(_, values)| values.is_empty()) {
        Some((name, _)) => {
            Err(DataError::Description(format!("the class \"{name}\" has no values, but others have; give it its own")))
        }
        None => Ok(values),
    }
}

/// All values that are to be ignored, each once.
fn ignored(given: Option<&GivenClasses>, ignore: Option<&[PixelValue]>) -> Vec<PixelValue> {
    let of_file = given.map(GivenClasses::ignored).unwrap_or_default();
    let mut all: Vec<PixelValue> = ignore.unwrap_or_default().iter().copied().chain(of_file).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// That no value is a class's and ignored, too.
fn check_apart(names: &[String], values: &[Vec<PixelValue>], ignored: &[PixelValue]) -> Result<(), DataError> {
    for (name, own) in names.iter().zip(values) {
        if let Some(value) = own.iter().find(|value| ignored.contains(value)) {
            return Err(DataError::Description(format!(
                "the value {value} is the class \"{name}\", and cannot be ignored, too (`ignore`)"
            )));
        }
    }
    Ok(())
}

/// The numbers 0 to `count - 1`, each a class's.
fn indices(count: usize) -> Vec<Vec<PixelValue>> {
    (0..count).map(|index| vec![PixelValue::Number(index as i64)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: i64) -> PixelValue {
        PixelValue::Number(n)
    }

    fn names(names: &[&str]) -> GivenClasses {
        GivenClasses::named(names.iter().map(ToString::to_string))
    }

    fn of(table: &ValueTable, values: &[i64]) -> Vec<Option<u8>> {
        values.iter().map(|value| table.class(number(*value))).collect()
    }

    #[test]
    fn numbers_are_classes_but_those_that_are_ignored() {
        let (table, classes) = index(None, None, None).unwrap();
        assert_eq!((of(&table, &[0, 254, 255, 256]), classes), (vec![Some(0), Some(254), Some(255), None], None));
        let (table, _) = index(None, None, Some(&[number(254), number(0)])).unwrap();
        assert_eq!(of(&table, &[0, 1, 254, 255]), [Some(255), Some(1), Some(255), None]);
        let (table, classes) = index(Some(&names(&["a", "b", "c"])), None, Some(&[number(9)])).unwrap();
        assert_eq!((of(&table, &[2, 3, 9, 255]), classes.unwrap().len()), (vec![Some(2), None, Some(255), None], 3));
        let error = index(Some(&names(&["a", "b"])), None, Some(&[number(1)])).unwrap_err().to_string();
        assert_eq!(error, "the value 1 is the class \"b\", and cannot be ignored, too (`ignore`)");
        let (table, classes) = index(Some(&names(&["polyp"])), None, None).unwrap();
        assert_eq!(of(&table, &[0, 1, 2, 255]), [Some(0), Some(1), None, Some(255)]);
        assert_eq!(classes.unwrap().kind, ClassKind::Overlapping);
    }

    #[test]
    fn a_table_of_numbers_counts_for_indices_too() {
        let given = GivenClasses::of_file("background = 0\npolyp = 2\ntool = [1, 3]\nignore = 255").unwrap();
        let (table, classes) = index(Some(&given), None, Some(&[number(255)])).unwrap();
        assert_eq!(of(&table, &[0, 1, 2, 3, 255]), [Some(0), Some(2), Some(1), Some(2), Some(255)]);
        assert!(table.takes_indices() && classes.unwrap().len() == 3);
        let (table, _) = super::table(Some(&given), Some(&[number(7)])).unwrap();
        assert!(!table.takes_indices());
        assert_eq!(of(&table, &[2, 7, 255]), [Some(1), Some(255), Some(255)]);
        let one = GivenClasses::of_file("polyp = 255").unwrap();
        assert!(super::table(Some(&one), None).unwrap_err().to_string().contains("background = 0"));
        let half = GivenClasses::of_file("[[class]]\nname = 'a'\nvalues = [1]\n[[class]]\nname = 'b'").unwrap();
        assert!(super::table(Some(&half), None).unwrap_err().to_string().contains("\"b\" has no values"));
    }

    #[test]
    fn what_a_layout_says_of_values_counts() {
        let values = [(7, Some(1)), (255, None), (1, None)].into_iter().collect();
        let layout = ClassTable { names: vec!["a".to_string(), "b".to_string()], values };
        let (table, classes) = index(None, Some(&layout), None).unwrap();
        assert_eq!(of(&table, &[0, 1, 7, 255]), [Some(0), Some(255), Some(1), Some(255)]);
        assert_eq!(classes.unwrap().names().collect::<Vec<_>>(), ["a", "b"]);
        let (table, _) = index(None, Some(&layout), Some(&[number(9)])).unwrap();
        assert_eq!(of(&table, &[9, 255]), [Some(255), Some(255)]);
    }
}
