//! `hostdiag argcount` as text: values by how often they were seen, as
//! `sort | uniq -c | sort -n | tail` shows them, or a histogram of one value.

use hostdiag_model::time::TimeOfDay;
use hostdiag_model::trace::{
    Apart, Arguments, Column, Form, Group, Head, Latency, Value, ValueCount, ValueKey,
};

use super::latency::summary;
use super::{Layout, head as time_of, log2::log2, name};
use crate::page::{Ink, Page, Style, count};

/// So many rows where `--top` does not say.
const TOP: usize = 20;
/// Least width of counts.
const COUNTS: usize = 10;
/// From here on a number of which no type is known is shown as an address.
const ADDRESSES: u64 = 1 << 32;

/// Rows by count, the largest last; above them what is beyond `--top`, in one.
pub(super) fn table(head: &Head, counts: &[ValueCount], time: Option<TimeOfDay>) -> String {
    let arguments = head.asked.arguments.clone().unwrap_or_default();
    let functions: Vec<String> = head.functions().map(name).collect();
    let mut page = Page::new(Style::default());
    page.put("\n");
    time_of(&mut page, Layout::Own, time);
    let total = sum(counts);
    if counts.is_empty() {
        page.line("no calls");
        return page.finish();
    }
    let mut sorted: Vec<&ValueCount> = counts.iter().collect();
    // The first of those that are as many stands last, as the largest does.
    sorted.sort_by(|a, b| (a.count, &b.key).cmp(&(b.count, &a.key)));
    let top = head.asked.top.map_or(TOP, |top| top as usize);
    let shown = sorted.split_off(sorted.len().saturating_sub(top));
    let rows: Vec<Vec<String>> = shown.iter().map(|one| cells(&one.key, &arguments, &functions)).collect();
    let titles = titles(arguments.by, &arguments.columns);
    let widths: Vec<usize> = titles
        .iter()
        .enumerate()
        .map(|(column, title)| {
            rows.iter().map(|row| width(&row[column])).chain([width(title)]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: &[String]| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("  {cell:width$}"));
        cells.collect::<String>().trim_end().to_owned()
    };
    page.line(&format!("{:>COUNTS$} {:>7}{}", "COUNT", "SHARE", line(&titles)));
    if !sorted.is_empty() {
        let rest = sum(sorted.iter().copied());
        let others = count(sorted.len(), "other");
        page.line(&format!("{rest:>COUNTS$} {:>7}  ({others})", share(rest, total)));
    }
    for (one, cells) in shown.iter().zip(&rows) {
        page.line(&format!("{:>COUNTS$} {:>7}{}", one.count, share(one.count, total), line(cells)));
    }
    page.finish()
}

fn width(text: &str) -> usize {
    text.chars().count()
}

pub(crate) fn sum<'a>(counts: impl IntoIterator<Item = &'a ValueCount>) -> u64 {
    counts.into_iter().fold(0, |sum, one| sum.saturating_add(one.count))
}

pub(crate) fn share(part: u64, of: u64) -> String {
    format!("{:.1} %", part as f64 * 100.0 / of.max(1) as f64)
}

/// What stands above what rows are apart by, and above values.
pub(crate) fn titles(by: Option<Apart>, columns: &[Column]) -> Vec<String> {
    let apart = by.map(|by| match by {
        Apart::Func => "FUNC".to_owned(),
        Apart::Comm => "COMM".to_owned(),
    });
    apart.into_iter().chain(columns.iter().map(|column| column.expression.clone())).collect()
}

/// As many as there are titles, whatever a recording has.
pub(crate) fn cells(key: &ValueKey, arguments: &Arguments, functions: &[String]) -> Vec<String> {
    let apart = arguments.by.map(|by| match by {
        Apart::Func => of_function(key.function, functions),
        Apart::Comm => key.comm.clone().unwrap_or_default(),
    });
    let values = (0..).zip(&arguments.columns).map(|(index, column): (usize, _)| {
        key.values.get(index).map_or(String::new(), |value| shown(value, &column.form))
    });
    apart.into_iter().chain(values).collect()
}

fn of_function(index: Option<u32>, functions: &[String]) -> String {
    index.and_then(|index| functions.get(index as usize)).cloned().unwrap_or_default()
}

/// A value as its type has it.
pub(crate) fn shown(value: &Value, form: &Form) -> String {
    let (number, text) = match value {
        Value::Unreadable => return "unreadable".into(),
        Value::Text(name) if matches!(form, Form::Enum(_)) => return name.clone(),
        Value::Text(text) => return format!("{text:?}"),
        Value::Cut { cut } => return format!("{cut:?}..."),
        Value::Unsigned(number) => (*number, number.to_string()),
        Value::Signed(number) => (number.cast_unsigned(), number.to_string()),
    };
    match (form, number) {
        (Form::Pointer, _) => format!("{number:#x}"),
        (Form::Raw, _) if number.cast_signed().unsigned_abs() >= ADDRESSES => format!("{number:#x}"),
        (Form::Bool, 0) => "false".into(),
        (Form::Bool, 1) => "true".into(),
        (Form::Enum(names), _) => {
            let named = names.iter().find(|(known, _)| *known == number.cast_signed());
            named.map_or(text, |(_, name)| name.clone())
        }
        _ => text,
    }
}

