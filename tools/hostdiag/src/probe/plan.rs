//! Which way to attach to which function: from what the kernel has and what was
//! asked for to the ways to try, in order. Pure.
//!
//! What works is known only once it was attached, so a group has more than one
//! way; what a way refuses goes on to the next.

use clap::ValueEnum;
use hostdiag_model::trace::{Mechanism, Reason};

use crate::fail::{Code, Failure};

/// So many functions are attached by fentry where kprobe.multi could do it too:
/// the cost of an event is lower, that of attaching grows with the number. Not where
/// stacks are walked: from a trampoline the kernel has to walk half a dozen frames more
/// (perf_callchain_kernel() without registers), which costs more than it saves.
pub const FEW: usize = 8;
/// So many where the kernel has no kprobe.multi.
const FEW_WITHOUT_MULTI: usize = 16;
/// So many where returns matter too: kprobes see few of them at a time.
const FEW_PAIRS_WITHOUT_MULTI: usize = 64;
/// More functions than this are attached one by one only with `--yes`.
pub const SLOW: usize = 500;

/// What `--attach` takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Way {
    /// What is cheapest for so many functions on this kernel.
    #[default]
    Auto,
    /// Trampolines, one by one: functions in BTF with a name of their own.
    Fentry,
    /// All in one go, entry and return in one program (CONFIG_FPROBE, 6.10).
    Session,
    /// All in one go (CONFIG_FPROBE, 5.18; functions of programs 6.6).
    Multi,
    /// Kprobes, one by one; uprobes for functions of programs.
    Kprobe,
}

/// Functions that are attached in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Their places in the list of all.
    pub functions: Vec<usize>,
    /// The ways to try, best first.
    pub ways: Vec<(Mechanism, Reason)>,
}

/// What of a call a tool looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sides {
    /// Its entry.
    #[default]
    Entry,
    /// Its return.
    Return,
    /// Its entry and its return.
    Both,
}

/// What a tool needs of the mechanisms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// `--attach`.
    pub way: Way,
    /// What of a call is looked at.
    pub sides: Sides,
    /// Stacks are walked, and kprobe.multi loses no call unseen.
    pub stacks: bool,
}

/// So many functions are attached by fentry where the kernel has no kprobe.multi.
pub fn few_without_multi(sides: Sides) -> usize {
    match sides {
        Sides::Entry => FEW_WITHOUT_MULTI,
        Sides::Return | Sides::Both => FEW_PAIRS_WITHOUT_MULTI,
    }
}

/// Groups for a tool. `fits` has one member a function: whether fentry can have
/// it (in BTF, and the only one of its name). `mass`: what this kernel has to
/// attach to many functions in one go, best first.
///
/// # Errors
/// `too-many-functions` where one by one would take long and `yes` is not given.
pub fn groups(need: Need, mass: &[Mechanism], fits: &[bool], yes: bool) -> Result<Vec<Group>, Failure> {
    let all: Vec<usize> = (0..fits.len()).collect();
    let one = |mechanism| vec![Group { functions: all.clone(), ways: vec![(mechanism, Reason::Asked)] }];
    let groups = match (need.way, need.sides) {
        (Way::Fentry, _) => one(Mechanism::Fentry),
        (Way::Session, Sides::Both) => one(Mechanism::KprobeSession),
        (Way::Session | Way::Multi, _) => one(Mechanism::KprobeMulti),
        (Way::Kprobe, _) => one(Mechanism::Kprobe),
        (Way::Auto, _) => auto(mass, fits, need),
    };
    let in_one_go = [Mechanism::KprobeMulti, Mechanism::KprobeSession];
    let slow = |group: &&Group| group.ways.first().is_some_and(|(first, _)| !in_one_go.contains(first));
    let number: usize = groups.iter().filter(slow).map(|group| group.functions.len()).sum();
    if number > SLOW && !yes {
        return Err(too_many(number));
    }
    Ok(groups)
}

