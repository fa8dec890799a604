//! `hostdiag timer-names`: which timers are started, and what becomes of them. It
//! takes no kprobes, so that every kernel can be asked.
use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hostdiag_model::trace::{Group, Owner, TimerKind};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerSetTimeFlags};
use nix::unistd::gettid;

use crate::lab::timers::{Connections, all_expire, arm, fates, timer_fd, wait_in_vain};
use crate::lab::{Counted, Traced, Tracing, Unprivileged, hostdiag, wait_until};

const FAR: Duration = Duration::from_secs(100);

/// Counts what this thread starts while `work` runs.
#[track_caller]
fn counted<T>(args: &[&str], work: impl FnOnce() -> T) -> (Traced, T) {
    let thread = gettid().to_string();
    let all = [&["timer-names", "--format", "json", "--tid", &thread], args].concat();
    let tracing = Tracing::start(&all);
    let result = work();
    let traced = tracing.record();
    assert_eq!(traced.status, Some(0), "{}", traced.said);
    let lost: Vec<_> = traced.accounting().losses().collect();
    let few = args.iter().any(|arg| arg.starts_with("--max-"));
    assert!(lost.is_empty() || few, "{lost:?}");
    (traced, result)
}

/// The command name of this process.
fn process() -> Owner {
    Owner::Process(fs::read_to_string("/proc/self/comm").unwrap().trim_end().to_owned())
}

#[test]
fn timer_names_knows_the_fate_of_timers_of_the_wheel() {
    let (traced, ()) = all_expire("process_timeout", 5, || {
        let connections = Connections::new(9);
        counted(&[], || {
            wait_in_vain(5, Duration::from_millis(20));
            connections.cancel_all();
            connections.rearm(3, 21);
        })
    });
    let sleeps = traced.timer("process_timeout");
    assert_eq!(fates(&sleeps), [5, 5, 0, 0], "{}", traced.said);
    let timer = sleeps.timer.unwrap();
    assert_eq!((timer.kind, timer.owner), (TimerKind::Timer, Some(process())));
    // 20 ms are a whole number of jiffies of every length.
    let median = sleeps.delay.percentile(5000).unwrap();
    assert!((median.low..=median.high.unwrap()).contains(&20_000_000), "{median:?}");
    let keepalive = traced.timer("tcp_keepalive_timer");
    assert_eq!(fates(&keepalive), [9 + 22, 0, 21, 9 + 1], "{}", traced.said);
    assert_eq!(keepalive.timer.unwrap().owner, None);
}

#[test]
fn timer_names_knows_the_fate_of_hrtimers() {
    let work = || {
        let again = timer_fd(ClockId::CLOCK_MONOTONIC);
        (0..11).for_each(|_| {
            arm(&again, Duration::from_millis(2));
            again.wait().unwrap();
        });
        (0..14).for_each(|turn| arm(&again, FAR + Duration::from_secs(turn)));
        again.unset().unwrap();
        let others: Vec<_> = (0..9).map(|_| timer_fd(ClockId::CLOCK_MONOTONIC)).collect();
        for timer in &others {
            arm(timer, FAR);
            timer.unset().unwrap();
        }
        let left: Vec<_> = (0..3).map(|_| timer_fd(ClockId::CLOCK_MONOTONIC)).collect();
        left.iter().for_each(|timer| arm(timer, FAR));
        left
    };
    let (traced, left) = all_expire("timerfd_tmrproc", 11, || counted(&[], work));
    let row = traced.timer("timerfd_tmrproc");
    assert_eq!(fates(&row), [11 + 14 + 9 + 3, 11, 13, 1 + 9], "{}", traced.said);
    assert_eq!(row.timer.unwrap().kind, TimerKind::Hrtimer);
    assert!(traced.accounting().timer_pending >= Some(left.len() as u64));
}

