//! From patterns to targets: what to attach, where it is, and in which way.

use std::cell::LazyCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;

use anyhow::Result;
use hostdiag_model::trace::{Asked, Attach, Function, Head, Mechanism, Reason, SkipReason, Skipped, Storage};

use super::attach::{self, Attached, Place, Programs, Target};
use super::discover::{self, Key, Lists, Matches, Wanted};
use super::kfunc::Kfuncs;
use super::pattern::{self, Names, Pattern};
use super::plan::{self, FEW, Group, Need, Sides, Way};
use super::types::Types;
use super::{events, not_attached, reason, refused, user};
use crate::fail::{Code, Failure};
use crate::kernel::is_confidential;
use crate::sys;

mod programs;

/// What is read once it is needed.
type Lazy<T> = LazyCell<T, fn() -> T>;

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Patterns as typed.
    pub patterns: Vec<String>,
    /// They are regular expressions.
    pub regex: bool,
    /// Shell patterns of functions to leave out.
    pub skip: Vec<String>,
    /// `--attach`.
    pub way: Way,
    /// What of a call is looked at.
    pub sides: Sides,
    /// Its stack is walked.
    pub stacks: bool,
    /// `--yes`.
    pub yes: bool,
    /// The only process that is asked for, by its number in /proc: functions of
    /// user programs are looked for in its files, and attached to in it alone.
    pub pid: Option<u32>,
}

/// What is to be attached.
pub struct Targets {
    /// Functions and events, by slot: their index in the counters.
    pub functions: Vec<Function>,
    /// What matched and is left out.
    pub skipped: Vec<Skipped>,
    /// This kernel lets a program behind a trampoline be entered again.
    pub reentrant: bool,
    targets: Vec<Target>,
    groups: Vec<Group>,
    /// Ways to attach to many functions in one go that this kernel may have.
    mass: Vec<Mechanism>,
    lists: Lists,
    /// What programs may call of the kernel, where its types were read.
    kfuncs: Option<Kfuncs>,
    /// Files, which stay open until they are attached to.
    files: Vec<user::Target>,
}

/// What was attached.
pub struct Done {
    /// What holds it.
    pub attached: Attached,
    /// By mechanism, for the recording.
    pub attach: Vec<Attach>,
    /// The slots of the functions in `attach`, one behind the other.
    pub slots: Vec<u32>,
    /// What matched and was left out or refused.
    pub skipped: Vec<Skipped>,
    /// As in [`Targets`].
    reentrant: bool,
}

impl Targets {
    /// Finds what the patterns describe, and plans how to attach it.
    ///
    /// # Errors
    /// A [`Failure`]: what a pattern lacks, or what the plan does not allow.
    pub fn resolve(request: &Request) -> Result<Self> {
        let modules = fs::read_to_string("/proc/modules").unwrap_or_default();
        let modules: HashSet<&str> = modules.lines().filter_map(|line| line.split(' ').next()).collect();
        let is_module = |name: &str| modules.contains(name);
        let patterns = request
            .patterns
            .iter()
            .map(|text| pattern::parse(text, request.regex, is_module))
            .collect::<std::result::Result<Vec<_>, _>>()?;
        let skip: Vec<Names> = request.skip.iter().map(|text| Names::plain(text)).collect();
        let mut targets = Self {
            functions: Vec::new(),
            skipped: Vec::new(),
            reentrant: false,
            targets: Vec::new(),
            groups: Vec::new(),
            mass: Vec::new(),
            lists: Lists::default(),
            kfuncs: None,
            files: Vec::new(),
        };
        let types = Lazy::new(Types::read);
        targets.add_kernel(&patterns, &skip, (request, &types))?;
        targets.add_user(&patterns, &skip, (request, &types))?;
        targets.add_events(&patterns, &skip, request.sides)?;
        if targets.targets.is_empty() {
            return Err(all_left_out(&targets.skipped).into());
        }
        // Before the programs are loaded, whose maps are files too.
        attach::allow_files(targets.targets.len());
        Ok(targets)
    }

