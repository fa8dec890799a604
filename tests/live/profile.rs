//! `hostdiag profile` against what a process knows of itself by its own clocks.
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::PathBuf;

use hostdiag_model::stacks::Symbol;

use crate::lab::{Counted, Profiled, Traced, Tracing, refused_trace};

/// Samples or times what a process does from when it is told to go on.
fn profile(args: &[&str], work: &[&str]) -> (Traced, Vec<u64>) {
    let mut process = Profiled::new(work);
    let pid = process.pid().to_string();
    // Emulated, a sample costs a hundred times more.
    let common = ["profile", "--format", "json", "--max-overhead", "100", "-p", &pid];
    let tracing = Tracing::start(&[&common, args].concat());
    let said = process.run();
    (recorded(tracing), said)
}

fn recorded(tracing: Tracing) -> Traced {
    let traced = tracing.record();
    assert_eq!(traced.status, Some(0), "{}", traced.said);
    traced
}

/// What was counted of stacks with this function of the process in them.
fn with(stacks: &[Counted], function: &str) -> u64 {
    let has = |stack: &&Counted| stack.user.iter().flatten().any(|name| name == function);
    stacks.iter().filter(has).map(|stack| stack.count).sum()
}

/// Every sample is in a stack, or said to be lost.
#[track_caller]
fn complete(traced: &Traced) -> Vec<Counted> {
    let (stacks, accounting) = (traced.stacks(), traced.accounting());
    let counted: u64 = stacks.iter().map(|stack| stack.count).sum();
    assert_eq!(accounting.entries, Some(counted + accounting.stack_lost.unwrap()), "{}", traced.said);
    assert_eq!((accounting.stack_lost, accounting.recursion_missed), (Some(0), Some(0)), "{}", traced.said);
    stacks
}

/// Shares of samples are shares of the thread's own time, to 4 points. In a guest not
/// all samples come that are due, so there are as many rounds as 3000 take.
#[test]
fn profile_finds_the_share_of_each_function() {
    let functions = ["burn_one", "burn_two", "burn_three"];
    let (mut samples, mut found, mut spent) = (0, [0; 3], [0; 3]);
    for seed in 1..=20 {
        let (traced, times) = profile(&["-F", "999"], &["burn", "1600", &seed.to_string()]);
        assert_eq!(traced.mechanisms(), ["perf-event"]);
        let stacks = complete(&traced);
        samples += stacks.iter().map(|stack| stack.count).sum::<u64>();
        for (index, function) in functions.iter().enumerate() {
            found[index] += with(&stacks, function);
            spent[index] += times[index];
        }
        assert!(stacks.iter().all(|stack| stack.key.comm.as_deref() == Some("profiled")), "{stacks:?}");
        let of_all = traced.accounting().samples.unwrap();
        assert!(of_all.seen - of_all.idle.unwrap() >= traced.accounting().entries.unwrap(), "{of_all:?}");
        assert!(traced.said.contains(" samples a second and CPU of 999 asked for; idle "), "{}", traced.said);
        if samples >= 3000 {
            break;
        }
    }
    assert!(samples >= 3000, "{samples} samples");
    let all: u64 = spent.iter().sum();
    for (index, function) in functions.iter().enumerate() {
        let share = |part: u64, whole: u64| part as f64 * 100.0 / whole as f64;
        let (found, own) = (share(found[index], samples), share(spent[index], all));
        assert!((found - own).abs() <= 4.0, "{function}: {found} % of samples, {own} % of its time");
    }
}

/// Where nobody asks when they were, samples are counted at the end.
#[test]
fn profile_counts_all_of_a_run_where_times_do_not_matter() {
    let mut process = Profiled::new(&["burn", "3000", "1"]);
    let pid = process.pid().to_string();
    let args = ["profile", "--folded", "-F", "99", "--max-overhead", "100", "-p", &pid];
    let tracing = Tracing::start(&args);
    process.run();
    let (output, said) = tracing.interrupt();
    let folded = String::from_utf8(output.stdout).unwrap();
    let counted: u64 =
        folded.lines().map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum();
    // More than of one second.
    assert!((100..=310).contains(&counted), "{folded}{said}");
    let stacks: HashSet<_> = folded.lines().map(|line| line.rsplit_once(' ').unwrap().0).collect();
    assert_eq!(stacks.len(), folded.lines().count(), "{folded}");
}

