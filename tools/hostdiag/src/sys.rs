//! The only hand-written unsafe code, with sys/: system calls that no library wraps.

use std::ffi::{CStr, c_char};
use std::io;
use std::mem::offset_of;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use libbpf_rs::{MapCore, libbpf_sys};
use nix::libc;
use nix::sys::mman::{MapFlags, ProtFlags};

mod kernel_file;
mod object;
mod perf;

pub use kernel_file::KernelFile;
pub use object::{object_types, relocate, set_instructions};
pub use perf::{Clock, Place, attach_event, open_event};

/// The cookie of the calling thread's network namespace: unlike the number of
/// its file, which a later namespace can have, it is given once from boot to
/// boot (`SO_NETNS_COOKIE`, net/core/sock.c; Linux 5.14).
///
/// # Errors
/// `ENOPROTOOPT` on an older kernel.
pub fn netns_cookie() -> io::Result<u64> {
    // Any socket belongs to a network namespace, also one for this host alone.
    let socket = UnixDatagram::unbound()?;
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    let (value, length) = ((&raw mut cookie).cast(), &raw mut length);
    // SAFETY: the kernel writes at most `length` bytes to the cookie, which has
    // as many, and the length itself.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NETNS_COOKIE, value, length)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(cookie) }
}

/// Asks `SIOCETHTOOL` of a device. `request` begins with the command and is
/// overwritten by the answer, for which it must have room.
///
/// # Errors
/// `ENODEV` where there is no such device, `EOPNOTSUPP` where its driver does
/// not know the command, `EINVAL` for a name that is too long.
pub fn ethtool(socket: &OwnedFd, device: &str, request: &mut [u8]) -> io::Result<()> {
    let mut name: [c_char; libc::IFNAMSIZ] = [0; libc::IFNAMSIZ];
    if device.len() >= name.len() || device.contains('\0') {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    for (to, from) in name.iter_mut().zip(device.bytes()) {
        *to = from.cast_signed();
    }
    let ifru_data = request.as_mut_ptr().cast();
    let ifreq = libc::ifreq { ifr_name: name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data } };
    // SAFETY: the kernel reads one ifreq, and through its pointer reads and
    // writes the structure of the command, for which the callers in
    // net/ioctl.rs have made room: fixed structures whole, lists by the count
    // that they put into the request.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw const ifreq) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The descriptor that a system call returned, ours from now on.
fn owned(result: RawFd) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}

/// The types of program that instructions are loaded as, with what the kernel wants to
/// know of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Attached to the entry of one function of the kernel.
    Fentry(TypeId),
    /// Attached to its return likewise.
    Fexit(TypeId),
    /// Attached to a kprobe or uprobe.
    Kprobe,
    /// Attached to a tracepoint.
    Tracepoint,
    /// Attached to many functions of the kernel (Linux 5.18).
    KprobeMulti,
    /// The same, at their entries and returns as a session (Linux 6.10).
    KprobeSession,
    /// Attached to many functions of a program or library (Linux 6.6).
    UprobeMulti,
}

/// A type of the kernel, or of one of its modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeId {
    /// Its number.
    pub number: u32,
    /// The BTF object of the module, by its id.
    pub module: Option<u32>,
}