    fn add_kernel(
        &mut self,
        patterns: &[Pattern],
        skip: &[Names],
        (request, types): (&Request, &Lazy<Types>),
    ) -> Result<()> {
        let mut wanted = Vec::new();
        for pattern in patterns {
            match &pattern.place {
                pattern::Place::Kernel { module, names } => {
                    wanted.push(Wanted { text: &pattern.text, module: module.as_deref(), names });
                }
                pattern::Place::User { .. } | pattern::Place::Tracepoint { .. } => {}
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        self.lists = Lists::read();
        let all = if !self.lists.tell_traceable() { types.functions(|_| true) } else { HashMap::new() };
        let mut matches = discover::find(&self.lists, &wanted, skip, |name| all.contains_key(name))?;
        let ids = self.ids(types, &matches, (request.way, request.sides));
        let returns = request.sides == Sides::Entry || types.keep_trampolines();
        let fits = |key: &Key, times: usize| {
            let safe = returns || !discover::may_sleep_long(&key.0);
            times == 1 && ids.contains_key(key) && safe
        };
        let stacks = request.stacks && types.multi_tells_missed();
        let few = !stacks
            && matches.found.len() <= FEW
            && matches.found.iter().all(|(key, times)| fits(key, *times));
        // Reading addresses takes longer than all the rest of a start.
        let addresses = match request.way {
            Way::Auto if few => HashMap::new(),
            Way::Fentry => HashMap::new(),
            _ => matches.addresses(&self.lists),
        };
        self.skipped.append(&mut matches.skipped);
        let mut fit = Vec::new();
        for (key, times) in &matches.found {
            let btf = fits(key, *times).then(|| ids.get(key).copied()).flatten();
            if request.way == Way::Fentry && btf.is_none() {
                let (name, module) = key.clone();
                self.skipped.push(Skipped { name, module, reason: SkipReason::NotInBtf });
                continue;
            }
            self.add_functions(key, addresses.get(key), btf);
            fit.resize(self.targets.len(), btf.is_some());
        }
        self.mass = types.mass(request.sides);
        self.reentrant = types.let_programs_in_again();
        self.kfuncs = Some(types.kfuncs());
        let need = Need { way: request.way, sides: request.sides, stacks };
        self.groups = plan::groups(need, &self.mass, &fit, request.yes)?;
        Ok(())
    }

    /// Ids in BTF of what was found, as far as they matter.
    fn ids(&self, types: &Types, matches: &Matches, (way, sides): (Way, Sides)) -> HashMap<Key, sys::TypeId> {
        let matter = match way {
            Way::Fentry => true,
            Way::Auto => {
                matches.found.len() <= FEW
                    || !types.multi() && matches.found.len() <= plan::few_without_multi(sides)
            }
            _ => false,
        };
        if !matter {
            return HashMap::new();
        }
        let mut ids = types.ids(matches.found.keys());
        let of_modules = ids.keys().filter(|(_, module)| module.is_some());
        let of_modules: HashSet<&str> = of_modules.map(|(name, _)| name.as_str()).collect();
        if !of_modules.is_empty() && !types.keep_to_module() {
            let only = discover::only(&self.lists, &of_modules);
            ids.retain(|(name, module), _| module.is_none() || only.contains(name));
        }
        ids
    }

    /// One target for each function of this name.
    fn add_functions(
        &mut self,
        (name, module): &Key,
        addresses: Option<&Vec<u64>>,
        btf: Option<sys::TypeId>,
    ) {
        let addresses = match addresses {
            Some(addresses) => addresses.iter().copied().map(Some).collect(),
            None => vec![None],
        };
        for address in &addresses {
            let told_apart = if addresses.len() > 1 { *address } else { None };
            let function = Function { name: name.clone(), module: module.clone(), address: told_apart };
            self.add(function, Place::Function { address: *address, btf });
        }
    }

    fn add(&mut self, function: Function, place: Place) {
        let slot = u32::try_from(self.functions.len()).unwrap_or(u32::MAX);
        self.targets.push(Target { slot, place });
        self.functions.push(function);
    }

    fn add_events(&mut self, patterns: &[Pattern], skip: &[Names], sides: Sides) -> Result<()> {
        let event = |pattern: &&Pattern| matches!(pattern.place, pattern::Place::Tracepoint { .. });
        if let Some(pattern) = patterns.iter().find(event).filter(|_| sides != Sides::Entry) {
            return Err(no_function(&pattern.text).into());
        }
        let first = self.targets.len();
        for (name, id) in events::find(patterns, skip)? {
            self.add(Function { name, ..Function::default() }, Place::Tracepoint(id));
        }
        if self.targets.len() > first {
            let functions = (first..self.targets.len()).collect();
            self.groups.push(Group { functions, ways: vec![(Mechanism::Tracepoint, Reason::OnlyWay)] });
        }
        Ok(())
    }

    /// Whether this way may be needed, and this kernel may load its programs.
    pub fn want(&self, wanted: Mechanism) -> bool {
        use Mechanism::{KprobeMulti, KprobeSession, UprobeMulti};
        let in_one_go = matches!(wanted, KprobeMulti | KprobeSession | UprobeMulti);
        if in_one_go && !self.mass.contains(&wanted) {
            return false;
        }
        self.groups.iter().flat_map(|group| &group.ways).any(|(mechanism, _)| *mechanism == wanted)
    }

    /// What programs may call of the kernel.
    pub fn kfuncs(&self) -> Kfuncs {
        self.kfuncs.unwrap_or_else(|| Types::read().kfuncs())
    }

    /// Whether functions may get trampolines.
    pub fn wants_fentry(&self) -> bool {
        self.want(Mechanism::Fentry)
    }

    /// Where the functions begin, by slot, as far as the kernel shows it.
    pub fn entries(&mut self) -> HashMap<u32, u64> {
        let mut targets = std::mem::take(&mut self.targets);
        self.locate(&mut targets);
        let entry = |target: &Target| match target.place {
            Place::Function { address, .. } => Some((target.slot, address.filter(|address| *address != 0)?)),
            _ => None,
        };
        let entries = targets.iter().filter_map(entry).collect();
        self.targets = targets;
        entries
    }

    /// So many kprobes may go into one event; 0 where they are attached alone.
    pub fn wants_by_address(&self) -> usize {
        let kprobe = |(mechanism, _): &(Mechanism, Reason)| *mechanism == Mechanism::Kprobe;
        let groups = self.groups.iter().filter(|group| group.ways.iter().any(kprobe));
        let number = groups.map(|group| group.functions.len()).max().unwrap_or(0);
        if number > attach::ONE_BY_ONE { number } else { 0 }
    }

    /// Room for where they begin: a function has two addresses, see attach.rs.
    pub fn address_room(&self) -> u32 {
        u32::try_from(2 * self.wants_by_address()).unwrap_or(u32::MAX).max(1)
    }

    /// Rows of memory that programs work in, a power of two. Each fentry program has its own;
    /// others never run one within another.
    pub fn scratch_rows(&self) -> u32 {
        /// With more of them some share, and may miss an event, which is counted.
        const MOST: usize = 512;
        let rows = if self.wants_fentry() { self.functions.len().next_power_of_two() } else { 1 };
        rows.min(MOST) as u32
    }

    /// What would be attached, without attaching it: the first way of each group.
    pub fn planned(&self) -> Vec<Attach> {
        let attach = |group: &Group| {
            let (mechanism, reason) = group.ways.first()?.clone();
            let functions = group.functions.iter().filter_map(|index| self.functions.get(*index));
            Some(Attach { mechanism, reason, functions: functions.cloned().collect() })
        };
        self.groups.iter().filter_map(attach).collect()
    }

    /// Attaches everything, each group in the first way that the kernel takes.
    ///
    /// # Errors
    /// Where nothing at all could be attached.
    pub fn attach(mut self, programs: &Programs<'_>) -> Result<Done> {
        let mut done = Done {
            attached: Attached::default(),
            attach: Vec::new(),
            slots: Vec::new(),
            skipped: std::mem::take(&mut self.skipped),
            reentrant: self.reentrant,
        };
        let mut last = None;
        for group in std::mem::take(&mut self.groups) {
            for (target, refusal) in self.attach_group(&group, programs, &mut done) {
                let Function { name, module, .. } = self.function(&target);
                let reason = SkipReason::Refused(refusal.words.clone());
                done.skipped.push(Skipped { name, module, reason });
                last = Some(refusal);
            }
        }
        match last {
            Some(refusal) if done.slots.is_empty() => Err(refusal.failure(programs.what).into()),
            _ => Ok(done),
        }
    }

    /// Tries the ways of a group; what none of them could do comes back.
    fn attach_group(
        &mut self,
        group: &Group,
        programs: &Programs<'_>,
        done: &mut Done,
    ) -> Vec<(Target, Refusal)> {
        let mut open: Vec<Target> =
            group.functions.iter().map(|index| self.targets[*index].clone()).collect();
        let mut refused: Vec<Refusal> = Vec::new();
        for (mechanism, reason) in &group.ways {
            if *mechanism != Mechanism::Fentry {
                self.locate(&mut open);
            }
            let reason = match refused.first() {
                Some(Refusal { mechanism: tried, words, .. }) => {
                    Reason::Refused { tried: *tried, error: words.clone() }
                }
                None => reason.clone(),
            };
            let refusal = |error: &attach::Error| Refusal::of(*mechanism, error);
            match attach::attach(programs, *mechanism, open.clone()) {
                Err(error) => refused = vec![refusal(&error); open.len()],
                Ok((mut attached, left)) => {
                    let no_event = attached.no_event.take();
                    let reason = no_event.map_or(reason, |error| Reason::NoEvent { error: words(&error) });
                    let slots: HashSet<u32> = left.iter().map(|(target, _)| target.slot).collect();
                    open.retain(|target| !slots.contains(&target.slot));
                    done.attached.extend(attached);
                    done.slots.extend(open.iter().map(|target| target.slot));
                    let functions = open.iter().map(|target| self.function(target)).collect();
                    done.attach.push(Attach { mechanism: *mechanism, reason, functions });
                    refused = left.iter().map(|(_, error)| refusal(error)).collect();
                    open = left.into_iter().map(|(target, _)| target).collect();
                }
            }
            if open.is_empty() {
                break;
            }
        }
        open.into_iter().zip(refused).collect()
    }

    fn function(&self, target: &Target) -> Function {
        self.functions.get(target.slot as usize).cloned().unwrap_or_default()
    }

    /// Reads the addresses of functions that fentry needed none of.
    fn locate(&mut self, targets: &mut [Target]) {
        let unknown = |target: &Target| matches!(target.place, Place::Function { address: None, .. });
        if !targets.iter().any(unknown) {
            return;
        }
        let keys = targets.iter().filter(|target| unknown(target)).map(|target| {
            let Function { name, module, .. } = self.function(target);
            ((name, module), 1)
        });
        let mut matches = Matches::from(keys.collect::<BTreeMap<_, _>>());
        let found = matches.addresses(&self.lists);
        for target in targets {
            let Function { name, module, .. } = self.function(target);
            if let Place::Function { address: address @ None, .. } = &mut target.place {
                *address = found.get(&(name, module)).and_then(|addresses| addresses.first().copied());
            }
        }
    }
}

/// Why a way did not lead to a target.
#[derive(Clone)]
struct Refusal {
    mechanism: Mechanism,
    words: String,
    /// These two as in [`attach::Error`].
    of_program: bool,
    verifier: Option<String>,
}

impl Refusal {
    fn of(mechanism: Mechanism, error: &attach::Error) -> Self {
        // One behind a trampoline is loaded for a function, which may be at fault, except
        // where others are taken.
        let of_program = error.of_program && (mechanism != Mechanism::Fentry || is_confidential());
        Self { mechanism, words: words(&error.source), of_program, verifier: error.verifier.clone() }
    }

    /// That it was the last one; `what` names the programs for people.
    fn failure(self, what: &str) -> Failure {
        match self.of_program {
            true => refused(what, &self.words, self.verifier.as_slice()),
            false => not_attached(self.mechanism, &self.words),
        }
    }
}

impl Done {
    /// How often one of the programs was left out because one was running on that
    /// CPU already, `seen` times by themselves and otherwise by the kernel; absent
    /// where that is not all. The kernel counts it for trampolines since 5.12 and for
    /// the others since about 6.7; before, trampolines' programs do (bpf/alone.bpf.h).
    pub fn recursion_missed(&self, seen: u64) -> Option<u64> {
        let missed = |program| sys::program_use(program).ok().and_then(|used| used.recursion_missed);
        let trampolines = self.attach.iter().all(|attach| attach.mechanism == Mechanism::Fentry);
        let by_kernel = match () {
            () if trampolines && self.reentrant => Some(0),
            () if trampolines || self.attached.tells_missed() => self.attached.programs().map(missed).sum(),
            () => None,
        };
        by_kernel.map(|missed: u64| missed + seen).or((seen > 0).then_some(seen))
    }

    /// What a recording begins with. What was left out is in there from now on.
    pub fn head(&mut self, asked: Asked, storage: Option<Storage>) -> Head {
        Head { asked, attach: self.attach.clone(), skipped: std::mem::take(&mut self.skipped), storage }
    }
}

fn words(error: &io::Error) -> String {
    /// include/linux/errno.h: what probes answer to an instruction that they cannot
    /// stand in for; no number of user space.
    const ENOTSUPP: i32 = 524;
    if error.raw_os_error() == Some(ENOTSUPP) {
        return "Operation not supported".into();
    }
    reason(&error.to_string()).to_owned()
}

fn no_function(pattern: &str) -> Failure {
    Failure::new(Code::BadPattern, format!("{pattern}: a tracepoint does not return, and has no duration"))
        .hint("hostdiag funccount counts tracepoints; durations are of functions")
}

/// Everything that matched is left out.
fn all_left_out(skipped: &[Skipped]) -> Failure {
    let names: Vec<&str> = skipped.iter().take(3).map(|one| one.name.as_str()).collect();
    let reason = match skipped.first().map(|one| &one.reason) {
        Some(SkipReason::Denied) => "a BPF program calls it itself, so that tracing it would hang the host",
        Some(SkipReason::Asked) => "--skip leaves out all that matches",
        Some(SkipReason::Ambiguous) => {
            "the kernel has several functions of that name, of which not all can be traced"
        }
        Some(SkipReason::NoAddress) => "the kernel hides its addresses (sudo sysctl kernel.kptr_restrict=1)",
        Some(SkipReason::NotInBtf) => "fentry cannot have it: not in BTF, or not the only one of its name",
        _ => "nothing is left",
    };
    Failure::new(Code::NotTraceable, format!("{}: {reason}", names.join(", ")))
        .hint("--list shows every function that matches, with its reason")
}