/// A recording tells where in a function each frame was: where it goes on, after a call.
#[test]
fn profile_keeps_the_places_of_samples() {
    let (traced, _) = profile(&["-F", "999", "-U"], &["deep", "300", "20"]);
    let trace = traced.trace();
    let mut numbers = HashSet::new();
    for counts in trace.windows.iter().filter_map(|window| window.payload.stacks()) {
        numbers.extend(counts.iter().map(|(key, _)| key.stack));
    }
    let parts = numbers.into_iter().filter_map(|number| trace.stacks.stack(number)?.user.as_ref());
    let name = Symbol::Name("deeper".into());
    let callers = parts.flat_map(|part| trace.stacks.frames(part).skip(1));
    let deeper: Vec<_> = callers.filter(|frame| frame.symbol == name).collect();
    let placed = deeper.iter().all(|frame| frame.address > 0 && frame.offset > Some(0));
    assert!(!deeper.is_empty() && placed, "{deeper:?}");
}

#[test]
fn profile_walks_a_process_to_its_end() {
    let (traced, _) = profile(&["-F", "999", "-U"], &["deep", "300", "20"]);
    let stacks = complete(&traced);
    let whole: Vec<&Counted> =
        stacks.iter().filter(|stack| stack.user.as_ref().unwrap()[0] == "burn_one").collect();
    assert!(!whole.is_empty(), "{stacks:#?}");
    for stack in whole {
        let user = stack.user.as_ref().unwrap();
        assert!(user[1..=20].iter().all(|name| name == "deeper"), "{user:?}");
        assert_eq!(user[21], "main");
        assert_eq!((&stack.kernel, stack.gaps.len()), (&None, 0));
    }
    let (traced, _) = profile(&["-F", "999", "-U"], &["deep", "300", "200"]);
    let stacks = complete(&traced);
    let cut: u64 = stacks.iter().filter(|stack| !stack.gaps.is_empty()).map(|stack| stack.count).sum();
    assert!(cut > 0 && traced.accounting().stack_cut == Some(cut), "{stacks:#?}");
    assert!(traced.said.contains("had a stack deeper than what is walked"), "{}", traced.said);
}

/// The names of a map that a process of this user is to have in /tmp.
struct PerfMap(Vec<PathBuf>);

impl PerfMap {
    fn new(pid: u32, code: &str) -> Self {
        let path = PathBuf::from(format!("/tmp/perf-{pid}.map"));
        fs::create_dir_all("/tmp").unwrap();
        fs::write(&path, format!("{code} 10 LazyCompile:~hot a.js:1\n")).unwrap();
        Self(vec![path])
    }

    /// A link in its place.
    fn behind_a_link(&mut self) {
        let elsewhere = self.0[0].with_extension("elsewhere");
        fs::rename(&self.0[0], &elsewhere).unwrap();
        symlink(&elsewhere, &self.0[0]).unwrap();
        self.0.push(elsewhere);
    }
}

impl Drop for PerfMap {
    fn drop(&mut self) {
        self.0.iter().for_each(|path| drop(fs::remove_file(path)));
    }
}

/// The innermost frames of code that no file has.
fn compiled(prepare: impl FnOnce(&mut PerfMap)) -> Vec<String> {
    let mut process = Profiled::new(&["compiled", "200", "0"]);
    let (pid, code) = (process.pid(), process.said());
    let mut map = PerfMap::new(pid, &code);
    prepare(&mut map);
    let pid = pid.to_string();
    let tracing = Tracing::start(&["profile", "--format", "json", "-F", "999", "-U", "-p", &pid]);
    process.go();
    assert_eq!(process.said(), "done");
    let stacks = recorded(tracing).stacks();
    let most = stacks.into_iter().max_by_key(|stack| stack.count).unwrap();
    most.user.unwrap().into_iter().take(1).collect()
}

