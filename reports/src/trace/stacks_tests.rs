//! The stacks of the article from their data; what a name must not do.

use std::sync::Arc;

use hostdiag_model::trace::AskedStacks;
use proptest::prelude::*;

use super::*;

fn frame(name: &str) -> Frame {
    let symbol = Symbol::Name(name.into());
    Frame { address: 0xffff_ffff_8142_d41f, symbol, offset: Some(0x44), module: None, inlined: false }
}

#[derive(Default)]
struct Sample {
    table: StackTable,
    counts: StackCounts,
}

impl Sample {
    fn part(&mut self, frames: Vec<Frame>) -> Option<Part> {
        let frames = frames.into_iter().map(|frame| self.table.add_frame(frame)).collect();
        Some(Part { frames, gap: None })
    }

    fn add(&mut self, stack: Stack, process: Option<(u32, &str)>, count: u64) {
        let stack = self.table.add_stack(stack);
        let (pid, comm) = process.unzip();
        self.counts.add(StackKey { stack, function: None, pid, comm: comm.map(Arc::from) }, count);
    }

    /// A stack with both parts, by names.
    fn both(&mut self, [kernel, user]: [&[&str]; 2], process: Option<(u32, &str)>, count: u64) {
        let kernel = self.part(kernel.iter().map(|name| frame(name)).collect());
        let user = self.part(user.iter().map(|name| frame(name)).collect());
        self.add(Stack { kernel, user }, process, count);
    }

    fn kernel(&mut self, frames: Vec<Frame>, count: u64) {
        let kernel = self.part(frames);
        self.add(Stack { kernel, user: None }, None, count);
    }

    fn stacks(&self) -> Stacks<'_> {
        Stacks { table: &self.table, counts: &self.counts }
    }

    fn text(&self, form: Form) -> String {
        text(None, self.stacks(), form)
    }

    fn folded(&self, form: Form) -> String {
        folded(self.stacks(), form)
    }
}

const BCC: Form = Form {
    layout: Layout::Bcc,
    offsets: false,
    addresses: false,
    delimiter: false,
    processes: false,
    top: None,
};

const WRITEV: &str = "tcp_push_one inet_sendmsg sock_sendmsg sock_write_iter do_iter_readv_writev do_readv_writev \
    vfs_writev do_writev SyS_writev do_syscall_64 return_from_SYSCALL_64";
const WRITE: &str = "tcp_push_one inet_sendmsg sock_sendmsg sock_write_iter __vfs_write vfs_write SyS_write \
    do_syscall_64 return_from_SYSCALL_64";
const SENDPAGE: &str = "inet_sendpage kernel_sendpage sock_sendpage pipe_to_sendpage __splice_from_pipe \
    splice_from_pipe generic_splice_sendpage direct_splice_actor splice_direct_to_actor do_splice_direct \
    do_sendfile sys_sendfile64 do_syscall_64 return_from_SYSCALL_64";
const NO_SENDPAGE: &str = "inet_sendmsg sock_sendmsg kernel_sendmsg sock_no_sendpage tcp_sendpage";

/// Added in another order than they are shown in.
fn article(stacks: &[(&str, u64)]) -> Sample {
    let mut sample = Sample::default();
    for (names, count) in stacks.iter().rev() {
        sample.kernel(names.split_whitespace().map(frame).collect(), *count);
    }
    sample
}

#[test]
fn the_articles_stacks_are_reproduced() {
    let jessie = [(WRITEV, 1), (&*format!("tcp_push_one {SENDPAGE}"), 4950)];
    let no_sendpage = format!("tcp_push_one {NO_SENDPAGE} {SENDPAGE}");
    let stretch = [(WRITEV, 123), (WRITE, 172), (&*no_sendpage, 735_110)];
    let golden = [include_str!("golden/push-one-jessie.txt"), include_str!("golden/push-one-stretch.txt")];
    for (sample, golden) in [article(&jessie), article(&stretch)].into_iter().zip(golden) {
        // The article leaves out the empty lines.
        let mut lines: Vec<String> = vec![String::new()];
        for line in golden.lines() {
            lines.push(line.to_owned());
            if line.starts_with("    ") {
                lines.push(String::new());
            }
        }
        let expected = lines.join("\n") + "\n";
        assert_eq!(sample.text(BCC), expected);
        assert_eq!(sample.text(Form::default()), expected.trim_start_matches('\n'));
    }
}

#[test]
fn bcc_has_both_parts_a_delimiter_addresses_offsets_and_processes() {
    let mut sample = Sample::default();
    sample.both([&["tcp_push_one", "do_sendfile"], &["sendfile", "main"]], Some((4711, "java")), 7);
    let asked = AskedStacks {
        offsets: true,
        addresses: true,
        delimiter: true,
        processes: true,
        bcc: true,
        ..AskedStacks::default()
    };
    let all = Form::of(&Asked { stacks: asked, ..Asked::default() });
    let expected = "
  ffffffff8142d41f tcp_push_one+0x44
  ffffffff8142d41f do_sendfile+0x44
    --
  ffffffff8142d41f sendfile+0x44
  ffffffff8142d41f main+0x44
    java [4711]
    7
\n";
    assert_eq!(sample.text(all), expected);
    assert_eq!(sample.text(BCC), "\n  tcp_push_one\n  do_sendfile\n  sendfile\n  main\n    7\n\n");
    assert_eq!(sample.folded(all), "java;main;sendfile;-;do_sendfile;tcp_push_one 7\n");
    let time = Some(TimeOfDay::new(1000, 0));
    assert!(text(time, sample.stacks(), BCC).starts_with("\n00:00:01\n  tcp_push_one\n"));
}