/// Loads a program from instructions that libbpf has already relocated. `log` is where
/// the verifier writes what it sees, nothing where it is empty.
///
/// # Errors
/// Those of `BPF_PROG_LOAD`: `EPERM` without privilege or under lockdown,
/// `EINVAL` and `ENOTSUPP` where the function cannot be had; `EINVAL` and `EACCES` of the
/// verifier; `ENOSPC` where the log is longer than its place (before Linux 6.4).
pub fn load_program(
    name: &CStr,
    kind: Kind,
    instructions: &[libbpf_sys::bpf_insn],
    log: &mut [u8],
) -> io::Result<OwnedFd> {
    let mut options = libbpf_sys::bpf_prog_load_opts {
        sz: size_of::<libbpf_sys::bpf_prog_load_opts>() as libbpf_sys::size_t,
        attempts: 5,
        log_level: u32::from(!log.is_empty()),
        log_size: log.len() as u32,
        log_buf: if log.is_empty() { std::ptr::null_mut() } else { log.as_mut_ptr().cast() },
        ..Default::default()
    };
    let mut module = None;
    let mut traced = |function: TypeId| {
        // SAFETY: the argument is a number.
        let open = |id| owned(unsafe { libbpf_sys::bpf_btf_get_fd_by_id(id) });
        module = function.module.map(open).transpose()?;
        options.attach_btf_obj_fd = module.as_ref().map_or(0, |fd| fd.as_raw_fd().cast_unsigned());
        options.attach_btf_id = function.number;
        io::Result::Ok(libbpf_sys::BPF_PROG_TYPE_TRACING)
    };
    let (program_type, attach_type) = match kind {
        Kind::Fentry(function) => (traced(function)?, libbpf_sys::BPF_TRACE_FENTRY),
        Kind::Fexit(function) => (traced(function)?, libbpf_sys::BPF_TRACE_FEXIT),
        Kind::Tracepoint => (libbpf_sys::BPF_PROG_TYPE_TRACEPOINT, 0),
        Kind::Kprobe => (libbpf_sys::BPF_PROG_TYPE_KPROBE, 0),
        Kind::KprobeMulti => (libbpf_sys::BPF_PROG_TYPE_KPROBE, libbpf_sys::BPF_TRACE_KPROBE_MULTI),
        Kind::KprobeSession => (libbpf_sys::BPF_PROG_TYPE_KPROBE, libbpf_sys::BPF_TRACE_KPROBE_SESSION),
        Kind::UprobeMulti => (libbpf_sys::BPF_PROG_TYPE_KPROBE, libbpf_sys::BPF_TRACE_UPROBE_MULTI),
    };
    options.expected_attach_type = attach_type;
    let (code, count) = (instructions.as_ptr(), instructions.len() as libbpf_sys::size_t);
    let license = c"Dual BSD/GPL".as_ptr();
    // SAFETY: libbpf reads the two texts, `count` instructions and the options, and the
    // kernel writes `log_size` bytes; all of that outlives the call.
    let result = unsafe {
        libbpf_sys::bpf_prog_load(program_type, name.as_ptr(), license, code, count, &raw mut options)
    };
    owned(result)
}

/// Attaches a program that was loaded for one function (`Copied::Fentry`, `Fexit`).
///
/// # Errors
/// `EBUSY` where something else has the function's entry, `E2BIG` behind 38 others.
pub fn attach_tracing(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: without a name nothing is read.
    let result = unsafe { libbpf_sys::bpf_raw_tracepoint_open(std::ptr::null(), program.as_raw_fd()) };
    owned(result)
}

/// When a program of many functions runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Many {
    /// At their entries.
    Entry,
    /// At their returns.
    Return,
    /// At both, as a session: Linux 6.10, and a program loaded for it.
    Session,
}