#[test]
fn profile_names_what_was_compiled_at_run_time() {
    assert_eq!(compiled(|_| ()), ["LazyCompile:~hot a.js:1"]);
    let unsafe_map = ["[/tmp/perf-PID.map is a link, too large, or not its user's]"];
    assert_eq!(compiled(|map| chown(&map.0[0], Some(65_534), None).unwrap()), unsafe_map);
    assert_eq!(compiled(PerfMap::behind_a_link), unsafe_map);
    assert_eq!(
        compiled(|map| fs::remove_file(&map.0[0]).unwrap()),
        ["[compiled at run time, no /tmp/perf-PID.map]"]
    );
}

/// Its map is read when it is first seen.
#[test]
fn profile_names_functions_of_a_process_that_has_ended() {
    let mut process = Profiled::new(&["burn", "300", "1"]);
    let tracing = Tracing::start(&["profile", "--format", "json", "-F", "999", "--comm", "profiled"]);
    process.run();
    process.end();
    let stacks = recorded(tracing).stacks();
    let named = ["burn_one", "burn_two", "burn_three"].map(|function| with(&stacks, function));
    assert!(named.iter().sum::<u64>() > 0, "{stacks:#?}");
    assert_eq!(with(&stacks, "[process has ended]"), 0, "{stacks:#?}");
}

/// Times the waits of a process that naps. There are kernels that tell nobody of each
/// switch, perf neither; where the end of a wait was missed, which is told, it is done again.
fn naps(args: &[&str], times: &str) -> (Traced, Vec<u64>) {
    for _ in 0..10 {
        let (traced, slept) = profile(args, &["naps", "3", times]);
        if traced.accounting().return_missed == Some(0) {
            return (traced, slept);
        }
    }
    panic!("each time the end of a wait was missed");
}

/// What a process waited is between what it asked for and what its clock shows.
#[test]
fn profile_times_waits() {
    let (traced, slept) = naps(&["--off-cpu"], "50");
    assert_eq!(traced.mechanisms(), ["raw-tracepoint"]);
    let stacks = traced.stacks();
    let found = with(&stacks, "nap");
    assert!((slept[0]..=slept[1]).contains(&found), "{found} ns of {slept:?}: {stacks:#?}");
    let accounting = traced.accounting();
    let balance = accounting.balance().unwrap();
    assert_eq!(balance.entries, balance.accounted, "{accounting:?}");
    assert_eq!(accounting.losses().collect::<Vec<_>>(), []);
    let nap = stacks.iter().find(|stack| with(std::slice::from_ref(stack), "nap") > 0).unwrap();
    let kernel = nap.kernel.as_ref().unwrap();
    assert!(kernel[0].contains("schedule"), "{kernel:?}");
    assert!(kernel.iter().any(|name| name == "do_nanosleep"), "{kernel:?}");
    // It sleeps, and so that signals can wake it.
    let (traced, slept) = naps(&["--off-cpu", "--state", "S"], "10");
    let found = with(&traced.stacks(), "nap");
    assert!((slept[0]..=slept[1]).contains(&found), "{found} ns of {slept:?}");
    let (traced, _) = naps(&["--off-cpu", "--state", "D"], "10");
    assert_eq!(with(&traced.stacks(), "nap"), 0);
}

#[test]
fn profile_refuses_what_cannot_be() {
    let (status, said) = refused_trace(&["profile", "-c", "8000", "1"]);
    assert_eq!(status, Some(2));
    assert!(said.contains("[no-such-cpu]"), "{said}");
    let most = fs::read_to_string("/proc/sys/kernel/perf_event_max_sample_rate").unwrap();
    let more = most.trim().parse::<u32>().unwrap() + 1;
    let (status, said) = refused_trace(&["profile", "-F", &more.to_string(), "1"]);
    assert_eq!(status, Some(2));
    assert!(said.contains("[rate-too-high]"), "{said}");
}

#[test]
fn profile_of_a_process_that_rests_has_nothing_to_draw() {
    let resting = Profiled::new(&["burn", "1", "1"]);
    let pid = resting.pid().to_string();
    let (status, said) = refused_trace(&["profile", "--format", "svg", "-p", &pid, "1"]);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("nothing was counted, so that there is nothing to draw"), "{said}");
}
