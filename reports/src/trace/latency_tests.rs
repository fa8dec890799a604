//! The histograms of the article from their data, and what stands around them.

use super::*;

/// Calls by rows of a log2 histogram in us.
fn of_rows(rows: &[u64]) -> Histogram {
    let mut histogram = Histogram::new(Resolution::FINEST);
    for (row, count) in rows.iter().enumerate() {
        histogram.add((1 << row) * 1000, *count);
    }
    histogram
}

fn jessie() -> Histogram {
    of_rows(&[9, 47, 53, 379, 329, 101, 23, 50, 7])
}

fn stretch() -> Histogram {
    of_rows(&[1, 20, 46, 56, 65, 75, 75, 258, 144, 24, 27, 28, 35, 1])
}

fn block<'a>(keys: &[Key<'a>], histogram: &'a Histogram) -> Block<'a> {
    Block { keys: keys.to_vec(), histogram }
}

fn bcc_text(blocks: &[Block<'_>], unit: Option<Unit>) -> String {
    text(None, blocks, Form { layout: Layout::Bcc, unit, ..Form::default() })
}

const JESSIE: &str = include_str!("golden/sendfile-jessie.txt");
const STRETCH: &str = include_str!("golden/sendfile-stretch.txt");

#[test]
fn the_articles_histograms_are_reproduced() {
    let time = Some(TimeOfDay::new(((23 * 60 + 27) * 60 + 28) * 1000, 0));
    for (histogram, golden) in [(jessie(), JESSIE), (stretch(), STRETCH)] {
        let form = Form { layout: Layout::Bcc, unit: Some(Unit::Us), ..Form::default() };
        let (count, sum) = (histogram.count(), histogram.sum() / 1000);
        let average = format!("\navg = {} usecs, total: {sum} usecs, count: {count}\n\n", sum / count);
        let text = super::text(time, &[block(&[], &histogram)], form);
        assert_eq!(text, format!("\n23:27:28\n{golden}{average}"));
    }
}

#[test]
fn ours_has_percentiles_under_the_same_histogram() {
    let mut histogram = stretch();
    histogram.add(9_600_000, 1);
    let expected = STRETCH.replace("16383      : 1 ", "16383      : 2 ")
        + "p50 130 us   p90 1.0 ms   p99 4.1 ms   p99.9 9.6 ms   max 9.6 ms   mean 394 us   n 856\n";
    assert_eq!(text(None, &[block(&[], &histogram)], Form::default()), expected);
}

#[test]
fn an_average_is_cut_as_bcc_cuts_it() {
    let mut histogram = Histogram::new(Resolution::FINEST);
    histogram.add(1_900, 3);
    let text = |unit| bcc_text(&[block(&[], &histogram)], unit);
    assert!(text(Some(Unit::Us)).ends_with("|\n\navg = 1 usecs, total: 5 usecs, count: 3\n\n"));
    assert!(text(None).ends_with("|\n\navg = 1900 nsecs, total: 5700 nsecs, count: 3\n\n"));
    assert!(text(Some(Unit::Ms)).ends_with("|\n\navg = 0 msecs, total: 0 msecs, count: 3\n\n"));
}

#[test]
fn no_calls_are_nothing_in_bcc_and_two_words_here() {
    let nothing = Histogram::new(Resolution::FINEST);
    let named = block(&[Key::Function("vfs_read")], &nothing);
    assert_eq!(bcc_text(&[block(&[], &nothing), named.clone()], None), "\n");
    assert_eq!(text(None, &[block(&[], &nothing)], Form::default()), "no calls\n");
    assert_eq!(text(None, &[named], Form::default()), "function vfs_read\nno calls\n");
    assert_eq!(text(None, &[], Form::default()), "no calls\n");
}

#[test]
fn every_function_has_its_block_and_bcc_one_average_for_all() {
    let (first, second) = (of_rows(&[1]), of_rows(&[0, 1]));
    let pid = [Key::Function("malloc"), Key::Pid(4711)];
    let blocks = [block(&[Key::Function("vfs_read")], &first), block(&pid, &second)];
    let expected = "
\nFunction = vfs_read
     usecs               : count     distribution
         0 -> 1          : 1        |****************************************|
\nFunction = malloc [4711]
     usecs               : count     distribution
         0 -> 1          : 0        |                                        |
         2 -> 3          : 1        |****************************************|
\navg = 1 usecs, total: 3 usecs, count: 2\n\n";
    assert_eq!(bcc_text(&blocks, Some(Unit::Us)), expected);
    let expected = "function vfs_read
     usecs               : count     distribution
         0 -> 1          : 1        |****************************************|
p50 1.0 us   p90 1.0 us   p99 1.0 us   p99.9 1.0 us   max 1.0 us   mean 1.0 us   n 1
\nfunction malloc  pid 4711
     usecs               : count     distribution
         2 -> 3          : 1        |****************************************|
p50 2.0 us   p90 2.0 us   p99 2.0 us   p99.9 2.0 us   max 2.0 us   mean 2.0 us   n 1
";
    assert_eq!(text(None, &blocks, Form::default()), expected);
}

#[test]
fn blocks_are_named_by_what_they_are_of() {
    let one = of_rows(&[1]);
    let names = |keys: &[Key<'_>]| {
        let blocks = [block(keys, &one)];
        let own = text(None, &blocks, Form::default());
        let bcc = bcc_text(&blocks, None);
        (own.lines().next().unwrap().to_owned(), bcc.lines().nth(2).unwrap().to_owned())
    };
    assert_eq!(names(&[Key::Cpu(3)]), ("cpu 3".into(), "CPU = 3".into()));
    assert_eq!(names(&[Key::Comm("ja\n\x1bva")]), ("comm java".into(), "Comm = java".into()));
    let both = [Key::Function("f"), Key::Comm("java")];
    assert_eq!(names(&both), ("function f  comm java".into(), "Function = f, Comm = java".into()));
}

#[test]
fn the_unit_hides_fewer_than_one_call_in_a_hundred() {
    let of = |pairs: &[(u64, u64)]| {
        let mut histogram = Histogram::new(Resolution::FINEST);
        pairs.iter().for_each(|(value, count)| histogram.add(*value, *count));
        unit(&histogram)
    };
    assert_eq!(of(&[]), Unit::Ns);
    assert_eq!(of(&[(999, 1), (5_000, 99)]), Unit::Ns);
    assert_eq!(of(&[(999, 1), (5_000, 199), (20_000_000_000, 1)]), Unit::Us);
    assert_eq!(of(&[(999_999, 1), (1_000_000, 100)]), Unit::Ms);
    assert_eq!((unit(&jessie()), unit(&stretch())), (Unit::Us, Unit::Us));
}

#[test]
fn what_is_not_exact_says_so() {
    let mut histogram = Histogram::new(Resolution::new(2).unwrap());
    histogram.add(1_000_000, 1);
    histogram.add(1 << 41, 2);
    histogram.max = None;
    let text = text(None, &[block(&[], &histogram)], Form::default());
    let end = "p50 >= 1100 s   p90 >= 1100 s   p99 >= 1100 s   p99.9 >= 1100 s   mean 1466 s   n 3   (percentiles +-12.5 %)\n\
        2 of them took 1100 s or longer: counted in the last row\n";
    assert!(text.ends_with(end), "{text}");
}