/// Attaches a kprobe.multi program to all these functions, each with its cookie.
///
/// # Errors
/// `EOPNOTSUPP` or `EINVAL` without CONFIG_FPROBE; otherwise one function of them
/// cannot be had, and none is attached.
pub fn attach_kprobe_multi(
    program: BorrowedFd<'_>,
    when: Many,
    addresses: &[u64],
    cookies: &[u64],
) -> io::Result<OwnedFd> {
    if addresses.len() != cookies.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let functions = libbpf_sys::bpf_link_create_opts__bindgen_ty_1__bindgen_ty_2 {
        cnt: u32::try_from(addresses.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        addrs: addresses.as_ptr(),
        cookies: cookies.as_ptr(),
        flags: if when == Many::Return { libbpf_sys::BPF_F_KPROBE_MULTI_RETURN } else { 0 },
        ..Default::default()
    };
    let mut options = link_options();
    // Not as a literal: libbpf wants the rest of the union to be 0.
    options.__bindgen_anon_1.kprobe_multi = functions;
    let kind = match when {
        Many::Session => libbpf_sys::BPF_TRACE_KPROBE_SESSION,
        Many::Entry | Many::Return => libbpf_sys::BPF_TRACE_KPROBE_MULTI,
    };
    // SAFETY: the kernel reads `cnt` addresses and as many cookies.
    let result = unsafe { libbpf_sys::bpf_link_create(program.as_raw_fd(), 0, kind, &raw const options) };
    owned(result)
}

fn link_options() -> libbpf_sys::bpf_link_create_opts {
    libbpf_sys::bpf_link_create_opts {
        sz: size_of::<libbpf_sys::bpf_link_create_opts>() as libbpf_sys::size_t,
        ..Default::default()
    }
}

/// Attaches an uprobe.multi program to all these offsets into a program or library,
/// each with its cookie: in this process alone, or in all.
///
/// # Errors
/// `EINVAL` before Linux 6.6, `ESRCH` without the process; otherwise one function of
/// them cannot be had, and none is attached.
pub fn attach_uprobe_multi(
    (program, when): (BorrowedFd<'_>, Many),
    (path, pid): (&CStr, Option<u32>),
    offsets: &[u64],
    cookies: &[u64],
) -> io::Result<OwnedFd> {
    if offsets.len() != cookies.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut options = link_options();
    options.__bindgen_anon_1.uprobe_multi = libbpf_sys::bpf_link_create_opts__bindgen_ty_1__bindgen_ty_3 {
        path: path.as_ptr(),
        offsets: offsets.as_ptr(),
        cookies: cookies.as_ptr(),
        cnt: u32::try_from(offsets.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        flags: if when == Many::Return { libbpf_sys::BPF_F_UPROBE_MULTI_RETURN } else { 0 },
        // 0: every process.
        pid: pid.unwrap_or(0),
        ..Default::default()
    };
    let kind = match when {
        Many::Session => libbpf_sys::BPF_TRACE_UPROBE_SESSION,
        Many::Entry | Many::Return => libbpf_sys::BPF_TRACE_UPROBE_MULTI,
    };
    // SAFETY: the kernel reads the path, `cnt` offsets and as many cookies.
    let result = unsafe { libbpf_sys::bpf_link_create(program.as_raw_fd(), 0, kind, &raw const options) };
    owned(result)
}

/// What the kernel tells of a loaded program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramUse {
    /// Nanoseconds in it while BPF statistics were on.
    pub run_time_ns: u64,
    /// How often it ran then.
    pub runs: u64,
    /// How often it was left out because the CPU was in it already; absent before
    /// Linux 5.12.
    pub recursion_missed: Option<u64>,
}

/// Asks the kernel about a program (`struct bpf_prog_info`).
///
/// # Errors
/// None with a descriptor of a program.
pub fn program_use(program: BorrowedFd<'_>) -> io::Result<ProgramUse> {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut length = size_of_val(&info) as u32;
    let (to, length_to) = ((&raw mut info).cast(), &raw mut length);
    // SAFETY: the kernel writes at most `length` bytes, as many as `info` has.
    let result = unsafe { libbpf_sys::bpf_obj_get_info_by_fd(program.as_raw_fd(), to, length_to) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // The length that comes back is what this kernel knows of.
    let known = offset_of!(libbpf_sys::bpf_prog_info, recursion_misses) + size_of::<u64>();
    Ok(ProgramUse {
        run_time_ns: info.run_time_ns,
        runs: info.run_cnt,
        recursion_missed: (length as usize >= known).then_some(info.recursion_misses),
    })
}

/// Runs a program of type `syscall` once (Linux 5.14). It reads and writes its context.
///
/// # Errors
/// None with a descriptor of such a program that has no larger context.
pub fn run_program(program: BorrowedFd<'_>, context: &mut [u8]) -> io::Result<()> {
    let mut options = libbpf_sys::bpf_test_run_opts {
        sz: size_of::<libbpf_sys::bpf_test_run_opts>() as libbpf_sys::size_t,
        ctx_in: context.as_mut_ptr().cast(),
        ctx_size_in: context.len() as u32,
        ..Default::default()
    };
    // SAFETY: the kernel reads and writes the context, as many bytes as it is said to
    // have (bpf_prog_test_run_syscall, net/bpf/test_run.c), and the options.
    let result = unsafe { libbpf_sys::bpf_prog_test_run_opts(program.as_raw_fd(), &raw mut options) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether this kernel tells how many calls a link missed: `struct bpf_link_info`
/// got that for kprobes and kprobe.multi alike, about Linux 6.7.
///
/// # Errors
/// None with a descriptor of a link.
pub fn link_tells_missed(link: BorrowedFd<'_>) -> io::Result<bool> {
    // Type, id, program; type of the event; name, its length, offset, address,
    // missed (include/uapi/linux/bpf.h).
    const KNOWN: u32 = 16 + 8 + 8 + 4 + 4 + 8 + 8;
    let mut info = libbpf_sys::bpf_link_info::default();
    let mut length = size_of_val(&info) as u32;
    let (to, length_to) = ((&raw mut info).cast(), &raw mut length);
    // SAFETY: as above.
    let result = unsafe { libbpf_sys::bpf_obj_get_info_by_fd(link.as_raw_fd(), to, length_to) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(length >= KNOWN) }
}

/// Every entry of a BPF hash map that nothing is deleted from: keys of `K` bytes,
/// values of `V`. libbpf-rs ends at the first batch that is not full, as the kernel
/// gives it before a bucket that would not fit.
///
/// # Errors
/// `InvalidInput` for a map of other sizes, `ENOMEM`.
pub fn map_entries<const K: usize, const V: usize>(
    map: &impl MapCore,
) -> io::Result<Vec<([u8; K], [u8; V])>> {
    if (map.key_size() as usize, map.value_size() as usize) != (K, V) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (mut entries, mut room, mut from) = (Vec::new(), 1024_u32, None::<u32>);
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    loop {
        keys.resize(room as usize, [0; K]);
        values.resize(room as usize, [0; V]);
        let (mut next, mut count) = (0_u32, room);
        let start = from.as_mut().map_or(std::ptr::null_mut(), |bucket| &raw mut *bucket);
        let fd = map.as_fd().as_raw_fd();
        let (to_keys, to_values) = (keys.as_mut_ptr().cast(), values.as_mut_ptr().cast());
        let (start, end) = (start.cast(), (&raw mut next).cast());
        let none = std::ptr::null();
        // SAFETY: of a hash map the kernel reads and writes the number of a bucket,
        // four bytes; it writes at most `count` keys and values of the map's sizes,
        // for which there is room, and how many they are.
        let result = unsafe {
            libbpf_sys::bpf_map_lookup_batch(fd, start, end, to_keys, to_values, &raw mut count, none)
        };
        let error = io::Error::last_os_error().raw_os_error().filter(|_| result < 0);
        match error {
            // A bucket that does not fit.
            Some(libc::ENOSPC) => room = room.saturating_mul(2),
            None | Some(libc::ENOENT) => {
                entries.extend(keys.iter().copied().zip(values.iter().copied()).take(count as usize));
                from = Some(next);
            }
            Some(error) => return Err(io::Error::from_raw_os_error(error)),
        }
        if error == Some(libc::ENOENT) {
            return Ok(entries);
        }
    }
}

/// The counters of a BPF array map of `u64` with BPF_F_MMAPABLE: memory that
/// programs write while we read.
pub struct Counters {
    first: NonNull<AtomicU64>,
    count: usize,
    length: NonZeroUsize,
}

impl Counters {
    /// Maps the first `count` counters.
    ///
    /// # Errors
    /// `EINVAL` and `ENOTSUPP` for a map without the flag or shorter than that.
    pub fn map(map: impl AsFd, count: usize) -> io::Result<Self> {
        let bytes = count.max(1).checked_mul(size_of::<u64>()).and_then(NonZeroUsize::new);
        let length = bytes.ok_or(io::ErrorKind::InvalidInput)?;
        let (protection, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED);
        // SAFETY: a mapping where the kernel chooses touches no memory of ours.
        let first = unsafe { nix::sys::mman::mmap(None, length, protection, flags, map, 0) }?;
        Ok(Self { first: first.cast(), count, length })
    }

    /// One counter; 0 behind the end.
    pub fn get(&self, index: usize) -> u64 {
        self.at(index).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Sets one, after what was set before; nothing behind the end.
    pub fn set(&self, index: usize, value: u64) {
        if let Some(counter) = self.at(index) {
            counter.store(value, Ordering::Release);
        }
    }

    fn at(&self, index: usize) -> Option<&AtomicU64> {
        if index >= self.count {
            return None;
        }
        // SAFETY: within the mapping, as was just seen.
        let counter = unsafe { self.first.add(index) };
        // SAFETY: a mapping begins with a page and lives as long as `self`; atomic,
        // because programs write to it meanwhile.
        Some(unsafe { counter.as_ref() })
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        // SAFETY: nobody has a reference into it any more: none outlives `self`.
        let _ = unsafe { nix::sys::mman::munmap(self.first.cast(), self.length.get()) };
    }
}

/// Waits until every program that was running has ended: programs run where the
/// kernel may not be preempted, and this waits until each CPU was elsewhere
/// (membarrier(2), MEMBARRIER_CMD_GLOBAL).
pub fn programs_have_ended() {
    const GLOBAL: libc::c_int = 1;
    // SAFETY: the arguments are numbers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, GLOBAL, 0, 0) };
    if result < 0 {
        // Refused where CPUs are isolated (nohz_full). A program takes microseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Seconds east of UTC at this moment, by the time zone of this process.
pub fn utc_offset(seconds: i64) -> i32 {
    let mut local = std::mem::MaybeUninit::<libc::tm>::zeroed();
    let to = local.as_mut_ptr();
    // SAFETY: reads one number and writes one tm.
    let found = unsafe { libc::localtime_r(&raw const seconds, to) };
    if found.is_null() {
        return 0;
    }
    // SAFETY: zeroes are a tm, and so is what was written.
    let local = unsafe { local.assume_init() };
    i32::try_from(local.tm_gmtoff).unwrap_or(0)
}

/// Leaves the closing of all descriptors to a child and returns in the parent: a
/// process that ends waits for each probe to be removed, which can take minutes,
/// unless someone else still has it.
///
/// # Errors
/// Those of `fork`: there is no memory, or no more processes are allowed.
pub fn close_behind() -> io::Result<()> {
    // SAFETY: the child makes no call but the one that ends it.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { .. } => Ok(()),
        nix::unistd::ForkResult::Child => {
            // SAFETY: ends the child; nothing of the parent's is run.
            unsafe { libc::_exit(0) }
        }
    }
}