#[test]
fn ours_tells_modules_inlining_reasons_and_gaps() {
    let mut sample = Sample::default();
    let kernel = sample.part(vec![
        Frame { module: Some("ixgbe".into()), ..frame("ixgbe_xmit_frame") },
        Frame { inlined: true, offset: None, ..frame("dev_queue_xmit") },
    ]);
    let symbol = Symbol::Unknown("no symbol covers it".into());
    let unknown = Frame { symbol, offset: None, module: Some("/usr/lib/libx.so".into()), ..frame("") };
    let user =
        sample.part(vec![unknown]).map(|part| Part { gap: Some("deeper than 127 frames".into()), ..part });
    sample.add(Stack { kernel, user }, None, 1);
    let expected = "  ixgbe_xmit_frame+0x44 [ixgbe]
  dev_queue_xmit (inlined)
  [unknown: no symbol covers it] [libx.so]
  [deeper than 127 frames]
    1
\n";
    assert_eq!(sample.text(Form { offsets: true, ..Form::default() }), expected);
    let bcc = "\n  ixgbe_xmit_frame\n  dev_queue_xmit\n  [unknown]\n    1\n\n";
    assert_eq!(sample.text(BCC), bcc);
    let expected = "[deeper_than_127_frames];[libx.so];dev_queue_xmit;ixgbe_xmit_frame 1\n";
    assert_eq!(sample.folded(Form::default()), expected);
    assert_eq!(sample.folded(BCC), ";[unknown];dev_queue_xmit;ixgbe_xmit_frame 1\n");
}

#[test]
fn processes_are_added_up_unless_they_are_asked_for() {
    let mut sample = Sample::default();
    sample.both([&["f"], &["main"]], Some((1, "java")), 2);
    sample.both([&["f"], &["main"]], Some((2, "java")), 3);
    assert_eq!(sample.text(Form::default()), "  f\n  main\n    5\n\n");
    assert_eq!(sample.folded(Form::default()), "java;main;f 5\n");
    let processes = Form { processes: true, ..Form::default() };
    assert_eq!(
        sample.text(processes),
        "  f\n  main\n    java [1]\n    2\n\n  f\n  main\n    java [2]\n    3\n\n"
    );
    assert_eq!(sample.folded(processes), "java-1;main;f 2\njava-2;main;f 3\n");
}

#[test]
fn call_sites_of_one_function_are_told_apart_by_their_offsets() {
    let mut sample = Sample::default();
    sample.kernel(vec![frame("f"), frame("g")], 2);
    sample.kernel(vec![frame("f"), Frame { offset: Some(9), ..frame("g") }], 1);
    assert_eq!(sample.text(Form::default()), "  f\n  g\n    3\n\n");
    let offsets = sample.text(Form { offsets: true, ..Form::default() });
    assert_eq!(offsets, "  f+0x44\n  g+0x9\n    1\n\n  f+0x44\n  g+0x44\n    2\n\n");
}

#[test]
fn the_top_is_the_most_frequent() {
    let mut sample = Sample::default();
    for (name, count) in [("f", 1), ("g", 3), ("h", 2)] {
        sample.kernel(vec![frame(name)], count);
    }
    let top = Form { top: Some(2), ..Form::default() };
    assert_eq!(sample.folded(top), "h 2\ng 3\n");
}

#[test]
fn a_name_ends_neither_a_frame_nor_a_stack() {
    let mut sample = Sample::default();
    sample.both([&["operator new 12"], &["a;b\n\x1b[2J"]], Some((1, "x y;z")), 5);
    assert_eq!(sample.folded(Form::default()), "x_y:z;a:b[2J;operator_new_12 5\n");
    assert_eq!(sample.text(Form::default()), "  operator new 12\n  a;b[2J\n    5\n\n");
    let mut nothing = Sample::default();
    nothing.kernel(Vec::new(), 5);
    assert_eq!(nothing.folded(Form::default()), "[no_stack] 5\n");
    assert_eq!(nothing.folded(BCC), " 5\n");
}

proptest! {
    /// As inferno and FlameGraph read it: the count behind the last blank, frames
    /// between `;`, none of them empty.
    #[test]
    fn every_folded_line_reads_back(stacks in prop::collection::vec((prop::collection::vec("\\PC{0,3}|[a-z ;\\n0-9]{0,8}", 0..5), 1u64..9, ".{0,4}"), 1..10)) {
        let mut sample = Sample::default();
        for (names, count, comm) in &stacks {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            sample.both([&names, &[]], Some((1, comm)), *count);
        }
        let folded = sample.folded(Form::default());
        let mut sum = 0;
        for line in folded.lines() {
            let (stack, count) = line.rsplit_once(' ').unwrap();
            prop_assert!(!stack.contains(char::is_whitespace), "{:?}", line);
            prop_assert!(stack.split(';').all(|frame| !frame.is_empty()), "{:?}", line);
            sum += count.parse::<u64>().unwrap();
        }
        prop_assert_eq!(sum, stacks.iter().map(|(_, count, _)| count).sum::<u64>());
    }
}
