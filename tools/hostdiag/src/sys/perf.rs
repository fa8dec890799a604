//! Events of perf, perf_event_open(2).

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use libbpf_rs::libbpf_sys;
use nix::libc;

use super::owned;

/// `struct perf_event_attr` as far as `config2` (PERF_ATTR_SIZE_VER1,
/// include/uapi/linux/perf_event.h).
#[repr(C)]
#[derive(Default)]
struct PerfEvent {
    kind: u32,
    size: u32,
    config: u64,
    /// Samples a second, with `FREQUENCY` in the flags; 0: nothing is sampled.
    rate: u64,
    sample_format: u64,
    read_format: u64,
    flags: u64,
    unused: [u32; 2],
    config1: u64,
    config2: u64,
}

/// What a perf event is opened on.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// The kernel function at this address; the type is that of the PMU `kprobe`.
    Kprobe {
        /// Number in /sys/bus/event_source/devices/kprobe/type.
        pmu: u32,
        /// Address of the function's first instruction.
        address: u64,
    },
    /// An offset into a program or library.
    Uprobe {
        /// Number in /sys/bus/event_source/devices/uprobe/type.
        pmu: u32,
        /// The file.
        path: &'a CStr,
        /// Byte of the file.
        offset: u64,
        /// In this process alone.
        pid: Option<u32>,
    },
    /// The tracepoint of this number (`id` in tracefs).
    Tracepoint(u64),
    /// A CPU, that many times a second.
    Sampled {
        /// What tells the time.
        clock: Clock,
        /// The CPU.
        cpu: u32,
        /// Samples a second.
        hz: u32,
    },
    /// The cycles of this thread, which are counted.
    OwnCycles,
}

/// What times samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Cycles of the processor, in hardware: none while it is idle.
    Cycles,
    /// A timer of the kernel (`cpu-clock`), on every host.
    Cpu,
}

/// Opens a perf event for a program to be attached to. `at_return`: of a probe, when
/// its function returns. Read, it gives what was counted, and the nanoseconds that it
/// was enabled and that it ran (read_format, perf_event_open(2)).
///
/// # Errors
/// `EINVAL` and `EILSEQ` where the kernel allows no probe, or no such rate; `EPERM`
/// without privilege, `ENOENT` where the PMU is not there, `ENODEV` of a CPU that is
/// offline.
pub fn open_event(place: Place<'_>, at_return: bool) -> io::Result<OwnedFd> {
    // enum perf_type_id; of the first two 0 is cycles and the kernel's clock.
    const HARDWARE: u32 = 0;
    const SOFTWARE: u32 = 1;
    const TRACEPOINT: u32 = 2;
    const FREQUENCY: u64 = 1 << 10;
    const TIMES: u64 = 1 | 2;
    let mut event = PerfEvent { size: size_of::<PerfEvent>() as u32, ..PerfEvent::default() };
    // /sys/bus/event_source/devices/{kprobe,uprobe}/format/retprobe.
    event.config = at_return.into();
    event.read_format = TIMES;
    match place {
        Place::Kprobe { pmu, address } => (event.kind, event.config2) = (pmu, address),
        Place::Uprobe { pmu, path, offset, .. } => {
            (event.kind, event.config1, event.config2) = (pmu, path.as_ptr().addr() as u64, offset);
        }
        Place::Tracepoint(id) => (event.kind, event.config) = (TRACEPOINT, id),
        Place::Sampled { clock, hz, .. } => {
            event.kind = if clock == Clock::Cycles { HARDWARE } else { SOFTWARE };
            (event.rate, event.flags) = (hz.into(), FREQUENCY);
        }
        Place::OwnCycles => event.kind = HARDWARE,
    }
    // Every task wherever it runs, which the number of one CPU stands for, or one.
    let (task, cpu) = match place {
        Place::Uprobe { pid: Some(pid), .. } => (pid.cast_signed(), -1),
        Place::Sampled { cpu, .. } => (-1, cpu.cast_signed()),
        Place::OwnCycles => (0, -1),
        _ => (-1, 0),
    };
    let (no_group, cloexec) = (-1, 8);
    // SAFETY: the kernel reads the event, as many bytes as its `size` says, and
    // the path that it points to, which outlives the call.
    let result =
        unsafe { libc::syscall(libc::SYS_perf_event_open, &raw const event, task, cpu, no_group, cloexec) };
    owned(RawFd::try_from(result).unwrap_or(-1))
}

/// Attaches a program to a perf event: by a link (Linux 5.15), which can tell
/// what it missed, else for as long as the event is open.
///
/// # Errors
/// `EINVAL` for a program of another type.
pub fn attach_event(program: BorrowedFd<'_>, event: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    const SET_PROGRAM: libc::c_ulong = 0x4004_2408; // PERF_EVENT_IOC_SET_BPF
    let kind = libbpf_sys::BPF_PERF_EVENT;
    // SAFETY: libbpf takes no options for the defaults.
    let link = unsafe {
        libbpf_sys::bpf_link_create(program.as_raw_fd(), event.as_raw_fd(), kind, std::ptr::null())
    };
    if let Ok(link) = owned(link) {
        return Ok(Some(link));
    }
    // SAFETY: the argument is a number.
    let result = unsafe { libc::ioctl(event.as_raw_fd(), SET_PROGRAM, program.as_raw_fd()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(None) }
}