/// A sleeper's timer lies on its stack, in the same place each time, and is another.
#[test]
fn timer_names_tells_sleeps_that_are_cut_short_from_new_starts() {
    let work = || {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let echo = std::thread::spawn(move || {
            let mut byte = [0];
            while there.read(&mut byte).unwrap() == 1 {
                std::thread::sleep(Duration::from_millis(20));
                there.write_all(&byte).unwrap();
            }
        });
        for _ in 0..5 {
            here.write_all(&[1]).unwrap();
            let mut ready = [PollFd::new(here.as_fd(), PollFlags::POLLIN)];
            assert_eq!(poll(&mut ready, PollTimeout::from(60_000_u16)).unwrap(), 1);
            here.read_exact(&mut [0]).unwrap();
        }
        drop(here);
        echo.join().unwrap();
        std::thread::sleep(Duration::from_millis(1));
    };
    let (traced, ()) = all_expire("hrtimer_wakeup", 1, || counted(&[], work));
    let row = traced.timer("hrtimer_wakeup");
    // Where the answer is there already nothing sleeps.
    let [started, expired, rearmed, cancelled] = fates(&row);
    assert!((2..=6).contains(&started), "{started}");
    assert_eq!([expired, rearmed, cancelled], [1, 0, started - 1], "{}", traced.said);
    assert_eq!(row.timer.unwrap().owner, Some(process()));
}

/// The kernel keeps the time at which a timer expires, by the clock that it goes by.
#[test]
fn timer_names_knows_what_delay_was_asked_for() {
    let clocks = [ClockId::CLOCK_MONOTONIC, ClockId::CLOCK_REALTIME, ClockId::CLOCK_BOOTTIME];
    let (traced, _left) = counted(&[], || {
        let mut left: Vec<_> = clocks.into_iter().map(timer_fd).collect();
        left.iter().for_each(|timer| arm(timer, FAR));
        let absolute = timer_fd(ClockId::CLOCK_REALTIME);
        let then = TimeSpec::from_duration(SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + FAR);
        absolute.set(Expiration::OneShot(then), TimerSetTimeFlags::TFD_TIMER_ABSTIME).unwrap();
        left.push(absolute);
        left
    });
    let row = traced.timer("timerfd_tmrproc");
    assert_eq!(row.started, 4);
    let (min, max) = (row.delay.min.unwrap(), row.delay.max.unwrap());
    // Relative ones are as long as they were asked for, but for the way there.
    assert!(max <= FAR.as_nanos() as u64 && max > 99_000_000_000, "{max}");
    assert!(min > 90_000_000_000, "{min}");
}

#[test]
fn timer_names_shows_how_late_timers_are_and_how_long_they_run() {
    const TIMES: u32 = 23;
    const SLEEP: Duration = Duration::from_millis(1);
    let work = || {
        let before = Instant::now();
        (0..TIMES).for_each(|_| std::thread::sleep(SLEEP));
        before.elapsed() - SLEEP * TIMES
    };
    let (traced, late) = all_expire("hrtimer_wakeup", TIMES.into(), || counted(&["--expire"], work));
    let row = traced.timer("hrtimer_wakeup");
    assert_eq!(fates(&row), [TIMES.into(), TIMES.into(), 0, 0]);
    let (lateness, run) = (row.late.unwrap(), row.run.unwrap());
    assert_eq!((lateness.count(), run.count()), (TIMES.into(), TIMES.into()));
    // All of it is in what the sleeper sees.
    assert!(lateness.sum() + run.min.unwrap() <= late.as_nanos() as u64, "{lateness:?} {late:?}");
    assert!(lateness.sum() > 0 && run.sum() > 0);
}

#[test]
fn timer_names_counts_apart_by_who_started_them() {
    let work = || (0..7).for_each(|_| std::thread::sleep(Duration::from_millis(1)));
    let here = fs::read_to_string("/proc/thread-self/comm").unwrap();
    let by = |what: &str| {
        let (traced, ()) = counted(&["--by", what], work);
        let rows = traced.timers("hrtimer_wakeup");
        let groups: Vec<_> = rows.iter().map(|row| row.timer.clone().unwrap().group.unwrap()).collect();
        (groups, rows.iter().map(|row| row.started).sum::<u64>())
    };
    assert_eq!(by("comm"), (vec![Group::Comm(here.trim_end().into())], 7));
    assert_eq!(by("pid"), (vec![Group::Pid(std::process::id())], 7));
    let (cpus, started) = by("cpu");
    assert!(cpus.iter().all(|group| matches!(group, Group::Cpu(_))) && started == 7, "{cpus:?}");
}

