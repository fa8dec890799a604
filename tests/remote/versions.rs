//! Programs of other versions on either side.
use crate::sshd::{Sshd, of_version};

const AUDIT: [&str; 4] = ["--plan", "offload", "--on", "dash@web"];

#[test]
fn versions_beside_one_another_talk_both_ways() {
    let mut sshd = Sshd::start("");
    let ours = sshd.local.clone();
    let next = of_version(&sshd.folder, "0.2.0");
    for (local, remote, version) in [(&ours, &next, "0.2.0"), (&next, &ours, "0.1.0")] {
        sshd.local.clone_from(local);
        sshd.install(remote);
        let ran = sshd.record(&AUDIT);
        assert_eq!(ran.status, Some(0), "{}", ran.said);
        assert_eq!(sshd.capture().recordings[0].tool, version);
    }
}

#[test]
fn of_versions_that_do_not_talk_both_are_named() {
    let mut sshd = Sshd::start("");
    let ours = sshd.local.clone();
    let (later, other) = (of_version(&sshd.folder, "0.3.0"), of_version(&sshd.folder, "1.1.0"));
    for (local, remote, says) in [
        (&ours, &later, "hostdiag 0.3.0"),
        (&later, &ours, "hostdiag 0.1.0"),
        (&ours, &other, "hostdiag 1.1.0"),
    ] {
        sshd.local.clone_from(local);
        sshd.install(remote);
        let here = if local == &ours { "0.1.0" } else { "0.3.0" };
        let ran = sshd.record(&AUDIT);
        ran.failed(5, &["version-skew", "dash@web: ", says, here]);
    }
}