/// A histogram of the value, for each of what is counted apart.
pub(super) fn distribution(head: &Head, list: &[Latency], time: Option<TimeOfDay>) -> String {
    let functions: Vec<String> = head.functions().map(name).collect();
    let columns = head.asked.arguments.iter().flat_map(|arguments| &arguments.columns);
    let label = columns.map(|column| column.expression.as_str()).next().unwrap_or("value");
    let mut page = Page::new(Style::default());
    page.put("\n");
    time_of(&mut page, Layout::Own, time);
    if list.is_empty() {
        page.line("no calls");
    }
    let mut shown: Vec<&Latency> = list.iter().collect();
    if let Some(top) = head.asked.top {
        shown.sort_by_key(|one| std::cmp::Reverse(one.histogram.count()));
        shown.truncate(top as usize);
    }
    for (index, Latency { function, group, histogram }) in shown.into_iter().enumerate() {
        if index > 0 {
            page.put("\n");
        }
        let function = function.map(|index| format!("function {}", of_function(Some(index), &functions)));
        let comm = match group {
            Some(Group::Comm(comm)) => Some(format!("comm {}", crate::page::harmless(comm))),
            _ => None,
        };
        if let Some(title) = function.or(comm) {
            page.ink(Ink::Bold, &title).put("\n");
        }
        log2(&mut page, &histogram.log2(hostdiag_model::histogram::Unit::Ns), label, Layout::Own);
        page.line(&summary(histogram, u64::to_string, "no calls"));
        let overflow = histogram.overflow();
        if overflow > 0 {
            let limit = 1_u64 << 40;
            page.line(&format!("{overflow} of them are {limit} or more: counted in the last row"));
        }
    }
    page.finish()
}

#[cfg(test)]
mod tests {
    use hostdiag_model::Histogram;
    use hostdiag_model::histogram::Resolution;
    use hostdiag_model::trace::{Asked, Attach, Column, Function, Mechanism, Reason};

    use super::*;

    fn head(forms: &[(&str, Form)], by: Option<Apart>) -> Head {
        let column = |(expression, form): &(&str, Form)| Column {
            expression: (*expression).to_owned(),
            form: form.clone(),
        };
        let columns = forms.iter().map(column).collect();
        let arguments = Arguments { columns, by, ..Arguments::default() };
        let functions = vec![Function { name: "tcp_sendmsg".into(), ..Function::default() }];
        let attach = vec![Attach { mechanism: Mechanism::Fentry, reason: Reason::Few, functions }];
        let asked = Asked { arguments: Some(arguments), ..Asked::default() };
        Head { asked, attach, ..Head::default() }
    }

    fn seen(values: &[Value], count: u64) -> ValueCount {
        ValueCount { key: ValueKey { function: None, comm: None, values: values.to_vec() }, count }
    }

    #[test]
    fn rows_are_by_count_and_the_rest_is_one() {
        let mut head = head(&[("size", Form::Number)], None);
        let of = |value, count| seen(&[Value::Unsigned(value)], count);
        let counts = [of(4, 409), of(8, 1729), of(18, 1305), of(44, 19_052), of(4096, 64_504)];
        head.asked.top = Some(3);
        let expected = "\n     COUNT   SHARE  size\n      \
                        1714   2.0 %  (2 others)\n      \
                        1729   2.0 %  8\n     \
                        19052  21.9 %  44\n     \
                        64504  74.1 %  4096\n";
        assert_eq!(table(&head, &counts, None), expected);
        assert_eq!(table(&head, &[], None), "\nno calls\n");
    }

    #[test]
    fn values_are_shown_as_what_they_are() {
        let states = vec![(-1, "NONE".to_owned()), (1, "TCP_ESTABLISHED".to_owned())];
        for (value, form, text) in [
            (Value::from(-11), Form::Number, "-11"),
            (Value::Unsigned(0xffff_8880_0000_0010), Form::Pointer, "0xffff888000000010"),
            (Value::Unsigned(1), Form::Bool, "true"),
            (Value::Unsigned(7), Form::Bool, "7"),
            (Value::Unsigned(1), Form::Enum(states.clone()), "TCP_ESTABLISHED"),
            (Value::from(-1), Form::Enum(states.clone()), "NONE"),
            (Value::Unsigned(9), Form::Enum(states), "9"),
            (Value::Text("a\"b\x1b".into()), Form::Text, r#""a\"b\u{1b}""#),
            (Value::Cut { cut: "/var".into() }, Form::Text, "\"/var\"..."),
            (Value::Unreadable, Form::Text, "unreadable"),
            (Value::from(-2), Form::Raw, "-2"),
            (Value::from(-0x7000_0000_0000), Form::Raw, "0xffff900000000000"),
        ] {
            assert_eq!(shown(&value, &form), text);
        }
    }

    #[test]
    fn columns_are_aligned_and_what_lacks_is_empty() {
        let head = head(&[("name", Form::Text), ("$ret", Form::Number)], Some(Apart::Func));
        let mut long = seen(&[Value::Text("eth0".into()), Value::from(-22)], 3);
        long.key.function = Some(0);
        let expected = "\n     COUNT   SHARE  FUNC         name    $ret\n         \
                        1  25.0 %\n         \
                        3  75.0 %  tcp_sendmsg  \"eth0\"  -22\n";
        assert_eq!(table(&head, &[long, seen(&[], 1)], None), expected);
    }

    #[test]
    fn a_histogram_has_no_unit() {
        let head = head(&[("size", Form::Number)], None);
        let mut histogram = Histogram::new(Resolution::FINEST);
        histogram.add(4096, 3);
        let text = distribution(&head, &[Latency { function: None, group: None, histogram }], None);
        let first = format!("\n     {:19} : count     distribution\n", "size");
        assert!(text.starts_with(&first), "{text}");
        assert!(text.ends_with("p99.9 4096   max 4096   mean 4096   n 3\n"), "{text}");
    }
}