#[test]
fn timer_names_shows_from_where_timers_are_started() {
    let connections = Connections::new(9);
    let (traced, ()) = counted(&["--start-stacks"], || {
        let timer = timer_fd(ClockId::CLOCK_MONOTONIC);
        (0..13).for_each(|_| arm(&timer, FAR));
        timer.unset().unwrap();
        connections.cancel_all();
        connections.rearm(3, 21);
        wait_in_vain(3, Duration::from_millis(20));
    });
    assert_eq!(traced.accounting().stack_lost, Some(0), "{}", traced.said);
    let stacks = |function: &str| {
        let row = traced.timer(function);
        let counts = row.stacks.unwrap();
        assert_eq!(counts.total(), row.started, "{function}: {}", traced.said);
        traced.named(&counts)
    };
    // Two ways to the same timer: SO_KEEPALIVE and TCP_KEEPIDLE.
    let keepalive = stacks("tcp_keepalive_timer");
    assert_eq!(through(&keepalive, "__x64_sys_setsockopt"), 9 + 22, "{keepalive:#?}");
    assert_eq!(through(&keepalive, "tcp_setsockopt"), 21, "{keepalive:#?}");
    let sleeps = stacks("process_timeout");
    assert_eq!(through(&sleeps, "schedule_timeout"), 3, "{sleeps:#?}");
    let armed = stacks("timerfd_tmrproc");
    assert_eq!(through(&armed, "__x64_sys_timerfd_settime"), 13, "{armed:#?}");
    // What made the system call, in the process; what called that keeps no frame
    // pointers.
    for stack in armed {
        assert!(stack.user.as_ref().unwrap()[0].contains("timerfd_settime"), "{stack:#?}");
    }
}

/// How often timers were started by way of this function of the kernel. All of their
/// stacks begin with what started them, and not with what looks at that.
#[track_caller]
fn through(stacks: &[Counted], function: &str) -> u64 {
    const STARTS: [&str; 5] = ["mod_timer", "add_timer", "schedule_timeout", "enqueue_", "hrtimer_start"];
    let has = |stack: &&Counted| {
        let kernel = stack.kernel.as_deref().unwrap();
        let first = kernel[0].trim_start_matches('_');
        assert!(STARTS.iter().any(|start| first.starts_with(start)), "{stack:#?}");
        kernel.iter().any(|name| name.trim_start_matches("do_") == function)
    };
    stacks.iter().filter(has).map(|stack| stack.count).sum()
}

#[test]
fn timer_names_says_when_there_is_no_room_for_stacks() {
    let (traced, ()) = counted(&["--start-stacks", "--max-stacks", "1"], || {
        let timer = timer_fd(ClockId::CLOCK_MONOTONIC);
        (0..13).for_each(|_| arm(&timer, FAR));
        timer.unset().unwrap();
        wait_in_vain(3, Duration::from_millis(20));
    });
    let row = traced.timer("timerfd_tmrproc");
    assert_eq!((row.started, traced.timer("process_timeout").started), (13, 3));
    // The first stack there is room for, and every start without one is known.
    let windows = traced.trace().windows.iter();
    let kept: u64 = windows.filter_map(|window| Some(window.payload.stacks()?.total())).sum();
    let lost = traced.accounting().stack_lost.unwrap();
    assert!(kept > 0 && lost >= 3, "{kept} {lost}");
    assert_eq!(Some(kept + lost), traced.accounting().entries, "{}", traced.said);
    assert!(traced.said.contains("(--max-stacks)"), "{}", traced.said);
}

#[test]
fn timer_names_takes_only_what_was_asked_for() {
    let here = fs::read_to_string("/proc/thread-self/comm").unwrap();
    let process = std::process::id().to_string();
    let sleeps = |filter: &[&str]| {
        let tracing = Tracing::start(&[&["timer-names", "--format", "json"], filter].concat());
        (0..3).for_each(|_| std::thread::sleep(Duration::from_millis(1)));
        std::thread::Builder::new()
            .name("another".into())
            .spawn(|| std::thread::sleep(Duration::from_millis(1)))
            .unwrap()
            .join()
            .unwrap();
        let traced = tracing.record();
        traced.timers("hrtimer_wakeup").iter().map(|row| row.started).sum::<u64>()
    };
    let thread = gettid().to_string();
    assert_eq!(sleeps(&["--tid", &thread]), 3);
    assert_eq!(sleeps(&["--tid", &thread, "--comm", here.trim_end()]), 3);
    assert_eq!(sleeps(&["--pid", &process, "--comm", "another"]), 1);
    assert_eq!(sleeps(&["--pid", &process, "--comm", "nobody"]), 0);
    assert_eq!(sleeps(&["--tid", &thread, "--cpu", "4095"]), 0);
}