fn auto(mass: &[Mechanism], fits: &[bool], need: Need) -> Vec<Group> {
    use Mechanism::{Fentry, Kprobe};
    let all = || (0..fits.len()).collect::<Vec<_>>();
    let by_mass = |reason: Reason| mass.iter().map(move |mechanism| (*mechanism, reason.clone()));
    let few = fits.len() <= FEW && fits.iter().all(|fits| *fits);
    if few && !need.stacks {
        let then = mass.first().copied().unwrap_or(Kprobe);
        return vec![Group { functions: all(), ways: vec![(Fentry, Reason::Few), (then, Reason::Few)] }];
    }
    if !mass.is_empty() {
        let reason = match () {
            () if few => Reason::Stacks,
            () if fits.len() > FEW => Reason::Many,
            () => Reason::NotInBtf,
        };
        let ways = by_mass(reason).chain([(Kprobe, Reason::NoMulti)]).collect();
        return vec![Group { functions: all(), ways }];
    }
    let (fit, rest): (Vec<usize>, Vec<usize>) = all().into_iter().partition(|index| fits[*index]);
    let (fit, rest) =
        if fit.len() <= few_without_multi(need.sides) { (fit, rest) } else { (Vec::new(), all()) };
    let ways = [
        (fit, vec![(Fentry, Reason::NoMulti), (Kprobe, Reason::NoMulti)]),
        (rest, vec![(Kprobe, Reason::NoMulti)]),
    ];
    ways.into_iter()
        .filter(|(functions, _)| !functions.is_empty())
        .map(|(functions, ways)| Group { functions, ways })
        .collect()
}

/// Whether many functions of programs and libraries can be attached to in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserMulti {
    /// They can.
    Works,
    /// This kernel has no uprobe.multi.
    Absent,
    /// A single process is asked for, and the kernel would take it for its first thread.
    OneThread,
}

/// The ways to so many functions of programs and libraries. One is attached alone.
///
/// # Errors
/// `too-many-functions` as [`groups`].
pub fn user(
    way: Way,
    number: usize,
    multi: UserMulti,
    yes: bool,
) -> Result<Vec<(Mechanism, Reason)>, Failure> {
    use Mechanism::{Uprobe, UprobeMulti};
    let ways = match (way, multi) {
        (Way::Kprobe, _) => vec![(Uprobe, Reason::Asked)],
        // It would count wrong.
        (_, UserMulti::OneThread) => vec![(Uprobe, Reason::OneThread)],
        (Way::Multi | Way::Session, _) if number > 1 => vec![(UprobeMulti, Reason::Asked)],
        (_, UserMulti::Works) => vec![(UprobeMulti, Reason::Many), (Uprobe, Reason::Many)],
        (_, UserMulti::Absent) if number > 1 => vec![(Uprobe, Reason::NoUprobeMulti)],
        (_, UserMulti::Absent) => vec![(Uprobe, Reason::OnlyWay)],
    };
    let slow = ways.first().is_some_and(|(first, _)| *first == Uprobe);
    if slow && number > SLOW && !yes { Err(too_many(number)) } else { Ok(ways) }
}