#[test]
fn timer_names_says_when_it_cannot_follow_timers() {
    let (traced, _left) = counted(&["--max-timers", "1"], || {
        let left: Vec<_> = (0..5).map(|_| timer_fd(ClockId::CLOCK_MONOTONIC)).collect();
        left.iter().for_each(|timer| arm(timer, FAR));
        left
    });
    // Its start is counted, only its fate is not known.
    assert_eq!(traced.timer("timerfd_tmrproc").started, 5);
    assert!(traced.accounting().timer_untracked >= Some(4), "{:?}", traced.accounting());
    assert!(traced.said.contains("(--max-timers)"), "{}", traced.said);
}

#[test]
fn timer_names_prints_what_it_keeps() {
    let file = std::env::temp_dir().join(format!("hostdiag-timer-names-{}.hd", gettid()));
    let path = file.to_str().unwrap();
    let thread = gettid().to_string();
    let args = [
        "timer-names",
        "-T",
        "-i",
        "200ms",
        "--histogram",
        "--start-stacks",
        "--tid",
        &thread,
        "--output",
        path,
    ];
    let tracing = Tracing::start(&args);
    let timer = timer_fd(ClockId::CLOCK_MONOTONIC);
    for _ in 0..3 {
        (0..4).for_each(|_| arm(&timer, FAR));
        std::thread::sleep(Duration::from_millis(150));
    }
    let (output, said) = tracing.interrupt();
    let report = hostdiag().args(["report", path]).output().unwrap();
    let folded = hostdiag().args(["report", "--format", "folded", path]).output().unwrap();
    fs::remove_file(&file).unwrap();
    let [printed, again, folded] =
        [output.stdout, report.stdout, folded.stdout].map(|text| String::from_utf8(text).unwrap());
    assert_eq!((output.status.code(), again), (Some(0), printed.clone()), "{said}");
    let rows = printed.lines().filter(|line| line.ends_with("timerfd_tmrproc"));
    let counts = rows.filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    assert_eq!(counts.sum::<u64>(), 12, "{printed}");
    // What interrupts the call or is scheduled after it starts timers of its own.
    let own = |frame: &str| frame.contains("hrtimer") || frame.contains("timerfd_set");
    let ours = |line: &&str| {
        let call =
            line.rsplit_once(' ').and_then(|(stack, _)| stack.split_once(";__x64_sys_timerfd_settime;"));
        call.is_some_and(|(_, below)| below.split(';').all(own))
    };
    let armed = folded.lines().filter(ours);
    let counts = armed.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    assert_eq!(counts.sum::<u64>(), 12, "{folded}");
    assert!(printed.contains("\nstarts of timerfd_tmrproc\n"), "{printed}");
}

#[test]
fn timer_names_leaves_nothing_attached_when_it_is_killed() {
    let tracing = Tracing::start(&["timer-names"]);
    // Other tests have the same programs.
    let files = fs::read_dir(format!("/proc/{}/fdinfo", tracing.id())).unwrap();
    let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let id = |text: String| text.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok());
    let programs: BTreeSet<u32> = texts.filter_map(id).collect();
    assert_eq!(programs.len(), 6, "{programs:?}");
    let loaded = || {
        let loaded = aya::programs::loaded_programs().filter_map(Result::ok);
        loaded.filter(|program| programs.contains(&program.id())).count()
    };
    assert_eq!(loaded(), 6);
    kill(tracing.id(), Signal::SIGKILL).unwrap();
    let (output, _) = tracing.wait();
    assert_eq!(output.status.code(), None);
    wait_until("the kernel has let go of everything", || loaded() == 0);
}

#[test]
fn timer_names_needs_privileges() {
    let output = Unprivileged::new().command().args(["timer-names", "-d", "10ms"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("[no-privilege]") && said.contains("sudo"), "{said}");
}