/// How long it takes depends on the host: a kprobe was seen to take 18 ms to attach
/// and 37 to detach, mostly waiting for the other CPU.
pub(super) fn too_many(number: usize) -> Failure {
    let message = format!(
        "{number} functions would be attached one by one, and the kernel waits for all CPUs each time, \
        also to detach"
    );
    Failure::new(Code::TooManyFunctions, message)
        .hint("a narrower pattern, --skip GLOB, or --yes to do it all the same")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `fentry(few),kprobe(few):2` for each group.
    fn planned(way: Way, multi: bool, fits: &[bool]) -> Vec<String> {
        let mass: &[_] = if multi { &[Mechanism::KprobeMulti] } else { &[] };
        shown(groups(Need { way, ..Need::default() }, mass, fits, false).unwrap())
    }

    fn shown(groups: Vec<Group>) -> Vec<String> {
        let shown = |group: Group| {
            let way =
                |(mechanism, reason): &(Mechanism, Reason)| format!("{}({reason:?})", mechanism.as_str());
            let ways: Vec<_> = group.ways.iter().map(way).collect();
            format!("{}:{}", ways.join(","), group.functions.len())
        };
        groups.into_iter().map(shown).collect()
    }

    #[test]
    fn few_functions_take_fentry() {
        assert_eq!(planned(Way::Auto, true, &[true; FEW]), ["fentry(Few),kprobe.multi(Few):8"]);
        assert_eq!(planned(Way::Auto, false, &[true]), ["fentry(Few),kprobe(Few):1"]);
    }

    #[test]
    fn stacks_are_walked_from_registers_where_nothing_is_lost_unseen() {
        let need = Need { stacks: true, ..Need::default() };
        let planned = |fits: &[bool]| shown(groups(need, &[Mechanism::KprobeMulti], fits, false).unwrap());
        assert_eq!(planned(&[true; FEW]), ["kprobe.multi(Stacks),kprobe(NoMulti):8"]);
        assert_eq!(planned(&[true, false]), ["kprobe.multi(NotInBtf),kprobe(NoMulti):2"]);
        let asked = Need { way: Way::Fentry, ..need };
        let asked = shown(groups(asked, &[Mechanism::KprobeMulti], &[true], false).unwrap());
        assert_eq!(asked, ["fentry(Asked):1"]);
    }

    #[test]
    fn many_or_odd_functions_take_kprobe_multi() {
        let many = [true; FEW + 1];
        assert_eq!(planned(Way::Auto, true, &many), ["kprobe.multi(Many),kprobe(NoMulti):9"]);
        assert_eq!(planned(Way::Auto, true, &[true, false]), ["kprobe.multi(NotInBtf),kprobe(NoMulti):2"]);
    }

    #[test]
    fn without_kprobe_multi_fentry_takes_what_it_can() {
        let mut fits = vec![true; FEW_WITHOUT_MULTI];
        fits.push(false);
        assert_eq!(
            planned(Way::Auto, false, &fits),
            ["fentry(NoMulti),kprobe(NoMulti):16", "kprobe(NoMulti):1"]
        );
        fits.push(true);
        assert_eq!(planned(Way::Auto, false, &fits), ["kprobe(NoMulti):18"]);
    }

    #[test]
    fn what_was_asked_for_is_the_only_way() {
        assert_eq!(planned(Way::Kprobe, true, &[true]), ["kprobe(Asked):1"]);
        assert_eq!(planned(Way::Fentry, true, &[true; 9]), ["fentry(Asked):9"]);
        assert_eq!(planned(Way::Multi, true, &[true]), ["kprobe.multi(Asked):1"]);
        assert_eq!(planned(Way::Session, true, &[true]), ["kprobe.multi(Asked):1"]);
    }

    #[test]
    fn both_sides_of_many_functions_take_a_session_where_there_is_one() {
        use Mechanism::{KprobeMulti, KprobeSession};
        let both = |way, mass: &[_], fits: &[_]| {
            let need = Need { way, sides: Sides::Both, stacks: false };
            shown(groups(need, mass, fits, false).unwrap())
        };
        let mass = [KprobeSession, KprobeMulti];
        assert_eq!(
            both(Way::Auto, &mass, &[true; FEW + 1]),
            ["kprobe.session(Many),kprobe.multi(Many),kprobe(NoMulti):9"]
        );
        assert_eq!(both(Way::Auto, &mass, &[true]), ["fentry(Few),kprobe.session(Few):1"]);
        let clones = both(Way::Auto, &[], &[true; FEW_PAIRS_WITHOUT_MULTI]);
        assert_eq!(clones, ["fentry(NoMulti),kprobe(NoMulti):64"]);
        assert_eq!(both(Way::Session, &mass, &[true]), ["kprobe.session(Asked):1"]);
        assert_eq!(both(Way::Multi, &mass, &[true]), ["kprobe.multi(Asked):1"]);
    }

    #[test]
    fn many_functions_of_programs_take_uprobe_multi() {
        let ways = |way, number, multi| {
            let ways = user(way, number, multi, false).unwrap();
            shown(vec![Group { functions: (0..number).collect(), ways }]).remove(0)
        };
        use UserMulti::{Absent, OneThread, Works};
        assert_eq!(ways(Way::Auto, 1, Absent), "uprobe(OnlyWay):1");
        assert_eq!(ways(Way::Auto, 2, Works), "uprobe.multi(Many),uprobe(Many):2");
        assert_eq!(ways(Way::Fentry, 2, Works), "uprobe.multi(Many),uprobe(Many):2");
        assert_eq!(ways(Way::Auto, 2, Absent), "uprobe(NoUprobeMulti):2");
        assert_eq!(ways(Way::Auto, 2, OneThread), "uprobe(OneThread):2");
        assert_eq!(ways(Way::Multi, 2, OneThread), "uprobe(OneThread):2");
        assert_eq!(ways(Way::Multi, 2, Works), "uprobe.multi(Asked):2");
        assert_eq!(ways(Way::Multi, 2, Absent), "uprobe.multi(Asked):2");
        assert_eq!(ways(Way::Kprobe, 2, Works), "uprobe(Asked):2");
        assert_eq!(ways(Way::Auto, SLOW + 1, Works), "uprobe.multi(Many),uprobe(Many):501");
        let error = user(Way::Auto, SLOW + 1, Absent, false).unwrap_err();
        assert_eq!(error.code, Code::TooManyFunctions);
        assert!(user(Way::Auto, SLOW + 1, Absent, true).is_ok());
    }

    #[test]
    fn the_slow_way_wants_a_yes() {
        let many = vec![true; SLOW + 1];
        let auto = |mass: &[_], fits: &[_], yes| groups(Need::default(), mass, fits, yes);
        assert_eq!(auto(&[], &many, false).unwrap_err().code, Code::TooManyFunctions);
        assert!(auto(&[], &many, true).is_ok());
        assert!(auto(&[Mechanism::KprobeMulti], &many, false).is_ok());
        assert!(auto(&[], &many[..SLOW], false).is_ok());
    }
}
